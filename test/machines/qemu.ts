/** One machine, emulated in software, from its start to its end. */

import { existsSync, readFileSync } from "node:fs";
import type { Processor } from "../../packaging/executable.ts";
import type { Machine } from "./machines.ts";
import type { System } from "./system.ts";

interface Emulator {
	readonly program: string;
	readonly machine: string;
	readonly console: string;
}

export const emulators: Readonly<Record<Processor, Emulator>> = {
	x64: { program: "qemu-system-x86_64", machine: "q35", console: "ttyS0" },
	arm64: { program: "qemu-system-aarch64", machine: "virt,gic-version=3", console: "ttyAMA0" },
};

/** Without a word for so many minutes of the host's processor it hangs, or of time, as the host may be busy otherwise. */
const longestSilence = { processor: 10, time: 90 };

export interface Disks {
	/** With the project; changes to it are forgotten. */
	readonly payload: string;
	readonly scratch: string;
}

export interface Boot {
	readonly machine: Machine;
	readonly system: System;
	readonly disks: Disks;
	/** A directory of the host that the machine is given, and writes to. */
	readonly shared: string | undefined;
	/** The file in which what the machine reports is gathered. */
	readonly report: string;
	/** After so many minutes of the host's processor it is ended. */
	readonly minutes: number;
	/** Is given what the machine writes to its console. */
	readonly heard: (text: string) => void;
}

/**
 * Time in the machine is counted in instructions, of two nanoseconds each, which takes the host several times as long: so
 * nothing in it comes too late, however busy the host is, or if it stops the machine for a while.
 */
const clock = "shift=1,sleep=on";

const memory = "3072";

/** The server of virtiofs: that of qemu 7, or the one that has a package of its own since. */
export const virtiofsd = ["/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"].find(existsSync);

interface Sharing extends Disposable {
	/** For qemu. */
	readonly options: readonly string[];
}

/** Gives a directory to the machine by two devices, for 9p and for virtiofs, which needs a server. */
async function share(directory: string): Promise<Sharing> {
	if (virtiofsd === undefined) throw new Error("there is no virtiofsd");
	const socket = `${directory}.socket`;
	const endWithUs = ["setpriv", "--pdeathsig", "KILL"];
	const source = ["-o", `source=${directory},xattr,log_level=err`];
	const server = Bun.spawn([...endWithUs, virtiofsd, `--socket-path=${socket}`, ...source], {
		stdio: ["ignore", "ignore", "inherit"],
	});
	for (let turn = 0; !existsSync(socket); turn++) {
		if (turn > 500 || server.exitCode !== null) throw new Error("virtiofsd does not listen");
		await Bun.sleep(20);
	}
	const options = [
		...["-fsdev", `local,id=shared,path=${directory},security_model=passthrough`],
		...["-device", "virtio-9p-pci,fsdev=shared,mount_tag=shared-9p"],
		// The server reads and writes the machine's memory.
		...["-object", `memory-backend-memfd,id=memory,size=${memory}M,share=on`, "-numa", "node,memdev=memory"],
		...["-chardev", `socket,id=virtiofs,path=${socket}`],
		...["-device", "vhost-user-fs-pci,chardev=virtiofs,tag=shared-virtiofs"],
	];
	return { options, [Symbol.dispose]: () => server.kill("SIGKILL") };
}

/** Minutes of processor time that a process has used. */
function minutesUsed(pid: number): number {
	const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]!.split(" ");
	const ticksPerMinute = 100 * 60;
	return (Number(fields[11]) + Number(fields[12])) / ticksPerMinute;
}

/** Runs the machine until it switches itself off, or its time is up. Throws if it falls silent, or qemu fails. */
export async function boot({
	machine,
	system,
	disks,
	shared,
	report,
	minutes,
	heard,
}: Boot): Promise<"ended" | "time is up"> {
	const emulator = emulators[machine.processor];
	const disk = (file: string, isForgotten: boolean) => [
		"-drive",
		`file=${file},format=raw,if=virtio,snapshot=${isForgotten ? "on" : "off"}`,
	];
	using sharing = shared === undefined ? undefined : await share(shared);
	const child = Bun.spawn(
		[
			// Whatever ends this process ends the machine.
			...["setpriv", "--pdeathsig", "KILL", emulator.program, "-accel", "tcg", "-icount", clock],
			...["-machine", emulator.machine, "-cpu", machine.cpu, "-smp", "1", "-m", memory],
			...["-display", "none", "-nodefaults", "-no-user-config", "-no-reboot", "-serial", "stdio"],
			...["-kernel", system.kernel, "-initrd", system.initramfs],
			...[
				"-append",
				[`console=${emulator.console} quiet panic=-1 mitigations=off`, machine.parameters ?? ""].join(" "),
			],
			...disk(system.disk, true),
			...disk(disks.payload, true),
			...disk(disks.scratch, false),
			...(sharing?.options ?? []),
			...["-device", "virtio-rng-pci", "-device", "virtio-serial-pci"],
			...["-chardev", `file,id=report,path=${report}`, "-device", "virtserialport,chardev=report"],
		],
		{ stdio: ["ignore", "pipe", "inherit"] },
	);
	let ending: string | undefined;
	const kill = (why: string) => {
		ending ??= why;
		child.kill("SIGKILL");
	};
	const timeIsUp = `its ${minutes} minutes are up`;
	let heardAt = { processor: 0, time: Date.now() };
	const timer = setInterval(() => {
		if (child.exitCode !== null) return;
		const used = minutesUsed(child.pid);
		const silence = { processor: used - heardAt.processor, time: (Date.now() - heardAt.time) / 60_000 };
		if (used > minutes) kill(timeIsUp);
		else if (silence.processor > longestSilence.processor || silence.time > longestSilence.time)
			kill("said nothing for long and was killed");
	}, 1000);
	try {
		const decoder = new TextDecoder();
		for await (const chunk of child.stdout) {
			if (child.exitCode === null) heardAt = { processor: minutesUsed(child.pid), time: Date.now() };
			heard(decoder.decode(chunk, { stream: true }));
		}
		await child.exited;
	} finally {
		clearInterval(timer);
		child.kill("SIGKILL");
	}
	if (ending !== undefined && ending !== timeIsUp) throw new Error(ending);
	if (ending === undefined && child.exitCode !== 0)
		throw new Error(`${emulator.program} ended with ${child.exitCode ?? child.signalCode}`);
	return ending === undefined ? "ended" : "time is up";
}
