/**
 * Extended attributes, of descriptors and of names in a directory. Linux 6.13 has calls for the latter. Before that a name is
 * reached as `/proc/self/fd/DIRECTORY/NAME`, at nearly three times the cost, through the calls that do not follow a symlink: only the one
 * name, which cannot hold a slash, is looked up in the layer.
 */
import { dlopen, FFIType } from "bun:ffi";
import type { ByteString } from "../../options.ts";
import {
	AT_SYMLINK_NOFOLLOW,
	EBADF,
	ENOSYS,
	EOPNOTSUPP,
	EPERM,
	SYS_fgetxattr,
	SYS_flistxattr,
	SYS_getxattr,
	SYS_getxattrat,
	SYS_lgetxattr,
	SYS_listxattr,
	SYS_listxattrat,
	SYS_llistxattr,
	SYS_removexattrat,
	SYS_setxattrat,
	XATTR_LIST_MAX,
	xattrArgs,
} from "../layout.ts";
import {
	base,
	copy,
	EMPTY_NAME,
	lengthOf,
	type Offset,
	readBytes,
	readString,
	reserve,
	setNumber,
	words,
	writeString,
} from "../memory.ts";
import { type Argument, OUTPUT, VALUE_OUTPUT } from "./call.ts";
import { isDistant } from "./distant.ts";
import { outcome } from "./errno.ts";
import { type Fd, throughProc } from "./file.ts";
import { ask, noteChange } from "./replay.ts";

const libc = dlopen("libc.so.6", {
	fgetxattr: { args: ["i32", "usize", "usize", "usize"], returns: FFIType.i64_fast },
	fsetxattr: { args: ["i32", "usize", "usize", "usize", "i32"], returns: "i32" },
	flistxattr: { args: ["i32", "usize", "usize"], returns: FFIType.i64_fast },
	fremovexattr: { args: ["i32", "usize"], returns: "i32" },
	getxattr: { args: ["usize", "usize", "usize", "usize"], returns: FFIType.i64_fast },
	setxattr: { args: ["usize", "usize", "usize", "usize", "i32"], returns: "i32" },
	listxattr: { args: ["usize", "usize", "usize"], returns: FFIType.i64_fast },
	removexattr: { args: ["usize", "usize"], returns: "i32" },
	lgetxattr: { args: ["usize", "usize", "usize", "usize"], returns: FFIType.i64_fast },
	lsetxattr: { args: ["usize", "usize", "usize", "usize", "i32"], returns: "i32" },
	llistxattr: { args: ["usize", "usize", "usize"], returns: FFIType.i64_fast },
	lremovexattr: { args: ["usize", "usize"], returns: "i32" },
}).symbols;

const { syscall: callOnName } = dlopen("libc.so.6", {
	syscall: {
		args: ["i64", "i32", "usize", "u32", "usize", "usize", "usize"],
		returns: FFIType.i64_fast,
	},
}).symbols;

const PATH = reserve(512);
const VALUE = reserve(xattrArgs.sizeof);
const NONE = "" as ByteString;

/** The path of a name in a directory, or of the descriptor itself for the empty name. Scratch memory. */
function pathOf(directory: Fd, name: Offset): number {
	const prefix = `/proc/self/fd/${directory}` as ByteString;
	writeString(PATH, prefix);
	if (name !== EMPTY_NAME) {
		const length = lengthOf(name);
		writeString(PATH + prefix.length, "/" as ByteString);
		copy(PATH + prefix.length + 1, name, length + 1);
	}
	return base + PATH;
}

let hasCallsOnNames = true;

/** What a system call on a name in a directory returns; undefined where it is to be made by a path. */
function atName(
	call: number,
	directory: Fd,
	name: Offset,
	first: number,
	second: number,
	third: number,
): number | undefined {
	if (!hasCallsOnNames || name === EMPTY_NAME) return undefined;
	const result = outcome(callOnName(call, directory, base + name, AT_SYMLINK_NOFOLLOW, first, second, third));
	return isRefused(result) ? undefined : result;
}

/** Whether the call itself is what was answered: it does not exist, or a seccomp filter may not permit it. */
function isRefused(result: number): boolean {
	if (result === -ENOSYS) hasCallsOnNames = false;
	return result === -ENOSYS || result === -EPERM;
}

/** The value at `value` for {@link atName}, as a `struct xattr_args`. */
function describeValue(value: Offset, size: number, flags: number): number {
	setNumber(VALUE + xattrArgs.value, base + value);
	words[(VALUE + xattrArgs.size) >>> 2] = size;
	words[(VALUE + xattrArgs.flags) >>> 2] = flags;
	return base + VALUE;
}

/** Reads a value; returns its length. With `size` 0 only the length. A descriptor opened with O_PATH will do. */
export function getAttributeOf(fd: Fd, attribute: Offset, target: Offset, size: number): number {
	if (isDistant(fd)) return getDistant(fd, NONE, readString(attribute), target, size);
	const length = outcome(libc.fgetxattr(fd, base + attribute, base + target, size));
	return length === -EBADF ? getAttribute(fd, EMPTY_NAME, attribute, target, size) : length;
}

/** `flags`: XATTR_CREATE, XATTR_REPLACE. A descriptor opened with O_PATH will do. */
export function setAttributeOf(
	fd: Fd,
	attribute: Offset,
	value: Offset,
	size: number,
	flags: number,
): number {
	noteChange();
	const result = outcome(libc.fsetxattr(fd, base + attribute, base + value, size, flags));
	return result === -EBADF ? setAttribute(fd, EMPTY_NAME, attribute, value, size, flags) : result;
}

