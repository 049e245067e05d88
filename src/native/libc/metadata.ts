/** System calls on owners, modes, times and file systems. Names and buffers are offsets into native/memory.ts. */
import { dlopen, FFIType } from "bun:ffi";
import type { ByteString } from "../../options.ts";
import {
	AT_EMPTY_PATH,
	AT_NO_AUTOMOUNT,
	AT_STATX_DONT_SYNC,
	AT_SYMLINK_NOFOLLOW,
	EINVAL,
	ENOSYS,
	EPERM,
	fileHandle,
	O_CLOEXEC,
	O_NOFOLLOW,
	O_PATH,
	STATX_BASIC_STATS,
	STATX_MNT_ID,
	SYS_fchmodat2,
	SYS_fstatfs,
	SYS_open_by_handle_at,
	SYS_statx,
	statfs,
	statx,
} from "../layout.ts";
import { base, bytes, getNumber, type Offset, readString, reserve, view } from "../memory.ts";
import { open, readText } from "./by-path.ts";
import { OUTPUT } from "./call.ts";
import { isDistant } from "./distant.ts";
import { outcome } from "./errno.ts";
import { close, descriptorPath, type Fd, openAt, throughProc, WORKING_DIRECTORY } from "./file.ts";
import { ask, noteChange } from "./replay.ts";
import { inodeHigh, inodeLow } from "./stat.ts";

const libc = dlopen("libc.so.6", {
	statx: { args: ["i32", "usize", "i32", "u32", "usize"], returns: "i32" },
	fchownat: { args: ["i32", "usize", "u32", "u32", "i32"], returns: "i32" },
	fchmod: { args: ["i32", "u32"], returns: "i32" },
	fchmodat: { args: ["i32", "usize", "u32", "i32"], returns: "i32" },
	futimens: { args: ["i32", "usize"], returns: "i32" },
	name_to_handle_at: { args: ["i32", "usize", "usize", "usize", "i32"], returns: "i32" },
	open_by_handle_at: { args: ["i32", "usize", "i32"], returns: "i32" },
	utimensat: { args: ["i32", "usize", "usize", "i32"], returns: "i32" },
	fstatfs: { args: ["i32", "usize"], returns: "i32" },
}).symbols;
const { syscall: fchmodat2 } = dlopen("libc.so.6", {
	syscall: { args: ["i64", "i32", "usize", "u32", "i32"], returns: FFIType.i64_fast },
}).symbols;

const NO_NAME = "" as ByteString;
const STATX_FLAGS = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;

/** Fills a `struct statx` with the basic attributes of a name; never follows a symlink. */
export function stat(directory: Fd, name: Offset, target: Offset): number {
	if (isDistant(directory)) return statDistant(directory, readString(name), STATX_FLAGS, target);
	return outcome(libc.statx(directory, base + name, STATX_FLAGS, STATX_BASIC_STATS, base + target));
}

/** As {@link stat}, with `flags` added (AT_EMPTY_PATH). */
export function statFlagged(directory: Fd, name: Offset, flags: number, target: Offset): number {
	if (isDistant(directory)) return statDistant(directory, readString(name), STATX_FLAGS | flags, target);
	return outcome(libc.statx(directory, base + name, STATX_FLAGS | flags, STATX_BASIC_STATS, base + target));
}

/** Fills a `struct statx` with the attributes of what `fd` is open on. */
export function statDescriptor(fd: Fd, target: Offset): number {
	if (isDistant(fd)) return statDistant(fd, NO_NAME, AT_EMPTY_PATH | AT_NO_AUTOMOUNT, target);
	return outcome(libc.statx(fd, base, AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, base + target));
}

function statDistant(directory: Fd, name: ByteString, flags: number, target: Offset): number {
	const args = [directory, name, flags, STATX_BASIC_STATS, OUTPUT];
	return ask(directory, SYS_statx, args, target, statx.sizeof) as number;
}

/** Leaves an id of 0xffffffff as it is. Does not follow symlinks. `flags`: AT_EMPTY_PATH. */
export function changeOwner(directory: Fd, name: Offset, uid: number, gid: number, flags = 0): number {
	noteChange();
	return outcome(libc.fchownat(directory, base + name, uid, gid, flags | AT_SYMLINK_NOFOLLOW));
}

export function changeModeOf(fd: Fd, mode: number): number {
	noteChange();
	return outcome(libc.fchmod(fd, mode));
}

let hasFchmodat2 = true;

/** chmod of a name that does not follow symlinks: fchmodat2 (Linux 6.6), else by way of a descriptor. */
export function changeMode(directory: Fd, name: Offset, mode: number): number {
	noteChange();
	if (hasFchmodat2) {
		const result = outcome(fchmodat2(SYS_fchmodat2, directory, base + name, mode, AT_SYMLINK_NOFOLLOW));
		// What is not permitted may be the call itself, by a seccomp filter.
		if (result !== -ENOSYS && result !== -EPERM) return result;
		const again = changeModeByDescriptor(directory, name, mode);
		if (result === -ENOSYS || again === 0) hasFchmodat2 = false;
		return again;
	}
	return changeModeByDescriptor(directory, name, mode);
}

