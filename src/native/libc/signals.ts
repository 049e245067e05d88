/** Signals: which a daemon minds, and that they come to the one thread that minds them. */
import { dlopen } from "bun:ffi";
import {
	SFD_CLOEXEC,
	SFD_NONBLOCK,
	SIG_BLOCK,
	SIG_UNBLOCK,
	SIGALRM,
	SIGHUP,
	SIGINT,
	SIGIO,
	SIGPROF,
	SIGQUIT,
	SIGSTKFLT,
	SIGTERM,
	SIGUSR1,
	SIGUSR2,
	SIGVTALRM,
	SIGXCPU,
	signalfdSiginfo,
} from "../layout.ts";
import { base, reserve, view } from "../memory.ts";
import { readText } from "./by-path.ts";
import { check, outcome } from "./errno.ts";
import { close, type Fd, read } from "./file.ts";

const libc = dlopen("libc.so.6", {
	kill: { args: ["i32", "i32"], returns: "i32" },
	raise: { args: ["i32"], returns: "i32" },
	signal: { args: ["i32", "usize"], returns: "usize" },
	sigprocmask: { args: ["i32", "usize", "usize"], returns: "i32" },
	signalfd: { args: ["i32", "usize", "i32"], returns: "i32" },
}).symbols;

/**
 * Signals at which a mount ends, unmounted: those by which people and service managers end a program, and those of timers
 * and limits that whoever started it has set, which outlast an execve.
 */
const ENDING = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGALRM, SIGVTALRM, SIGPROF, SIGXCPU];
/**
 * Signals that would end a program that knows nothing of them, and mean nothing to a daemon. Not among them are those of
 * a fault (SIGABRT, SIGSEGV, SIGTRAP and the like), of which Bun writes a report, nor SIGPIPE, SIGXFSZ and SIGPWR: Bun
 * ignores the first two and stops its threads by the last.
 */
const MEANINGLESS = [
	SIGUSR2,
	SIGSTKFLT,
	SIGIO,
	// The real-time ones; the C library keeps 32 and 33 to itself.
	...Array.from({ length: 31 }, (_, index) => 34 + index),
];

/**
 * The signals a daemon minds. They must be blocked in every thread of the process. What whoever started it has ignored, as
 * nohup(1) does, stays ignored.
 * @param isReplaceable it can be told to have another program go on in its place (SIGUSR2)
 */
export function mindedSignals(isReplaceable = false): number[] {
	const [, ignored = "0"] = /^SigIgn:\t([0-9a-f]+)$/m.exec(readText("/proc/self/status")) ?? [];
	const isIgnored = (signal: number) => ((BigInt(`0x${ignored}`) >> BigInt(signal - 1)) & 1n) === 1n;
	return [...ENDING, SIGUSR1, ...(isReplaceable ? [SIGUSR2] : [])].filter((signal) => !isIgnored(signal));
}

/** Has signals ignored that mean nothing to a daemon; programs started from here inherit it. */
export function ignoreMeaninglessSignals(isReplaceable: boolean): void {
	for (const signal of MEANINGLESS) if (signal !== SIGUSR2 || !isReplaceable) libc.signal(signal, SIG_IGN);
}

/** What signal(2) takes to have a signal ignored. */
const SIG_IGN = 1;

const SIGNAL_SET_SIZE = 128;
const SIGNAL_SET = reserve(SIGNAL_SET_SIZE);

function signalSet(signals: readonly number[]): number {
	for (let at = 0; at < SIGNAL_SET_SIZE; at += 4) view.setUint32(SIGNAL_SET + at, 0, true);
	for (const signal of signals) {
		const at = SIGNAL_SET + ((signal - 1) >> 5) * 4;
		view.setUint32(at, view.getUint32(at, true) | (1 << ((signal - 1) & 31)), true);
	}
	return base + SIGNAL_SET;
}

/**
 * Blocks signals on this thread; threads and programs started from here inherit it. On Linux sigprocmask(2) is of the
 * thread; pthread_sigmask(3) is in the C library itself only since glibc 2.32.
 */
export function blockSignals(signals: readonly number[]): void {
	check(outcome(libc.sigprocmask(SIG_BLOCK, signalSet(signals), 0)));
}

/** Lets signals come to this thread again, those that came meanwhile at once. */
export function unblockSignals(signals: readonly number[]): void {
	check(outcome(libc.sigprocmask(SIG_UNBLOCK, signalSet(signals), 0)));
}

/** The address of raise(3), which as a handler keeps a signal pending for its thread. */
const RAISE = Number((libc.raise as unknown as { readonly ptr: number }).ptr);

/**
 * Has a thread that does not block the signals only take note of one that comes to it, for {@link handSignalsBack}: a
 * Worker that starts does not block them while Bun has it wait (epoll_pwait2 with an empty mask). Such a thread is busy
 * with the signal until it blocks it: all others must block them.
 */
export function keepSignalsPending(signals: readonly number[]): void {
	for (const signal of signals) libc.signal(signal, RAISE);
}

/** Sends a process a signal. */
export function kill(pid: number, signal: number): void {
	libc.kill(pid, signal);
}

const SIGNAL = reserve(signalfdSiginfo.sizeof);

/** Sends the process those of the signals that are pending for this thread alone. */
export function handSignalsBack(signals: readonly number[]): void {
	const pending = openSignals(signals);
	const taken: number[] = [];
	while (read(pending, SIGNAL, signalfdSiginfo.sizeof) > 0)
		taken.push(view.getUint32(SIGNAL + signalfdSiginfo.ssiSigno, true));
	close(pending);
	for (const signal of taken) check(outcome(libc.kill(process.pid, signal)));
}

/** A non-blocking descriptor to read the signals from, which must be blocked in every thread. */
export function openSignals(signals: readonly number[]): Fd {
	return check(outcome(libc.signalfd(-1, signalSet(signals), SFD_CLOEXEC | SFD_NONBLOCK)) as Fd);
}
