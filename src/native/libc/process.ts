/** System calls on this process: identity, limits, signals, waiting, starting programs, views of mounts. */
import { dlopen, FFIType } from "bun:ffi";
import type { ByteString } from "../../options.ts";
import {
	AT_EMPTY_PATH,
	AT_FDCWD,
	MOUNT_ATTR__ATIME,
	MOUNT_ATTR_NOATIME,
	MOUNT_ATTR_RDONLY,
	mountAttr,
	O_CLOEXEC,
	O_NONBLOCK,
	OPEN_TREE_CLOEXEC,
	OPEN_TREE_CLONE,
	POSIX_SPAWN_SETSID,
	PR_SET_NAME,
	RLIMIT_NOFILE,
	rlimit,
	SFD_CLOEXEC,
	SFD_NONBLOCK,
	SIG_BLOCK,
	SIG_UNBLOCK,
	SIGHUP,
	SIGINT,
	SIGTERM,
	SIGUSR1,
	SYS_mount_setattr,
	SYS_open_tree,
	SYS_setfsgid,
	SYS_setfsuid,
	signalfdSiginfo,
} from "../layout.ts";
import {
	base,
	copy,
	EMPTY_NAME,
	getNumber,
	type Offset,
	readBytes,
	reserve,
	setNumber,
	store,
	view,
	writeString,
} from "../memory.ts";
import { check, outcome } from "./errno.ts";
import { close, duplicate, duplicateTo, type Fd, read } from "./file.ts";

const libc = dlopen("libc.so.6", {
	umask: { args: ["u32"], returns: "u32" },
	geteuid: { args: [], returns: "u32" },
	getegid: { args: [], returns: "u32" },
	getpagesize: { args: [], returns: "i32" },
	getrlimit64: { args: ["i32", "usize"], returns: "i32" },
	setrlimit64: { args: ["i32", "usize"], returns: "i32" },
	kill: { args: ["i32", "i32"], returns: "i32" },
	raise: { args: ["i32"], returns: "i32" },
	signal: { args: ["i32", "usize"], returns: "usize" },
	sigprocmask: { args: ["i32", "usize", "usize"], returns: "i32" },
	signalfd: { args: ["i32", "usize", "i32"], returns: "i32" },
	sched_yield: { args: [], returns: "i32" },
	prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
	poll: { args: ["usize", "u64", "i32"], returns: "i32" },
	pipe2: { args: ["usize", "i32"], returns: "i32" },
	fcntl: { args: ["i32", "i32", "i32"], returns: "i32" },
	execve: { args: ["usize", "usize", "usize"], returns: "i32" },
	posix_spawn: { args: ["usize", "usize", "usize", "usize", "usize", "usize"], returns: "i32" },
	posix_spawnattr_init: { args: ["usize"], returns: "i32" },
	posix_spawnattr_setflags: { args: ["usize", "i16"], returns: "i32" },
	posix_spawn_file_actions_init: { args: ["usize"], returns: "i32" },
	posix_spawn_file_actions_addopen: { args: ["usize", "i32", "usize", "i32", "u32"], returns: "i32" },
	posix_spawn_file_actions_adddup2: { args: ["usize", "i32", "i32"], returns: "i32" },
}).symbols;
const { syscall: setFileSystemId } = dlopen("libc.so.6", {
	syscall: { args: ["i64", "u32"], returns: FFIType.i64_fast },
}).symbols;
const { syscall: openTree } = dlopen("libc.so.6", {
	syscall: { args: ["i64", "i32", "usize", "u32"], returns: FFIType.i64_fast },
}).symbols;
const { syscall: mountSetAttributes } = dlopen("libc.so.6", {
	syscall: { args: ["i64", "i32", "usize", "u32", "usize", "usize"], returns: FFIType.i64_fast },
}).symbols;

let currentUmask = -1;

/** Sets the process's umask. */
export function setUmask(mask: number): void {
	if (mask === currentUmask) return;
	libc.umask(mask);
	currentUmask = mask;
}

export function effectiveUid(): number {
	return libc.geteuid();
}

export function effectiveGid(): number {
	return libc.getegid();
}

/** Bytes of a page of memory: 4096 on x86-64, up to 65536 elsewhere. */
export function pageSize(): number {
	return libc.getpagesize();
}

/** What ps and pgrep call this process, if this is its first thread. Longer names are cut at 15 bytes. */
export function nameProcess(name: ByteString): void {
	libc.prctl(PR_SET_NAME, base + keep(name), 0, 0, 0);
}

const NO_CHANGE = 0xffffffff;

/**
 * Makes this thread's file accesses those of other ids. False if that is not permitted, with the ids then undefined.
 * The process's capabilities over files go with another uid, and come back with the own one.
 */
export function actAs(uid: number, gid: number): boolean {
	setFileSystemId(SYS_setfsgid, gid);
	setFileSystemId(SYS_setfsuid, uid);
	return (
		Number(setFileSystemId(SYS_setfsuid, NO_CHANGE)) === uid &&
		Number(setFileSystemId(SYS_setfsgid, NO_CHANGE)) === gid
	);
}

const LIMIT = reserve(rlimit.sizeof);

/** Raises the soft limit on open files to the hard one; returns it. */
export function raiseDescriptorLimit(): number {
	check(outcome(libc.getrlimit64(RLIMIT_NOFILE, base + LIMIT)));
	const hard = getNumber(LIMIT + rlimit.rlimMax);
	if (getNumber(LIMIT + rlimit.rlimCur) === hard) return hard;
	copy(LIMIT + rlimit.rlimCur, LIMIT + rlimit.rlimMax, 8);
	check(outcome(libc.setrlimit64(RLIMIT_NOFILE, base + LIMIT)));
	return hard;
}

