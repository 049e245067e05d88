/**
 * System calls that node:fs lacks, for tests only: thin, synchronous, on byte paths. A failing call throws a
 * {@link SystemCallError} whose `code` reads like that of node:fs, so that {@link codeOf} serves both.
 *
 * Deliberately independent of src/native: a fault there must not hide itself from the tests.
 */

import { dlopen, FFIType, type Pointer, ptr, read, toArrayBuffer } from "bun:ffi";
import { constants as osConstants } from "node:os";

const libc = dlopen("libc.so.6", {
	__errno_location: { returns: "ptr" },
	copy_file_range: { args: ["i32", "ptr", "i32", "ptr", "u64", "u32"], returns: FFIType.i64_fast },
	fallocate: { args: ["i32", "i32", "i64", "i64"], returns: "i32" },
	fcntl: { args: ["i32", "i32", "ptr"], returns: "i32" },
	fgetxattr: { args: ["i32", "ptr", "ptr", "u64"], returns: FFIType.i64_fast },
	flock: { args: ["i32", "i32"], returns: "i32" },
	fremovexattr: { args: ["i32", "ptr"], returns: "i32" },
	fsetxattr: { args: ["i32", "ptr", "ptr", "u64", "i32"], returns: "i32" },
	futimens: { args: ["i32", "ptr"], returns: "i32" },
	getdents64: { args: ["i32", "ptr", "u64"], returns: FFIType.i64_fast },
	ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" },
	lgetxattr: { args: ["ptr", "ptr", "ptr", "u64"], returns: FFIType.i64_fast },
	linkat: { args: ["i32", "ptr", "i32", "ptr", "i32"], returns: "i32" },
	llistxattr: { args: ["ptr", "ptr", "u64"], returns: FFIType.i64_fast },
	lremovexattr: { args: ["ptr", "ptr"], returns: "i32" },
	lseek: { args: ["i32", "i64", "i32"], returns: FFIType.i64_fast },
	lsetxattr: { args: ["ptr", "ptr", "ptr", "u64", "i32"], returns: "i32" },
	mmap: { args: ["ptr", "u64", "i32", "i32", "i32", "i64"], returns: "ptr" },
	mount: { args: ["ptr", "ptr", "ptr", "u64", "ptr"], returns: "i32" },
	msync: { args: ["ptr", "u64", "i32"], returns: "i32" },
	munmap: { args: ["ptr", "u64"], returns: "i32" },
	name_to_handle_at: { args: ["i32", "ptr", "ptr", "ptr", "i32"], returns: "i32" },
	pread: { args: ["i32", "ptr", "u64", "i64"], returns: FFIType.i64_fast },
	pwrite: { args: ["i32", "ptr", "u64", "i64"], returns: FFIType.i64_fast },
	renameat2: { args: ["i32", "ptr", "i32", "ptr", "u32"], returns: "i32" },
	setfsgid: { args: ["u32"], returns: "i32" },
	setfsuid: { args: ["u32"], returns: "i32" },
	syscall: { args: ["i64", "i64", "ptr", "u64", "u64"], returns: FFIType.i64_fast },
	umount2: { args: ["ptr", "i32"], returns: "i32" },
	utimensat: { args: ["i32", "ptr", "ptr", "i32"], returns: "i32" },
}).symbols;

/** A path: text (UTF-8), or bytes where the name need not be text. */
export type BytePath = string | Buffer;

export class SystemCallError extends Error {
	readonly code: string;
	constructor(call: string, errno: number) {
		const code = Object.entries(osConstants.errno).find(([, value]) => value === errno)?.[0];
		super(`${call}: ${code ?? `errno ${errno}`}`);
		this.code = code ?? String(errno);
	}
}

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_SYMLINK_FOLLOW = 0x400;
const errnoLocation = libc.__errno_location() as Pointer;

/** Throws for -1, else hands the result on. */
export function checked(call: string, result: number | bigint): number {
	if (result < 0) throw new SystemCallError(call, read.i32(errnoLocation, 0));
	return Number(result);
}

/** Memory whose address stays put: that of small plain typed arrays does not. */
export function stableBuffer(size: number): Buffer {
	return Buffer.from(new ArrayBuffer(size));
}

