/** System calls on the content of files. Paths and buffers are offsets into native/memory.ts. */
import { dlopen, FFIType } from "bun:ffi";
import type { ByteString } from "../../options.ts";
import {
	AT_FDCWD,
	EIO,
	ENOENT,
	FICLONE,
	O_CLOEXEC,
	O_CREAT,
	O_PATH,
	SEEK_SET,
	SYNC_FILE_RANGE_WAIT_AFTER,
	SYNC_FILE_RANGE_WAIT_BEFORE,
	SYNC_FILE_RANGE_WRITE,
	SYS_ioctl,
	SYS_lseek,
	SYS_openat,
	SYS_pread64,
} from "../layout.ts";
import {
	base,
	bytes,
	type Int64,
	type Name,
	type Offset,
	readString,
	reserve,
	setInt64,
	store,
	writeString,
} from "../memory.ts";
import { OUTPUT, Output } from "./call.ts";
import { inheritAll, isDistant } from "./distant.ts";
import { outcome, outcome64 } from "./errno.ts";
import { ask, askWith, closeDistant, noteChange } from "./replay.ts";

/** An open file descriptor; as a result, `-errno` when negative. */
export type Fd = number & { readonly __brand: "Fd" };
/** The working directory, where a call takes a directory descriptor. */
export const WORKING_DIRECTORY = AT_FDCWD as Fd;
/** No descriptor. */
export const NO_FD = -1 as Fd;

const libc = dlopen("libc.so.6", {
	openat: { args: ["i32", "usize", "i32", "u32"], returns: "i32" },
	close: { args: ["i32"], returns: "i32" },
	dup: { args: ["i32"], returns: "i32" },
	dup2: { args: ["i32", "i32"], returns: "i32" },
	read: { args: ["i32", "usize", "usize"], returns: FFIType.i64_fast },
	write: { args: ["i32", "usize", "usize"], returns: FFIType.i64_fast },
	pread: { args: ["i32", "usize", "usize", FFIType.i64_fast], returns: FFIType.i64_fast },
	pwrite: { args: ["i32", "usize", "usize", FFIType.i64_fast], returns: FFIType.i64_fast },
	ftruncate: { args: ["i32", FFIType.i64_fast], returns: "i32" },
	fsync: { args: ["i32"], returns: "i32" },
	sync_file_range: { args: ["i32", FFIType.i64_fast, FFIType.i64_fast, "u32"], returns: "i32" },
	fdatasync: { args: ["i32"], returns: "i32" },
	syncfs: { args: ["i32"], returns: "i32" },
	fallocate: { args: ["i32", "i32", FFIType.i64_fast, FFIType.i64_fast], returns: "i32" },
	lseek: { args: ["i32", FFIType.i64_fast, "i32"], returns: FFIType.i64_fast },
	copy_file_range: { args: ["i32", "usize", "i32", "usize", "usize", "u32"], returns: FFIType.i64_fast },
	ioctl: { args: ["i32", "usize", "usize"], returns: "i32" },
	flock: { args: ["i32", "i32"], returns: "i32" },
}).symbols;

/** Opens one name in a directory. `mode` counts with O_CREAT and O_TMPFILE only. Always O_CLOEXEC. */
export function openAt(directory: Fd, name: Offset, flags: number, mode = 0): Fd {
	if (isDistant(directory)) return openDistant(directory, directory, readString(name), flags, mode);
	if ((flags & O_CREAT) !== 0) noteChange();
	return outcome(libc.openat(directory, base + name, flags | O_CLOEXEC, mode)) as Fd;
}

/** Opens a path from `directory`, which leads by the distant descriptor `fd`. */
function openDistant(fd: Fd, directory: number, path: ByteString, flags: number, mode: number): Fd {
	return ask(fd, SYS_openat, [directory, path, flags | O_CLOEXEC, mode], 0, 0, { opens: flags }) as Fd;
}

const PROC_PATH = reserve(64) as Name;
const PROC_FDS = store("/proc/self/fd" as ByteString);

/** The result of a call on a path in /proc: that this is gone says nothing of the file. */
export function throughProc(result: number): number {
	return result === -ENOENT && !isProcMounted() ? -EIO : result;
}

function isProcMounted(): boolean {
	const fd = openAt(WORKING_DIRECTORY, PROC_FDS, O_PATH);
	if (fd >= 0) close(fd);
	return fd >= 0;
}

/** `/proc/self/fd/FD`: names what the descriptor is open on, also after its name is gone. Scratch memory. */
export function descriptorPath(fd: Fd): Name {
	writeString(PROC_PATH, `/proc/self/fd/${fd}` as ByteString);
	return PROC_PATH;
}

/** Opens again what `fd` (O_PATH will do) is open on, with other flags. */
export function reopen(fd: Fd, flags: number): Fd {
	if (isDistant(fd))
		return throughProc(openDistant(fd, AT_FDCWD, readString(descriptorPath(fd)), flags, 0)) as Fd;
	return throughProc(openAt(WORKING_DIRECTORY, descriptorPath(fd), flags)) as Fd;
}