/** The signals a daemon minds. They must be blocked in every thread of the process. */
export const SIGNALS = [SIGHUP, SIGINT, SIGTERM, SIGUSR1];

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

/** Waits for `count` `struct pollfd`; returns how many are ready. `timeout` in milliseconds, -1: for ever. */
export function poll(descriptors: Offset, count: number, timeout: number): number {
	return outcome(libc.poll(base + descriptors, count, timeout));
}

/** Lets others run that wait for this processor, if there are any. */
export function yieldProcessor(): void {
	libc.sched_yield();
}

const PIPE = reserve(8);

/** A pipe's reading and writing end. */
export function openPipe(nonBlocking: boolean): [Fd, Fd] {
	check(outcome(libc.pipe2(base + PIPE, O_CLOEXEC | (nonBlocking ? O_NONBLOCK : 0))));
	return [view.getInt32(PIPE, true) as Fd, view.getInt32(PIPE + 4, true) as Fd];
}

/** fcntl(2) with a number as its argument. */
export function descriptorControl(fd: Fd, command: number, argument: number): number {
	return outcome(libc.fcntl(fd, command, argument));
}

/** A NULL-terminated array of pointers to strings. Never freed: programs are started once. */
function stringVector(strings: readonly ByteString[]): number {
	const vector = reserve((strings.length + 1) * 8);
	strings.forEach((string, index) => {
		view.setBigUint64(vector + index * 8, BigInt(base + keep(string)), true);
	});
	return base + vector;
}

function keep(string: ByteString): Offset {
	const at = reserve(string.length + 1);
	writeString(at, string);
	return at;
}

/** Replaces this process by another program; returns only on failure, with -errno. */
export function execute(
	program: ByteString,
	args: readonly ByteString[],
	environment: readonly ByteString[],
): number {
	return outcome(libc.execve(base + keep(program), stringVector(args), stringVector(environment)));
}

const DEV_NULL = store("/dev/null" as ByteString);
const OPAQUE_STRUCT_SIZE = 512;

/**
 * Starts a program in a session of its own, with stdin and stdout on /dev/null, stderr shared, and `inherited` under
 * its own number. The thread's blocked signals are inherited. Throws what starting may.
 */
export function spawnDetached(
	program: ByteString,
	args: readonly ByteString[],
	environment: readonly ByteString[],
	inherited: Fd,
): void {
	const actions = base + reserve(OPAQUE_STRUCT_SIZE);
	const attributes = base + reserve(OPAQUE_STRUCT_SIZE);
	const pid = base + reserve(8);
	libc.posix_spawn_file_actions_init(actions);
	libc.posix_spawn_file_actions_addopen(actions, 0, base + DEV_NULL, 0, 0);
	libc.posix_spawn_file_actions_addopen(actions, 1, base + DEV_NULL, 1, 0);
	libc.posix_spawn_file_actions_adddup2(actions, inherited, inherited);
	libc.posix_spawnattr_init(attributes);
	libc.posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSID);
	const path = base + keep(program);
	check(-libc.posix_spawn(pid, path, actions, attributes, stringVector(args), stringVector(environment)));
}

const MOUNT_ATTRIBUTES = reserve(mountAttr.sizeof);

/**
 * A private clone of the mount that holds `path`, with `path` as its root and nothing mounted below it, kept alive by
 * the descriptor (open_tree(2), Linux 5.2, CAP_SYS_ADMIN). Access times are not kept in it.
 */
export function cloneMount(path: Offset, readOnly: boolean): Fd {
	const fd = outcome(
		openTree(SYS_open_tree, AT_FDCWD, base + path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC),
	) as Fd;
	if (fd < 0) return fd;
	setNumber(MOUNT_ATTRIBUTES + mountAttr.attrSet, MOUNT_ATTR_NOATIME | (readOnly ? MOUNT_ATTR_RDONLY : 0));
	setNumber(MOUNT_ATTRIBUTES + mountAttr.attrClr, MOUNT_ATTR__ATIME);
	// Without mount_setattr (Linux 5.12) the clone behaves as the original mount does.
	const empty = base + EMPTY_NAME;
	mountSetAttributes(SYS_mount_setattr, fd, empty, AT_EMPTY_PATH, base + MOUNT_ATTRIBUTES, mountAttr.sizeof);
	return fd;
}

const STDERR = 2;
const CAPTURED_SIZE = 4096;
const CAPTURED = reserve(CAPTURED_SIZE);

/** What `action` and the programs it starts write to stderr, by lines, at most 4 KiB; nothing of it appears there. */
export function captureStandardError(action: () => void): Captured {
	const own = check(duplicate(STDERR as Fd));
	const [reading, writing] = openPipe(true);
	check(duplicateTo(writing, STDERR));
	let failure: unknown;
	try {
		action();
	} catch (error) {
		failure = error;
	} finally {
		duplicateTo(own, STDERR);
		close(own);
		close(writing);
	}
	const length = Math.max(0, read(reading, CAPTURED, CAPTURED_SIZE));
	close(reading);
	return {
		failure,
		lines: readBytes(CAPTURED, length)
			.split("\n")
			.filter((line) => line !== ""),
	};
}

export interface Captured {
	/** What the action threw; undefined if it did not. */
	readonly failure: unknown;
	readonly lines: readonly string[];
}
