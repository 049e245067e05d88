/** What processes are to a benchmark, above all a file system's daemon: process ids, memory, and an end. */

import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** Marks a daemon in /proc/PID/environ, whatever it calls itself. */
export const MARKER_VARIABLE = "FUSE_OVERLAYFS_BENCH_RUN";
/** How long a daemon may take to leave after its mount has. */
const PATIENCE_MS = 10_000;

export interface Memory {
	/** Bytes that this process alone uses. */
	readonly own: number;
	/** Bytes of program and libraries, one copy of which serves all processes that run them. */
	readonly shared: number;
}

/** The living processes whose environment carries the marker; this one does not count. */
export function daemonsOf(marker: string): number[] {
	const entry = `${MARKER_VARIABLE}=${marker}\0`;
	return processes().filter((pid) => isMarked(pid, entry));
}

function processes(): number[] {
	return readdirSync("/proc")
		.filter((name) => /^\d+$/.test(name))
		.map(Number);
}

function isMarked(pid: number, entry: string): boolean {
	try {
		return readFileSync(`/proc/${pid}/environ`, "latin1").includes(entry);
	} catch {
		return false; // It has left meanwhile, or is somebody else's.
	}
}

/** The living processes whose program or an argument lies below a directory. */
export function programsBelow(directory: string): number[] {
	return processes().filter((pid) => {
		try {
			const args = readFileSync(`/proc/${pid}/cmdline`, "latin1");
			return `${readlinkSync(`/proc/${pid}/exe`)}\0${args}`.includes(directory);
		} catch {
			return false; // It has left meanwhile, or is the kernel's.
		}
	});
}

/** Summed up over the processes. */
export function memoryOf(pids: readonly number[]): Memory {
	let own = 0;
	let shared = 0;
	for (const pid of pids) {
		const text = readFileSync(`/proc/${pid}/smaps_rollup`, "latin1");
		const field = (name: string) =>
			Number(new RegExp(`^${name}: +(\\d+) kB`, "m").exec(text)?.[1] ?? 0) * 1024;
		own += field("Private_Dirty") + field("Swap");
		shared += field("Rss") - field("Private_Dirty");
	}
	return { own, shared };
}

/** Waits until the processes have left by themselves. False: they have not. */
export async function haveLeft(pids: readonly number[]): Promise<boolean> {
	for (const end = Date.now() + PATIENCE_MS; pids.some(isAlive); await Bun.sleep(2)) {
		if (Date.now() > end) return false;
	}
	return true;
}

/** Ends processes by force. */
export async function endProcesses(pids: readonly number[]): Promise<void> {
	for (const pid of pids.filter(isAlive)) process.kill(pid, "SIGKILL");
	await haveLeft(pids);
}

function isAlive(pid: number): boolean {
	try {
		return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
	} catch {
		return false;
	}
}