export function cString(text: BytePath): Buffer {
	const bytes = typeof text === "string" ? Buffer.from(text) : text;
	const terminated = stableBuffer(bytes.length + 1);
	bytes.copy(terminated);
	return terminated;
}

/** The code (`"ENOENT"`) with which `action` fails; undefined when it succeeds. */
export function codeOf(action: () => unknown): string | undefined {
	try {
		action();
	} catch (error) {
		const { code } = error as { code?: unknown };
		if (typeof code !== "string") throw error;
		return code;
	}
	return undefined;
}

export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;
export const RENAME_WHITEOUT = 4;

export function renameat2(from: BytePath, to: BytePath, flags: number): void {
	checked("renameat2", libc.renameat2(AT_FDCWD, cString(from), AT_FDCWD, cString(to), flags));
}

/** Links what an open descriptor stands for, be it O_TMPFILE or unlinked, as open(2) shows it. */
export function linkDescriptor(fd: number, to: BytePath): void {
	const source = cString(`/proc/self/fd/${fd}`);
	checked("linkat", libc.linkat(AT_FDCWD, source, AT_FDCWD, cString(to), AT_SYMLINK_FOLLOW));
}

/** By its number: mknod(3) is in the C library itself only since glibc 2.33. */
const SYS_mknodat = process.arch === "arm64" ? 33 : 259;

/** `mode` includes the type (S_IFCHR, S_IFIFO ...). */
export function mknod(path: BytePath, mode: number, major = 0, minor = 0): void {
	checked("mknod", libc.syscall(SYS_mknodat, AT_FDCWD, cString(path), mode, makeDevice(major, minor)));
}

export function makeDevice(major: number, minor: number): number {
	return ((minor & 0xff) | ((major & 0xfff) << 8)) + (minor >>> 8) * 0x100000;
}

export const XATTR_CREATE = 1;
export const XATTR_REPLACE = 2;

/** Never follows a symlink. */
export function setxattr(path: BytePath, name: string, value: string | Buffer, flags = 0): void {
	const bytes = cString(value);
	checked("setxattr", libc.lsetxattr(cString(path), cString(name), bytes, bytes.length - 1, flags));
}

export function getxattr(path: BytePath, name: string): Buffer {
	const value = stableBuffer(65536);
	const length = checked("getxattr", libc.lgetxattr(cString(path), cString(name), value, value.length));
	return Buffer.from(value.subarray(0, length));
}

/** The raw call with a buffer of `size` bytes: 0 asks for the length only. */
export function getxattrSized(path: BytePath, name: string, size: number): number {
	const value = stableBuffer(Math.max(size, 1));
	return checked("getxattr", libc.lgetxattr(cString(path), cString(name), value, size));
}

export function listxattr(path: BytePath): string[] {
	const names = stableBuffer(65536);
	const length = checked("listxattr", libc.llistxattr(cString(path), names, names.length));
	return names.toString("latin1", 0, length).split("\0").slice(0, -1).sort();
}

export function removexattr(path: BytePath, name: string): void {
	checked("removexattr", libc.lremovexattr(cString(path), cString(name)));
}

export function fsetxattr(fd: number, name: string, value: string): void {
	const bytes = cString(value);
	checked("fsetxattr", libc.fsetxattr(fd, cString(name), bytes, bytes.length - 1, 0));
}

export function fremovexattr(fd: number, name: string): void {
	checked("fremovexattr", libc.fremovexattr(fd, cString(name)));
}

export function fgetxattr(fd: number, name: string): Buffer {
	const value = stableBuffer(65536);
	return Buffer.from(
		value.subarray(0, checked("fgetxattr", libc.fgetxattr(fd, cString(name), value, 65536))),
	);
}

export const FALLOC_FL_KEEP_SIZE = 1;
export const FALLOC_FL_PUNCH_HOLE = 2;
export const FALLOC_FL_COLLAPSE_RANGE = 8;
export const FALLOC_FL_ZERO_RANGE = 16;

export function fallocate(fd: number, mode: number, offset: number | bigint, length: number | bigint): void {
	checked("fallocate", libc.fallocate(fd, mode, offset, length));
}

export const SEEK_SET = 0;
export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;

export function lseek(fd: number, offset: number | bigint, whence: number): number {
	return checked("lseek", libc.lseek(fd, offset, whence));
}

