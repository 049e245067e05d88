/** System calls on this process: identity, limits, waiting, starting programs, views of mounts. */
import { dlopen, FFIType } from "bun:ffi";
import type { ByteString } from "../../options.ts";
import {
	AT_EMPTY_PATH,
	EINTR,
	MNT_DETACH,
	MOUNT_ATTR__ATIME,
	MOUNT_ATTR_NOATIME,
	MOUNT_ATTR_RDONLY,
	mountAttr,
	O_CLOEXEC,
	O_DIRECTORY,
	O_NONBLOCK,
	O_RDONLY,
	O_RDWR,
	OPEN_TREE_CLOEXEC,
	OPEN_TREE_CLONE,
	POSIX_SPAWN_SETSID,
	PR_SET_NAME,
	RLIM_INFINITY,
	RLIMIT_CPU,
	rlimit,
	SYS_mount_setattr,
	SYS_open_tree,
	SYS_setfsgid,
	SYS_setfsuid,
	UMOUNT_NOFOLLOW,
	WNOHANG,
} from "../layout.ts";
import {
	base,
	EMPTY_NAME,
	type Offset,
	readBytes,
	reserve,
	setNumber,
	store,
	view,
	writeString,
} from "../memory.ts";
import { check, outcome } from "./errno.ts";
import { close, duplicate, duplicateTo, type Fd, NO_FD, openAt, read, WORKING_DIRECTORY } from "./file.ts";

