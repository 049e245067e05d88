/**
 * `npm run test:machines`: the demo, mount tests and the conformance table in virtual machines with other kernels, C
 * libraries, libfuse and processors, emulated in software; and what only a machine of one's own has (trials/).
 * `-- [MACHINE...] [TEST-FILE...]` chooses, `--list` shows what there is, `--minutes N` is how much of the processor's time a
 * machine gets (default: 30), `--mode root` and others which modes are tried, `--release DIRECTORY` brings the files of a
 * release along, for the machine that tries these.
 */

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Processor } from "../../packaging/executable.ts";
import { watchdog } from "../harness/watchdog-client.ts";
import { type Machine, machines } from "./machines.ts";
import { makePayload } from "./payload.ts";
import { boot, emulators, virtiofsd } from "./qemu.ts";
import { type Ending, type MachineReport, type Mode, modes, type Plan, readReport, show } from "./report.ts";
import { cacheFolder, makeImage, systemOf } from "./system.ts";

/** Programs, and Debian's packages of them. */
const needs: Readonly<Record<string, string>> = {
	"apt-get": "apt",
	"dpkg-deb": "dpkg",
	mke2fs: "e2fsprogs",
	depmod: "kmod",
	cpio: "cpio",
	xz: "xz-utils",
	zstd: "zstd",
};

/** What qemu needs to start a machine. */
const emulatorPackages: Readonly<Record<Processor, string>> = {
	x64: "qemu-system-x86 seabios ipxe-qemu",
	arm64: "qemu-system-arm ipxe-qemu",
};

interface Choice {
	readonly machines: readonly Machine[];
	readonly minutes: number;
	/** None: those of the machine. */
	readonly files: readonly string[];
	/** The same. */
	readonly modes: readonly Mode[];
	/** A directory with the files of one. */
	readonly release: string | undefined;
}

function parse(args: readonly string[]): Choice {
	const rest = [...args];
	const optionsOf = (name: string) => {
		const values: string[] = [];
		for (let at = rest.indexOf(name); at >= 0; at = rest.indexOf(name)) {
			const [, value] = rest.splice(at, 2);
			if (value === undefined) throw new Error(`${name} lacks its value`);
			values.push(value);
		}
		return values;
	};
	const minutes = Number(optionsOf("--minutes").at(-1) ?? 30);
	if (!(minutes > 0)) throw new Error("--minutes: a number of minutes is wanted");
	const chosenModes = optionsOf("--mode");
	const unknownMode = chosenModes.find((mode) => !modes.includes(mode as Mode));
	if (unknownMode !== undefined) throw new Error(`${unknownMode}: the modes are ${modes.join(", ")}`);
	const release = optionsOf("--release").at(-1);
	const files = rest.filter((word) => existsSync(word));
	const names = rest.filter((word) => !files.includes(word));
	const lacking = machines.find(({ name, needsRelease }) => needsRelease && names.includes(name) && !release);
	if (lacking !== undefined) throw new Error(`${lacking.name}: wants --release DIRECTORY`);
	const unknown = names.find((name) => machines.every((machine) => machine.name !== name));
	if (unknown !== undefined) throw new Error(`${unknown}: neither a machine (see --list) nor a test file`);
	return {
		machines: machines.filter(({ name, needsRelease }) =>
			names.length === 0 ? release !== undefined || !needsRelease : names.includes(name),
		),
		minutes,
		files,
		modes: modes.filter((mode) => chosenModes.includes(mode)),
		release,
	};
}

/** Throws a line that says what to install, if something is lacking. */
function requireAll(chosen: readonly Machine[]): void {
	if (process.getuid?.() !== 0)
		throw new Error("must be run as root: it makes file systems with files of all owners");
	const packages = Object.entries(needs).map(([program, name]) => ({ program, name }));
	for (const processor of new Set(chosen.map((machine) => machine.processor)))
		packages.push({ program: emulators[processor].program, name: emulatorPackages[processor] });
	if (chosen.some(({ sharesDirectory }) => sharesDirectory) && virtiofsd === undefined)
		packages.push({ program: "virtiofsd", name: "virtiofsd" });
	const lacking = packages.filter(({ program }) => Bun.which(program) === null);
	if (lacking.length === 0) return;
	const names = [...new Set(lacking.map(({ name }) => name))].join(" ");
	throw new Error(
		`${lacking.map(({ program }) => program).join(", ")} lacking: apt-get install --no-install-recommends ${names}`,
	);
}

/** Boots a machine with a plan; what it reports is kept in its folder of the cache, with all that its console said. */
async function runMachine(
	machine: Machine,
	plan: Plan,
	minutes: number,
	payload: string,
	scratch: string,
): Promise<MachineReport> {
	const system = systemOf(machine);
	const place = join(scratch, machine.name);
	mkdirSync(join(place, "content"), { recursive: true });
	writeFileSync(join(place, "content/plan.json"), JSON.stringify(plan));
	const disk = join(place, "scratch");
	const shared = machine.sharesDirectory && join(place, "shared");
	if (shared !== undefined) mkdirSync(shared);
	makeImage(disk, join(place, "content"), "24G");
	// Of this run alone: the same machine may run a second time beside it.
	const report = join(place, "report");
	writeFileSync(report, "");
	console.log(`\n== ${machine.name}`);
	let said = "";
	let ending: Ending;
	try {
		const heard = (text: string) => {
			said += text;
			process.stdout.write(text);
		};
		const disks = { payload, scratch: disk };
		ending = await boot({ machine, system, disks, shared, report, minutes, heard });
	} catch (error) {
		ending = { complaint: error instanceof Error ? error.message : String(error) };
	}
	const reported = readFileSync(report, "utf8");
	const kept = cacheFolder(`reports/${machine.name}`);
	writeFileSync(join(kept, "report"), reported);
	writeFileSync(join(kept, "console"), said);
	rmSync(place, { recursive: true });
	return readReport(machine, reported, ending);
}

async function main(args: readonly string[]): Promise<void> {
	if (args.includes("--list")) {
		for (const { name, suite, processor, kernel } of machines)
			console.log(`${name.padEnd(12)} Debian ${suite}, ${processor}, ${kernel}`);
		return;
	}
	const { machines: chosen, minutes, files, modes: chosenModes, release } = parse(args);
	requireAll(chosen);
	const scratch = mkdtempSync(join(cacheFolder("runs"), "run-"));
	watchdog.tell("tree", scratch);
	try {
		const reports: MachineReport[] = [];
		const payloads = new Map<Processor, string>();
		for (const machine of chosen) {
			const { processor } = machine;
			const payload = payloads.get(processor) ?? join(scratch, `project-${processor}`);
			if (!payloads.has(processor)) makePayload(processor, payload, join(scratch, processor), release);
			payloads.set(processor, payload);
			const plan = {
				files: files.length > 0 ? files : machine.files,
				modes: chosenModes.length > 0 ? chosenModes : machine.modes,
			};
			const report = await runMachine(machine, plan, minutes, payload, scratch);
			console.log(`\n${show(report, plan)}`);
			reports.push(report);
		}
		if (reports.some(({ isGood }) => !isGood)) process.exitCode = 1;
	} finally {
		rmSync(scratch, { recursive: true, force: true });
		watchdog.tell("tree-gone", scratch);
	}
}

try {
	await main(process.argv.slice(2));
} catch (error) {
	console.error(`test:machines: ${error instanceof Error ? error.message : error}`);
	process.exitCode = 1;
}
