/**
 * `npm run bench`: measures this program against kernel overlayfs, Debian's C fuse-overlayfs and others, in one run.
 * Needs root, since it mounts and empties caches. See workloads/ for what is measured.
 */

import { writeFileSync } from "node:fs";
import { defineCommand, runMain } from "citty";
import { debianProgram, isExecutable, projectDirectory } from "../test/harness/program.ts";
import { type Progress, runBenchmark, type Settings } from "./bench.ts";
import { renderChart } from "./chart.ts";
import { debianPeer, kernelPeer, ownPeer, type Peer, parsePeer, variantOf } from "./peers.ts";
import { parsePlacement, placements } from "./placement.ts";
import { record, serialize } from "./record.ts";
import { renderNumber, renderReport } from "./report.ts";
import type { Result } from "./result.ts";
import { Scratch } from "./scratch.ts";
import { parseUser, users } from "./user.ts";
import { chooseWorkloads, workloads } from "./workloads/index.ts";
import { isOfPodman } from "./workloads/workload.ts";

const INTERRUPTED = 130;
const isTerminal = process.stderr.isTTY === true;
const highlight = (text: string) =>
	Bun.enableANSIColors && process.stdout.isTTY === true ? `\x1b[1;31m${text}\x1b[0m` : text;

const args = {
	workload: { type: "string", valueHint: "NAMES", description: "Only these workloads or groups, see --list" },
	rounds: { type: "string", valueHint: "N", default: "5", description: "How often each is run" },
	scale: { type: "string", valueHint: "F", default: "1", description: "Size of the workloads" },
	peer: {
		type: "string",
		valueHint: "NAME=PROGRAM",
		description: "Measure this program too, which may be followed by arguments; may be repeated",
	},
	variant: {
		type: "string",
		valueHint: "OPTION[,OPTION...]",
		description: "Measure ours with these mount options too, such as passthrough=off; may be repeated",
	},
	placement: {
		type: "string",
		valueHint: Object.keys(placements).join("|"),
		default: "free",
		description:
			"Which processors caller and daemon run on: together: one, each other one being busy; apart: two, to begin with",
	},
	as: {
		type: "string",
		valueHint: Object.keys(users).join("|"),
		default: "root",
		description:
			"Who mounts: an ordinary user in a namespace of their own, or by fusermount3 (without the kernel)",
	},
	without: { type: "string", valueHint: "NAMES", description: "Leave out these of kernel, C and ours" },
	base: {
		type: "string",
		valueHint: "DIR",
		description: "Where the layers lie, instead of on a new ext4 file system in an image",
	},
	"own-disk": {
		type: "string",
		valueHint: "DIR",
		description: "Where those of own_disk and busy_disk lie, instead of in /var/tmp",
	},
	podman: {
		type: "string",
		valueHint: "DIR",
		description: "Root of another system, whose podman and C program are measured instead of this one's",
	},
	json: { type: "string", valueHint: "FILE", description: "Write the result to this file too" },
	chart: { type: "string", valueHint: "FILE", description: "And an SVG picture of it to this one" },
	record: {
		type: "boolean",
		description: "Run all workloads; keep the result in bench/results and show it in README.md and docs/",
	},
	list: { type: "boolean", description: "Show the workloads and do nothing" },
} as const;

const command = defineCommand({
	meta: { name: "bench", description: "Measure fuse-overlayfs against kernel overlayfs and other programs" },
	args,
	async run({ args: given, rawArgs }) {
		try {
			rejectUnknown(given);
			if (given.list) return list();
			if (given.record && given.workload !== undefined) throw new Error("--record runs all workloads");
			const chosen = given.record ? workloads : chooseWorkloads(names(given.workload));
			const rounds = positive("rounds", given.rounds);
			const scale = positive("scale", given.scale);
			const placement = parsePlacement(given.placement);
			if (given.podman !== undefined && !chosen.every(isOfPodman))
				throw new Error("--podman is for the workloads podman and podman_rootless, and only these");
			const as = parseUser(given.as);
			const more = repeated(rawArgs, "peer").map(parsePeer);
			if (process.getuid?.() !== 0) throw new Error("needs root: it mounts and empties the kernel's caches");
			const variants = repeated(rawArgs, "variant");
			const what = {
				workloads: chosen,
				rounds: Math.ceil(rounds),
				scale,
				placement,
				as,
				podmanRoot: given.podman,
				...(given["own-disk"] === undefined ? {} : { ownDisk: given["own-disk"] }),
			};
			const result = await bench(what, names(given.without), more, variants, given.base);
			if (given.json !== undefined) writeFileSync(given.json, serialize(result));
			console.log(renderReport(result, highlight));
			if (given.chart !== undefined) writeFileSync(given.chart, renderChart(result));
			if (given.record)
				console.log(
					`\nkept as ${record(result, projectDirectory)}, shown in README.md and docs/performance.md`,
				);
			if (result.workloads.some((workload) => Object.keys(workload.failures).length > 0))
				process.exitCode = 1;
		} catch (error) {
			if (process.exitCode === INTERRUPTED) return;
			console.error(`bench: ${error instanceof Error ? error.message : error}`);
			process.exitCode = 1;
		}
	},
});