export function close(fd: Fd): void {
	if (isDistant(fd)) {
		closeDistant(fd);
		return;
	}
	// After a failed close the descriptor is gone all the same; write errors were reported by fsync.
	libc.close(fd);
}

export function duplicate(fd: Fd): Fd {
	const copied = outcome(libc.dup(fd)) as Fd;
	if (copied >= 0 && isDistant(fd)) inheritAll(fd, copied);
	return copied;
}

/** Makes `target` name what `fd` is open on; not close-on-exec. */
export function duplicateTo(fd: Fd, target: number): number {
	return outcome(libc.dup2(fd, target));
}

export function read(fd: Fd, target: Offset, size: number): number {
	return outcome(libc.read(fd, base + target, size));
}

export function write(fd: Fd, source: Offset, size: number): number {
	return outcome(libc.write(fd, base + source, size));
}

/** As {@link write}, from an address, which may be in another thread's memory. */
export function writeFrom(fd: Fd, address: number, size: number): number {
	return outcome(libc.write(fd, address, size));
}

export function pread(fd: Fd, target: Offset, size: number, position: Int64): number {
	if (isDistant(fd)) return preadDistant(fd, target, size, position);
	return outcome(libc.pread(fd, base + target, size, position));
}

function preadDistant(fd: Fd, target: Offset, size: number, position: Int64): number {
	return ask(fd, SYS_pread64, [fd, OUTPUT, size, position], target, size, { isCounted: true }) as number;
}

/**
 * As {@link pread}, without the copying that takes where `fd` is distant: `take` is told where the data is, `target` or
 * elsewhere, and the length or -errno.
 */
export function preadInPlace(
	fd: Fd,
	target: Offset,
	size: number,
	position: Int64,
	take: (data: Offset, length: number) => void,
): void {
	if (!isDistant(fd)) take(target, outcome(libc.pread(fd, base + target, size, position)));
	else
		askWith(fd, SYS_pread64, [fd, OUTPUT, size, position], size, {}, ({ output, result }) =>
			take(output, result as number),
		);
}

export function pwrite(fd: Fd, source: Offset, size: number, position: Int64): number {
	noteChange();
	return outcome(libc.pwrite(fd, base + source, size, position));
}

export function truncate(fd: Fd, size: Int64): number {
	noteChange();
	return outcome(libc.ftruncate(fd, size));
}

export function sync(fd: Fd): number {
	return outcome(libc.fsync(fd));
}

export function dataSync(fd: Fd): number {
	return outcome(libc.fdatasync(fd));
}

/** Writes all of a file system to the disk. */
export function syncFileSystem(fd: Fd): number {
	return outcome(libc.syncfs(fd));
}

const WRITE_BACK = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;

/** Writes a file's data to the disk and waits for that, but not for what describes it: it is not durable yet. */
export function writeBack(fd: Fd): number {
	return outcome(libc.sync_file_range(fd, 0, 0, WRITE_BACK));
}

export function allocateRange(fd: Fd, mode: number, start: Int64, length: Int64): number {
	noteChange();
	return outcome(libc.fallocate(fd, mode, start, length));
}

export function seek(fd: Fd, offset: Int64, whence: number): Int64 {
	if (whence !== SEEK_SET && isDistant(fd)) return ask(fd, SYS_lseek, [fd, offset, whence], 0, 0);
	return outcome64(libc.lseek(fd, offset, whence));
}

const POSITIONS = reserve(16);

/** Copies within the kernel; reflinks where the file system can. Returns the bytes copied. */
export function copyRange(from: Fd, fromPosition: Int64, to: Fd, toPosition: Int64, length: number): number {
	noteChange();
	setInt64(POSITIONS, fromPosition);
	setInt64(POSITIONS + 8, toPosition);
	return outcome(libc.copy_file_range(from, base + POSITIONS, to, base + POSITIONS + 8, length, 0));
}

/** Makes `to` share all blocks of `from` (ioctl FICLONE). */
export function cloneFile(from: Fd, to: Fd): number {
	noteChange();
	return outcome(libc.ioctl(to, FICLONE, from));
}

/** ioctl(2) with a buffer of `size` bytes as its argument. */
export function control(fd: Fd, request: number, argument: Offset, size: number): number {
	if (isDistant(fd)) return controlDistant(fd, request, argument, size);
	return outcome(libc.ioctl(fd, request, base + argument));
}

function controlDistant(fd: Fd, request: number, argument: Offset, size: number): number {
	const before = new Output(bytes.slice(argument, argument + size));
	return ask(fd, SYS_ioctl, [fd, request, before], argument, size) as number;
}

export function lock(fd: Fd, operation: number): number {
	return outcome(libc.flock(fd, operation));
}
