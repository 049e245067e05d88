/**
 * Extended attributes, of descriptors and of names in a directory. A name is reached as
 * `/proc/self/fd/DIRECTORY/NAME` through the calls that do not follow a symlink: only the one name, which
 * cannot hold a slash, is looked up in the layer.
 */
import { dlopen, FFIType } from "bun:ffi";
import type { ByteString } from "../../options.ts";
import { EBADF, EOPNOTSUPP, XATTR_LIST_MAX } from "../layout.ts";
import { base, copy, EMPTY_NAME, lengthOf, type Offset, readBytes, reserve, writeString } from "../memory.ts";
import { outcome } from "./errno.ts";
import { type Fd, throughProc } from "./file.ts";

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

const PATH = reserve(512);
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

/** Reads a value; returns its length. With `size` 0 only the length. A descriptor opened with O_PATH will do. */
export function getAttributeOf(fd: Fd, attribute: Offset, target: Offset, size: number): number {
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
	const result = outcome(libc.fsetxattr(fd, base + attribute, base + value, size, flags));
	return result === -EBADF ? setAttribute(fd, EMPTY_NAME, attribute, value, size, flags) : result;
}

/**
 * Reads the names, each ended by NUL; returns their length together. With `size` 0 only the length. A descriptor opened
 * with O_PATH will do.
 */
function listAttributesOf(fd: Fd, target: Offset, size: number): number {
	const length = outcome(libc.flistxattr(fd, base + target, size));
	return length === -EBADF ? listAttributes(fd, EMPTY_NAME, target, size) : length;
}

export function removeAttributeOf(fd: Fd, attribute: Offset): number {
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
	const call = name === EMPTY_NAME ? libc.setxattr : libc.lsetxattr;
	return throughProc(outcome(call(pathOf(directory, name), base + attribute, base + value, size, flags)));
}

/** As {@link listAttributesOf}, of a name or, for EMPTY_NAME, of the descriptor. */
export function listAttributes(directory: Fd, name: Offset, target: Offset, size: number): number {
	const call = name === EMPTY_NAME ? libc.listxattr : libc.llistxattr;
	return throughProc(outcome(call(pathOf(directory, name), base + target, size)));
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
	const call = name === EMPTY_NAME ? libc.removexattr : libc.lremovexattr;
	return throughProc(outcome(call(pathOf(directory, name), base + attribute)));
}