const libc = dlopen("libc.so.6", {
	umask: { args: ["u32"], returns: "u32" },
	geteuid: { args: [], returns: "u32" },
	getegid: { args: [], returns: "u32" },
	getpagesize: { args: [], returns: "i32" },
	getrlimit: { args: ["i32", "usize"], returns: "i32" },
	setrlimit: { args: ["i32", "usize"], returns: "i32" },
	sched_yield: { args: [], returns: "i32" },
	prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
	poll: { args: ["usize", "u64", "i32"], returns: "i32" },
	pipe2: { args: ["usize", "i32"], returns: "i32" },
	fcntl: { args: ["i32", "i32", "i32"], returns: "i32" },
	execve: { args: ["usize", "usize", "usize"], returns: "i32" },
	posix_spawn: { args: ["usize", "usize", "usize", "usize", "usize", "usize"], returns: "i32" },
	posix_spawnp: { args: ["usize", "usize", "usize", "usize", "usize", "usize"], returns: "i32" },
	waitpid: { args: ["i32", "usize", "i32"], returns: "i32" },
	umount2: { args: ["usize", "i32"], returns: "i32" },
	posix_spawnattr_init: { args: ["usize"], returns: "i32" },
	posix_spawnattr_setflags: { args: ["usize", "i16"], returns: "i32" },
	posix_spawn_file_actions_init: { args: ["usize"], returns: "i32" },
	posix_spawn_file_actions_adddup2: { args: ["usize", "i32", "i32"], returns: "i32" },
	posix_spawn_file_actions_destroy: { args: ["usize"], returns: "i32" },
	posix_spawnattr_destroy: { args: ["usize"], returns: "i32" },
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

/** The limits on a resource, `RLIMIT_*`; Infinity for none. */
function limitsOf(resource: number): { soft: number; hard: number } {
	check(outcome(libc.getrlimit(resource, base + LIMIT)));
	const value = (at: number) => {
		const limit = view.getBigUint64(LIMIT + at, true);
		return limit === RLIM_INFINITY ? Number.POSITIVE_INFINITY : Number(limit);
	};
	return { soft: value(rlimit.rlimCur), hard: value(rlimit.rlimMax) };
}

function setLimits(resource: number, soft: number, hard: number): number {
	const put = (at: number, limit: number) =>
		view.setBigUint64(LIMIT + at, limit === Number.POSITIVE_INFINITY ? RLIM_INFINITY : BigInt(limit), true);
	put(rlimit.rlimCur, soft);
	put(rlimit.rlimMax, hard);
	return outcome(libc.setrlimit(resource, base + LIMIT));
}

/** Raises the soft limit on a resource to the hard one; returns it, Infinity for none. */
export function raiseLimit(resource: number): number {
	const { soft, hard } = limitsOf(resource);
	if (soft !== hard) check(setLimits(resource, hard, hard));
	return hard;
}

/** Takes a limit off, with the privilege for that, or raises it as far as may be; returns it, Infinity for none. */
export function liftLimit(resource: number): number {
	if (setLimits(resource, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY) === 0)
		return Number.POSITIVE_INFINITY;
	return raiseLimit(resource);
}

/** Has SIGXCPU come a second before the hard limit on processor time, at which the kernel kills without a word. */
export function warnOfProcessorLimit(): void {
	const { hard } = limitsOf(RLIMIT_CPU);
	if (hard !== Number.POSITIVE_INFINITY && hard > 1) check(setLimits(RLIMIT_CPU, hard - 1, hard));
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

/** A NULL-terminated array of pointers to strings. Never freed: programs are started rarely. */
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
const ROOT = store("/" as ByteString);
const OPAQUE_STRUCT_SIZE = 512;
const ACTIONS = base + reserve(OPAQUE_STRUCT_SIZE);
const ATTRIBUTES = base + reserve(OPAQUE_STRUCT_SIZE);

/** A descriptor for who must have one and needs none: /dev/null or, where that is missing, a directory, which answers errors. */
export function openNowhere(): Fd {
	const fd = openAt(WORKING_DIRECTORY, DEV_NULL, O_RDWR);
	return fd >= 0 ? fd : check(openAt(WORKING_DIRECTORY, ROOT, O_RDONLY | O_DIRECTORY));
}

/** A program to start. */
export interface Start {
	readonly program: ByteString;
	readonly args: readonly ByteString[];
	readonly environment: readonly ByteString[];
}

/**
 * Starts a program in a session of its own, with stdin, which leads nowhere unless given, stdout leading nowhere, stderr shared,
 * and `inherited` under their own numbers. The thread's blocked signals are inherited. Returns its pid; throws what starting may.
 */
export function spawnDetached(start: Start, inherited: readonly Fd[], stdin: Fd = NO_FD): number {
	const { program, args, environment } = start;
	libc.posix_spawn_file_actions_init(ACTIONS);
	libc.posix_spawnattr_init(ATTRIBUTES);
	const nowhere = openNowhere();
	libc.posix_spawn_file_actions_adddup2(ACTIONS, stdin === NO_FD ? nowhere : stdin, 0);
	libc.posix_spawn_file_actions_adddup2(ACTIONS, nowhere, 1);
	for (const fd of inherited) libc.posix_spawn_file_actions_adddup2(ACTIONS, fd, fd);
	libc.posix_spawnattr_setflags(ATTRIBUTES, POSIX_SPAWN_SETSID);
	const path = base + keep(program);
	const failed = libc.posix_spawn(
		base + PID,
		path,
		ACTIONS,
		ATTRIBUTES,
		stringVector(args),
		stringVector(environment),
	);
	libc.posix_spawn_file_actions_destroy(ACTIONS);
	libc.posix_spawnattr_destroy(ATTRIBUTES);
	close(nowhere);
	check(-failed);
	return view.getInt32(PID, true);
}

/** Takes note of a child's end, if it has ended. */
export function reap(pid: number): void {
	libc.waitpid(pid, base + STATUS, WNOHANG);
}

const PID = reserve(8);
const STATUS = reserve(8);

/** Runs a program, looked for as a shell does; returns its wait status, or -errno. */
export function run({ program, args, environment }: Start): number {
	const argv = stringVector(args);
	const failed = libc.posix_spawnp(base + PID, base + keep(program), 0, 0, argv, stringVector(environment));
	if (failed !== 0) return -failed;
	for (;;) {
		const waited = outcome(libc.waitpid(view.getInt32(PID, true), base + STATUS, 0));
		if (waited >= 0) return view.getInt32(STATUS, true);
		if (waited !== -EINTR) return waited;
	}
}

/** Takes the topmost mount at a path away at once, and lets those go on who use it (umount2(2)). */
export function unmountLazily(path: ByteString): number {
	return outcome(libc.umount2(base + keep(path), MNT_DETACH | UMOUNT_NOFOLLOW));
}

const MOUNT_ATTRIBUTES = reserve(mountAttr.sizeof);

/**
 * A private clone of the mount that `directory` (O_PATH will do) was opened in, with it as its root and nothing mounted
 * below it, kept alive by the descriptor (open_tree(2), Linux 5.2, CAP_SYS_ADMIN). Access times are not kept in it.
 */
export function cloneMount(directory: Fd, readOnly: boolean): Fd {
	const flags = AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
	const fd = outcome(openTree(SYS_open_tree, directory, base + EMPTY_NAME, flags)) as Fd;
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