function changeModeByDescriptor(directory: Fd, name: Offset, mode: number): number {
	const fd = openAt(directory, name, O_PATH | O_NOFOLLOW);
	if (fd < 0) return fd;
	const result = changeModeOfPath(fd, mode);
	close(fd);
	return result;
}

/** chmod through an O_PATH descriptor. */
export function changeModeOfPath(fd: Fd, mode: number): number {
	noteChange();
	return throughProc(outcome(libc.fchmodat(WORKING_DIRECTORY, base + descriptorPath(fd), mode, 0)));
}

/** Sets times from two `struct timespec` (UTIME_NOW, UTIME_OMIT allowed); does not follow symlinks. */
export function changeTimes(directory: Fd, name: Offset, times: Offset): number {
	noteChange();
	return outcome(libc.utimensat(directory, base + name, base + times, AT_SYMLINK_NOFOLLOW));
}

/** As {@link changeTimes}, of what `fd` (O_PATH will do) is open on. */
export function changeTimesOf(fd: Fd, times: Offset): number {
	noteChange();
	const result = outcome(libc.utimensat(fd, base, base + times, AT_EMPTY_PATH));
	if (result !== -EINVAL) return result;
	// Before Linux 5.8.
	return throughProc(outcome(libc.utimensat(WORKING_DIRECTORY, base + descriptorPath(fd), base + times, 0)));
}

/** As {@link changeTimes}, of an open file or directory (not O_PATH). */
export function changeTimesOfOpen(fd: Fd, times: Offset): number {
	noteChange();
	return outcome(libc.futimens(fd, base + times));
}

const MOUNT = reserve(statx.sizeof);

/**
 * The mount that `fd` (O_PATH will do) was opened in, as /proc/self/mountinfo numbers them. Asks nothing of its file system,
 * which may be our own.
 */
export function mountId(fd: Fd): number {
	const flags = AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
	const result = outcome(libc.statx(fd, base, flags, STATX_MNT_ID, base + MOUNT));
	const isTold = result === 0 && (view.getUint32(MOUNT + statx.stxMask, true) & STATX_MNT_ID) !== 0;
	if (isTold) return getNumber(MOUNT + statx.stxMntId);
	// Before Linux 5.8.
	const [, id] = /^mnt_id:\t(\d+)$/m.exec(readText(`/proc/self/fdinfo/${fd}`)) ?? [];
	return Number(id);
}

const MOUNT_ID = reserve(8);

/** Fills a `struct file_handle`, whose `handle_bytes` says how much room it has, for a name; does not follow symlinks. */
export function getHandle(directory: Fd, name: Offset, handle: Offset, flags: number): number {
	return outcome(libc.name_to_handle_at(directory, base + name, base + handle, base + MOUNT_ID, flags));
}

/** Opens what a `struct file_handle` stands for on the file system of `mount`. Needs CAP_DAC_READ_SEARCH. */
export function openHandle(mount: Fd, handle: Offset, flags: number): Fd {
	if (isDistant(mount)) return openHandleDistant(mount, handle, flags);
	return outcome(libc.open_by_handle_at(mount, base + handle, flags | O_CLOEXEC)) as Fd;
}

function openHandleDistant(mount: Fd, handle: Offset, flags: number): Fd {
	const size = fileHandle.sizeof + view.getUint32(handle + fileHandle.handleBytes, true);
	const args = [mount, bytes.slice(handle, handle + size), flags | O_CLOEXEC];
	return ask(mount, SYS_open_by_handle_at, args, 0, 0, { opens: flags }) as Fd;
}

/** Fills a `struct statfs`. */
export function statFileSystem(fd: Fd, target: Offset): number {
	if (isDistant(fd)) return ask(fd, SYS_fstatfs, [fd, OUTPUT], target, statfs.sizeof) as number;
	return outcome(libc.fstatfs(fd, base + target));
}

const FILE_SYSTEM = reserve(statfs.sizeof);

/** What kind of file system is at an absolute path: `*_MAGIC`, or -errno. */
export function fileSystemType(path: string): number {
	const fd = open(path, O_PATH);
	if (fd < 0) return fd;
	const result = statFileSystem(fd, FILE_SYSTEM);
	close(fd);
	return result < 0 ? result : getNumber(FILE_SYSTEM + statfs.fType);
}

const PROBE = reserve(statx.sizeof);

/** Whether a descriptor is open on the file that a `struct statx` describes, in the same file system. */
export function isOpenOn(fd: Fd, stat: Offset): boolean {
	if (statDescriptor(fd, PROBE) < 0) return false;
	return inodeLow(PROBE) === inodeLow(stat) && inodeHigh(PROBE) === inodeHigh(stat);
}
