/** Calls whose offsets and sizes node:fs has as doubles, to the byte. They fail as those of native.ts. */

import { dlopen, FFIType } from "bun:ffi";
import { type BytePath, checked, cString, stableBuffer } from "./native.ts";

const libc = dlopen("libc.so.6", {
	ftruncate: { args: ["i32", "i64"], returns: "i32" },
	lseek: { args: ["i32", "i64", "i32"], returns: FFIType.i64_fast },
	pread: { args: ["i32", "ptr", "u64", "i64"], returns: FFIType.i64_fast },
	pwrite: { args: ["i32", "ptr", "u64", "i64"], returns: FFIType.i64_fast },
	truncate: { args: ["ptr", "i64"], returns: "i32" },
}).symbols;

export function ftruncate(fd: number, size: bigint): void {
	checked("ftruncate", libc.ftruncate(fd, size));
}

export function truncate(path: BytePath, size: bigint): void {
	checked("truncate", libc.truncate(cString(path), size));
}

export const SEEK_END = 2;

export function seek(fd: number, offset: bigint, whence: number): bigint {
	const result = libc.lseek(fd, offset, whence);
	checked("lseek", result);
	return BigInt(result);
}

/** At most `length` bytes. */
export function pread(fd: number, length: number, offset: bigint): Buffer {
	const bytes = stableBuffer(length);
	return bytes.subarray(0, checked("pread", libc.pread(fd, bytes, length, offset)));
}

/** How many bytes were written. */
export function pwrite(fd: number, content: BytePath, offset: bigint): number {
	const bytes = cString(content);
	return checked("pwrite", libc.pwrite(fd, bytes, bytes.length - 1, offset));
}