async function bench(
	what: Omit<Settings, "peers">,
	without: readonly string[],
	more: readonly Peer[],
	variants: readonly string[],
	base: string | undefined,
): Promise<Result> {
	const interruption = new AbortController();
	for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
		process.on(signal, () => {
			process.exitCode = INTERRUPTED;
			interruption.abort();
		});
	}
	await using scratch = new Scratch(base);
	// fusermount3 mounts FUSE only.
	const left = what.as === "fusermount" ? [...without, kernelPeer.name] : without;
	const peers = await choosePeers(left, more, variants, scratch, interruption.signal);
	return await runBenchmark({ ...what, peers }, scratch, interruption.signal, createProgress());
}

async function choosePeers(
	without: readonly string[],
	more: readonly Peer[],
	variants: readonly string[],
	scratch: Scratch,
	signal: AbortSignal,
): Promise<Peer[]> {
	const peers: Peer[] = [kernelPeer];
	if (isExecutable(debianProgram)) peers.push(debianPeer);
	if (!without.includes("ours") || variants.length > 0) {
		tell("building the program");
		const own = await ownPeer(scratch.path, signal);
		peers.push(own, ...variants.map((options) => variantOf(own, options)));
	}
	const all = [...peers.filter((peer) => !without.includes(peer.name)), ...more];
	if (all.length === 0) throw new Error("nothing is left to be measured");
	if (new Set(all.map((peer) => peer.name)).size < all.length)
		throw new Error("two peers have the same name");
	return all;
}

/** On a terminal one line that changes, else one line a sample. */
function createProgress(): Progress {
	const begun = performance.now();
	return {
		begin(round, workload, peer, done, total) {
			if (!isTerminal) return;
			const passed = (performance.now() - begun) / 1000;
			const left = done === 0 ? "" : `, ${clock((passed / done) * (total - done))} left`;
			tell(`${done}/${total}  round ${round + 1}  ${workload}  ${peer}  (${clock(passed)}${left})`);
		},
		end(workload, peer, outcome) {
			if (typeof outcome === "string") tell(`${workload}  ${peer}: ${outcome}\n`);
			else if (!isTerminal) tell(`${workload}  ${peer}  ${renderNumber(outcome.milliseconds)} ms`);
		},
	};
}

function tell(line: string): void {
	process.stderr.write(isTerminal ? `\r\x1b[K${line}` : `${line.trimEnd()}\n`);
}

function clock(seconds: number): string {
	return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
}

function list(): void {
	const width = Math.max(...workloads.map((workload) => workload.name.length));
	for (const group of new Set(workloads.map((workload) => workload.group))) {
		console.log(group);
		for (const workload of workloads.filter((item) => item.group === group)) {
			const note = workload.onRequest === true ? " (only when named)" : "";
			console.log(`  ${workload.name.padEnd(width)}  ${workload.what}${note}`);
		}
	}
}

function names(text: string | undefined): string[] {
	return text === undefined ? [] : text.split(/[\s,]+/).filter((name) => name !== "");
}

function positive(name: string, text: string): number {
	const value = Number(text);
	if (!(value > 0 && value < Number.POSITIVE_INFINITY))
		throw new Error(`--${name} takes a number above 0, not ${text}`);
	return value;
}

/** All values of an option: citty keeps the last. */
function repeated(rawArgs: readonly string[], name: string): string[] {
	return rawArgs.flatMap((argument, index) => {
		if (argument.startsWith(`--${name}=`)) return [argument.slice(name.length + 3)];
		const value = rawArgs[index + 1];
		return argument === `--${name}` && value !== undefined ? [value] : [];
	});
}

/** citty takes whatever looks like an option. */
function rejectUnknown(given: Readonly<Record<string, unknown>>): void {
	for (const name of Object.keys(given)) {
		if (name !== "_" && !(name in args)) throw new Error(`there is no option --${name}, see --help`);
	}
	const [positional] = given._ as string[];
	if (positional !== undefined) throw new Error(`there is nothing to do with ${positional}, see --help`);
}

await runMain(command);
