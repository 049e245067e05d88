/** On which processors threads run. */
import { dlopen } from "bun:ffi";
import type { ByteString } from "../../options.ts";
import { O_CLOEXEC, O_RDONLY, statx } from "../layout.ts";
import { base, bytes, type Offset, reserve, store, view, words, writeString } from "../memory.ts";
import { outcome } from "./errno.ts";
import { close, type Fd, NO_FD, openAt, pread, read, WORKING_DIRECTORY } from "./file.ts";
import { stat } from "./metadata.ts";

const libc = dlopen("libc.so.6", {
	sched_getcpu: { args: [], returns: "i32" },
	sched_getaffinity: { args: ["i32", "usize", "usize"], returns: "i32" },
	sched_setaffinity: { args: ["i32", "usize", "usize"], returns: "i32" },
}).symbols;

/** What is not told. */
export const UNKNOWN = -1;

/** Bytes of a set of processors, a bit for each: more than any kernel is built for. */
const SET_SIZE = 1024;
const BITS = 8;
const OWN_THREAD = 0;
const ALLOWED = reserve(SET_SIZE);
const ONE = reserve(SET_SIZE);

const PATH = reserve(64);
const TEXT_SIZE = 1024;
const TEXT = reserve(TEXT_SIZE);
const THREADS = store("/proc/self/task" as ByteString);
const SCHEDULING = store("/proc/self/schedstat" as ByteString);
const STAT = reserve(statx.sizeof);

/** Notes where this thread may run, which {@link letRun} gives back to it; returns how many processors that are. */
export function noteAllowed(): number {
	if (outcome(libc.sched_getaffinity(OWN_THREAD, SET_SIZE, base + ALLOWED)) < 0) return 0;
	let count = 0;
	for (let at = ALLOWED >>> 2; at < (ALLOWED + SET_SIZE) >>> 2; at++)
		for (let rest = words[at]!; rest !== 0; rest &= rest - 1) count++;
	return count;
}

/** Where this thread runs at the moment. */
export function currentProcessor(): number {
	return libc.sched_getcpu();
}

/** Holds this thread on one processor; false where it may not run there. */
export function holdOn(processor: number): boolean {
	const byte = Math.floor(processor / BITS);
	const bit = 1 << (processor % BITS);
	if (byte >= SET_SIZE || (bytes[ALLOWED + byte]! & bit) === 0) return false;
	bytes[ONE + byte] = bit;
	const result = outcome(libc.sched_setaffinity(OWN_THREAD, SET_SIZE, base + ONE));
	bytes[ONE + byte] = 0;
	return result === 0;
}

/** Lets this thread run again wherever it was allowed to; the kernel leaves out what a cpuset has taken away since. */
export function letRun(): void {
	libc.sched_setaffinity(OWN_THREAD, SET_SIZE, base + ALLOWED);
}

/** As {@link letRun}, for the threads of this process other than its first: one started by a held thread is held, too. */
export function letOthersRun(): void {
	for (const thread of threadsOfProcess()) {
		// One that has ended meanwhile needs nothing.
		if (thread !== String(process.pid)) libc.sched_setaffinity(Number(thread), SET_SIZE, base + ALLOWED);
	}
}

/** Their ids; none where they cannot be told. */
function threadsOfProcess(): string[] {
	try {
		return process.getBuiltinModule("node:fs").readdirSync("/proc/self/task");
	} catch {
		return [];
	}
}

/** Threads of this process; UNKNOWN where that is not told. */
export function threadCount(): number {
	const told = stat(WORKING_DIRECTORY, THREADS, STAT) === 0;
	return told ? view.getUint32(STAT + statx.stxNlink, true) : UNKNOWN;
}

/** The processor that a process or thread was on last; UNKNOWN where that is not told. Source: proc_pid_stat(5). */
export function processorOf(pid: number): number {
	writeString(PATH, `/proc/${pid}/stat` as ByteString);
	const fd = openAt(WORKING_DIRECTORY, PATH, O_RDONLY);
	if (fd < 0) return UNKNOWN;
	const length = read(fd, TEXT, TEXT_SIZE);
	close(fd);
	if (length <= 0) return UNKNOWN;
	// The name, in parentheses, may hold anything; the state behind it is field 3.
	let at = bytes.lastIndexOf(0x29, TEXT + length) + 2;
	for (let field = 3; field < 39; at++) if (bytes[at] === 0x20) field++;
	return numberAt(at);
}

/** For {@link processorAwaited}; NO_FD where the kernel does not count it. */
export function openScheduling(): Fd {
	const fd = openAt(WORKING_DIRECTORY, SCHEDULING, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? NO_FD : fd;
}

/** Nanoseconds for which this process's first thread was ready to run and had no processor, since it was started. */
export function processorAwaited(scheduling: Fd): number {
	if (pread(scheduling, TEXT, TEXT_SIZE, 0) <= 0) return 0;
	let at = TEXT;
	while (bytes[at]! >= 0x30) at++;
	return numberAt(at + 1);
}

function numberAt(from: Offset): number {
	let value = 0;
	for (let at = from; bytes[at]! >= 0x30; at++) value = value * 10 + bytes[at]! - 0x30;
	return value;
}
