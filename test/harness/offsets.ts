/** System calls with offsets that node:fs cannot say, and numbers not hold. */

import { dlopen, FFIType } from "bun:ffi";
import { checked, stableBuffer } from "./native.ts";

const libc = dlopen("libc.so.6", {
	ftruncate: { args: ["i32", "i64"], returns: "i32" },
	lseek: { args: ["i32", "i64", "i32"], returns: FFIType.i64_fast },
	pread: { args: ["i32", "ptr", "u64", "i64"], returns: FFIType.i64_fast },
	pwrite: { args: ["i32", "ptr", "u64", "i64"], returns: FFIType.i64_fast },
}).symbols;

export function seekExactly(fd: number, offset: bigint, whence: number): bigint {
	const position = libc.lseek(fd, offset, whence);
	checked("lseek", position);
	return BigInt(position);
}

export function ftruncate(fd: number, size: bigint): void {
	checked("ftruncate", libc.ftruncate(fd, size));
}

export function writeAt(fd: number, text: string, offset: bigint): number {
	const bytes = stableBuffer(text.length);
	bytes.write(text, "latin1");
	return checked("pwrite", libc.pwrite(fd, bytes, bytes.length, offset));
}

export function readAt(fd: number, length: number, offset: bigint): string {
	const bytes = stableBuffer(length);
	return bytes.toString("latin1", 0, checked("pread", libc.pread(fd, bytes, length, offset)));
}