/** Copies at explicit offsets; the number of bytes copied. */
export function copyFileRange(
	from: number,
	fromAt: number | bigint,
	to: number,
	toAt: number | bigint,
	length: number | bigint,
): number {
	const offsets = stableBuffer(16);
	offsets.writeBigInt64LE(BigInt(fromAt), 0);
	offsets.writeBigInt64LE(BigInt(toAt), 8);
	const address = ptr(offsets);
	return checked(
		"copy_file_range",
		libc.copy_file_range(from, address, to, (address + 8) as Pointer, length, 0),
	);
}

const UTIME_NOW = 0x3fffffff;
const UTIME_OMIT = 0x3ffffffe;
/** Nanoseconds since the epoch, or what utimensat(2) offers besides. */
export type Timestamp = bigint | "now" | "omit";

function timespecs(times: readonly [Timestamp, Timestamp]): Buffer {
	const buffer = stableBuffer(32);
	times.forEach((time, index) => {
		const isCount = typeof time === "bigint";
		const seconds = isCount
			? (time - (((time % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n)) / 1_000_000_000n
			: 0n;
		const rest = isCount ? time - seconds * 1_000_000_000n : BigInt(time === "now" ? UTIME_NOW : UTIME_OMIT);
		buffer.writeBigInt64LE(seconds, index * 16);
		buffer.writeBigInt64LE(rest, index * 16 + 8);
	});
	return buffer;
}

/** Sets the times of access and modification to the nanosecond; does not follow a symlink. */
export function setTimes(path: BytePath, accessed: Timestamp, modified: Timestamp): void {
	const times = timespecs([accessed, modified]);
	checked("utimensat", libc.utimensat(AT_FDCWD, cString(path), times, AT_SYMLINK_NOFOLLOW));
}

export function setTimesOf(fd: number, accessed: Timestamp, modified: Timestamp): void {
	checked("futimens", libc.futimens(fd, timespecs([accessed, modified])));
}

export const LOCK_SH = 1;
export const LOCK_EX = 2;
export const LOCK_NB = 4;
export const LOCK_UN = 8;

export function flock(fd: number, operation: number): void {
	checked("flock", libc.flock(fd, operation));
}

/** Bytes from `start` on; a length of 0: to the end, wherever that is. */
export interface ByteRange {
	readonly start: number;
	readonly length: number;
}
export type RecordLock = "read" | "write" | "none";
/** In the order of F_RDLCK, F_WRLCK, F_UNLCK. */
const recordLocks: readonly RecordLock[] = ["read", "write", "none"];
const F_GETLK = 5;
const F_SETLK = 6;
const F_OFD_SETLK = 37;

function recordLock(fd: number, command: number, kind: RecordLock, { start, length }: ByteRange): Buffer {
	const flockStructure = stableBuffer(32);
	flockStructure.writeInt16LE(recordLocks.indexOf(kind), 0);
	flockStructure.writeBigInt64LE(BigInt(start), 8);
	flockStructure.writeBigInt64LE(BigInt(length), 16);
	checked("fcntl", libc.fcntl(fd, command, flockStructure));
	return flockStructure;
}

/** A POSIX lock, which is the process's; it does not wait: EAGAIN. */
export function lockRange(fd: number, kind: RecordLock, range: ByteRange): void {
	recordLock(fd, F_SETLK, kind, range);
}

/** The same for the open description, whichever process has it. */
export function lockRangeOfDescription(fd: number, kind: RecordLock, range: ByteRange): void {
	recordLock(fd, F_OFD_SETLK, kind, range);
}

/** The process whose POSIX lock is in the way of such a one; undefined: none is. */
export function holderOfRange(fd: number, kind: RecordLock, range: ByteRange): number | undefined {
	const found = recordLock(fd, F_GETLK, kind, range);
	return recordLocks[found.readInt16LE(0)] === "none" ? undefined : found.readInt32LE(24);
}

export interface DirectoryRecord {
	/** Latin-1: one char code a byte. */
	readonly name: string;
	readonly ino: bigint;
	readonly type: number;
	/** What lseek(2) takes to go on after this record. */
	readonly nextOffset: bigint;
}

/** One getdents64 call: as many records as fit into `size` bytes; empty at the end. */
export function readDirectoryRecords(fd: number, size = 4096): DirectoryRecord[] {
	const buffer = stableBuffer(size);
	const length = checked("getdents64", libc.getdents64(fd, buffer, size));
	const records: DirectoryRecord[] = [];
	for (let at = 0; at < length; at += buffer.readUInt16LE(at + 16)) {
		const end = buffer.indexOf(0, at + 19);
		records.push({
			name: buffer.toString("latin1", at + 19, end),
			ino: buffer.readBigUInt64LE(at),
			type: buffer.readUInt8(at + 18),
			nextOffset: buffer.readBigInt64LE(at + 8),
		});
	}
	return records;
}

/** `argument` is read and written. */
export function ioctl(fd: number, request: number, argument: Buffer): void {
	checked("ioctl", libc.ioctl(fd, request, argument));
}

export function mount(source: string, target: string, type: string, flags: number, data: string): void {
	checked("mount", libc.mount(cString(source), cString(target), cString(type), flags, cString(data)));
}

export const MS_REMOUNT = 32;
export const MNT_DETACH = 2;
export const MNT_FORCE = 1;

export function umount(target: string, flags = 0): void {
	checked("umount", libc.umount2(cString(target), flags));
}

const PROT_READ = 1;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const MS_SYNC = 4;

export interface Mapping extends Disposable {
	readonly bytes: Buffer;
	sync(): void;
}

function map(length: number, protection: number, flags: number, fd: number, offset: number): Mapping {
	const address = libc.mmap(null, length, protection, flags, fd, offset);
	// MAP_FAILED is -1, which arrives as a huge number.
	if (address === null || address > 2 ** 52) throw new SystemCallError("mmap", read.i32(errnoLocation, 0));
	return {
		bytes: Buffer.from(toArrayBuffer(address, 0, length)),
		sync() {
			checked("msync", libc.msync(address, length, MS_SYNC));
		},
		[Symbol.dispose]() {
			checked("munmap", libc.munmap(address, length));
		},
	};
}

/** A shared writable mapping of `length` bytes of a file; without `fd` page-aligned memory, as O_DIRECT needs. */
export function mapMemory(length: number, fd?: number, offset = 0): Mapping {
	const flags = fd === undefined ? MAP_PRIVATE_ANONYMOUS : MAP_SHARED;
	return map(length, PROT_READ_WRITE, flags, fd ?? -1, offset);
}

/** A shared mapping that is only read; writing to its bytes would end the process. */
export function mapToRead(length: number, fd: number): Mapping {
	return map(length, PROT_READ, MAP_SHARED, fd, 0);
}

/** Asks for a handle to open the file by later, and drops it. */
export function askForHandle(path: BytePath): void {
	const MAX_HANDLE_SZ = 128;
	const handle = stableBuffer(8 + MAX_HANDLE_SZ);
	handle.writeUInt32LE(MAX_HANDLE_SZ, 0);
	checked("name_to_handle_at", libc.name_to_handle_at(AT_FDCWD, cString(path), handle, stableBuffer(4), 0));
}

/** Reads or writes a mapping's memory: its address must not be copied, as Buffers of node:fs may be. */
export function preadInto(fd: number, mapping: Mapping, length: number, offset: number): number {
	return checked("pread", libc.pread(fd, mapping.bytes, length, offset));
}

export function pwriteFrom(fd: number, mapping: Mapping, length: number, offset: number): number {
	return checked("pwrite", libc.pwrite(fd, mapping.bytes, length, offset));
}

/** By its number: the C library's own call would change the groups of all threads. */
const SYS_setgroups = process.arch === "arm64" ? 159 : 116;

function setGroups(groups: readonly number[]): void {
	const list = stableBuffer(groups.length * 4 + 4);
	for (const [index, group] of groups.entries()) list.writeUInt32LE(group, index * 4);
	checked("setgroups", libc.syscall(SYS_setgroups, groups.length, list, 0, 0));
}

/**
 * Runs a synchronous action with the file system identity of another user: the kernel then checks, and
 * file systems record, these ids, and root's power over files is gone. `groups` are the supplementary ones.
 */
export function asUser<Result>(
	uid: number,
	gid: number,
	action: () => Result,
	groups: readonly number[] = [0],
): Result {
	setGroups(groups);
	libc.setfsgid(gid);
	libc.setfsuid(uid);
	try {
		return action();
	} finally {
		libc.setfsuid(0);
		libc.setfsgid(0);
		setGroups([0]);
	}
}