/**
 * Reads the names, each ended by NUL; returns their length together. With `size` 0 only the length. A descriptor opened
 * with O_PATH will do.
 */
function listAttributesOf(fd: Fd, target: Offset, size: number): number {
	if (isDistant(fd)) return listDistant(fd, NONE, target, size);
	const length = outcome(libc.flistxattr(fd, base + target, size));
	return length === -EBADF ? listAttributes(fd, EMPTY_NAME, target, size) : length;
}

export function removeAttributeOf(fd: Fd, attribute: Offset): number {
	noteChange();
	return outcome(libc.fremovexattr(fd, base + attribute));
}

/** As {@link getAttributeOf}, of a name; EMPTY_NAME stands for what `directory` is open on. */
export function getAttribute(
	directory: Fd,
	name: Offset,
	attribute: Offset,
	target: Offset,
	size: number,
): number {
	if (isDistant(directory))
		return getDistant(directory, readString(name), readString(attribute), target, size);
	const described = describeValue(target, size, 0);
	const length = atName(SYS_getxattrat, directory, name, base + attribute, described, xattrArgs.sizeof);
	if (length !== undefined) return length;
	const call = name === EMPTY_NAME ? libc.getxattr : libc.lgetxattr;
	return throughProc(outcome(call(pathOf(directory, name), base + attribute, base + target, size)));
}

/** As {@link setAttributeOf}, of a name or, for EMPTY_NAME, of the descriptor. */
export function setAttribute(
	directory: Fd,
	name: Offset,
	attribute: Offset,
	value: Offset,
	size: number,
	flags: number,
): number {
	noteChange();
	const described = describeValue(value, size, flags);
	const result = atName(SYS_setxattrat, directory, name, base + attribute, described, xattrArgs.sizeof);
	if (result !== undefined) return result;
	const call = name === EMPTY_NAME ? libc.setxattr : libc.lsetxattr;
	return throughProc(outcome(call(pathOf(directory, name), base + attribute, base + value, size, flags)));
}

/** As {@link listAttributesOf}, of a name or, for EMPTY_NAME, of the descriptor. */
export function listAttributes(directory: Fd, name: Offset, target: Offset, size: number): number {
	if (isDistant(directory)) return listDistant(directory, readString(name), target, size);
	const length = atName(SYS_listxattrat, directory, name, base + target, size, 0);
	if (length !== undefined) return length;
	const call = name === EMPTY_NAME ? libc.listxattr : libc.llistxattr;
	return throughProc(outcome(call(pathOf(directory, name), base + target, size)));
}

const COUNTED = { isCounted: true };

function getDistant(
	directory: Fd,
	name: ByteString,
	attribute: ByteString,
	target: Offset,
	size: number,
): number {
	const get = (call: number, ...args: readonly Argument[]) =>
		ask(directory, call, args, target, size, COUNTED) as number;
	if (name === NONE) {
		const length = get(SYS_fgetxattr, directory, attribute, OUTPUT, size);
		// Opened with O_PATH.
		if (length !== -EBADF) return length;
		return throughProc(get(SYS_getxattr, distantPath(directory, name), attribute, OUTPUT, size));
	}
	if (hasCallsOnNames) {
		const args = [directory, name, AT_SYMLINK_NOFOLLOW, attribute, VALUE_OUTPUT, xattrArgs.sizeof];
		const length = get(SYS_getxattrat, ...args);
		if (!isRefused(length)) return length;
	}
	return throughProc(get(SYS_lgetxattr, distantPath(directory, name), attribute, OUTPUT, size));
}

function listDistant(directory: Fd, name: ByteString, target: Offset, size: number): number {
	const list = (call: number, ...args: readonly Argument[]) =>
		ask(directory, call, args, target, size, COUNTED) as number;
	if (name === NONE) {
		const length = list(SYS_flistxattr, directory, OUTPUT, size);
		if (length !== -EBADF) return length;
		return throughProc(list(SYS_listxattr, distantPath(directory, name), OUTPUT, size));
	}
	if (hasCallsOnNames) {
		const length = list(SYS_listxattrat, directory, name, AT_SYMLINK_NOFOLLOW, OUTPUT, size);
		if (!isRefused(length)) return length;
	}
	return throughProc(list(SYS_llistxattr, distantPath(directory, name), OUTPUT, size));
}

function distantPath(directory: Fd, name: ByteString): ByteString {
	return `/proc/self/fd/${directory}${name === NONE ? "" : "/"}${name}` as ByteString;
}

const LIST = reserve(XATTR_LIST_MAX);

/**
 * The names of a name's attributes, or for EMPTY_NAME of the descriptor's, each ended by NUL: mostly none. undefined where
 * they cannot be listed: one may be asked for all the same.
 */
export function attributeNames(directory: Fd, name: Offset): ByteString | undefined {
	const length =
		name === EMPTY_NAME
			? listAttributesOf(directory, LIST, XATTR_LIST_MAX)
			: listAttributes(directory, name, LIST, XATTR_LIST_MAX);
	if (length < 0) return length === -EOPNOTSUPP ? NONE : undefined;
	return length === 0 ? NONE : readBytes(LIST, length);
}

/** As {@link removeAttributeOf}, of a name or, for EMPTY_NAME, of the descriptor. */
export function removeAttribute(directory: Fd, name: Offset, attribute: Offset): number {
	noteChange();
	const result = atName(SYS_removexattrat, directory, name, base + attribute, 0, 0);
	if (result !== undefined) return result;
	const call = name === EMPTY_NAME ? libc.removexattr : libc.lremovexattr;
	return throughProc(outcome(call(pathOf(directory, name), base + attribute)));
}
