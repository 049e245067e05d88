/** Reading a `struct statx` (statx(2)), by the offset at which one was filled in. */

import { S_IFMT, statx, timespec } from "../layout.ts";
import { getInt64, type Int64, type Offset, reserve, setNumber, shorts, words } from "../memory.ts";

/** `DT_*`: the S_IFMT bits of its mode, shifted right by 12. */
export function kindOf(stat: Offset): number {
	return (shorts[(stat + statx.stxMode) >>> 1]! & S_IFMT) >> 12;
}

/** With the S_IFMT bits. */
export function modeOf(stat: Offset): number {
	return shorts[(stat + statx.stxMode) >>> 1]!;
}

/** In bytes. */
export function sizeOf(stat: Offset): Int64 {
	return getInt64(stat + statx.stxSize);
}

export function linkCount(stat: Offset): number {
	return words[(stat + statx.stxNlink) >>> 2]!;
}

/** The inode number as two halves: it may use all 64 bits. */
export function inodeLow(stat: Offset): number {
	return words[(stat + statx.stxIno) >>> 2]!;
}

export function inodeHigh(stat: Offset): number {
	return words[(stat + statx.stxIno + 4) >>> 2]!;
}

/** The file system the object lies on, "MAJOR:MINOR". */
export function fileSystemOf(stat: Offset): string {
	return `${words[(stat + statx.stxDevMajor) >>> 2]!}:${words[(stat + statx.stxDevMinor) >>> 2]!}`;
}

/** The device that the object stands for, as mknod(2) takes it. */
export function deviceOf(stat: Offset): number {
	const major = words[(stat + statx.stxRdevMajor) >>> 2]!;
	const minor = words[(stat + statx.stxRdevMinor) >>> 2]!;
	return (
		((minor & 0xff) | ((major & 0xfff) << 8)) +
		((minor & ~0xff) >>> 0) * 2 ** 12 +
		((major & ~0xfff) >>> 0) * 2 ** 32
	);
}

const TIMES = reserve(2 * timespec.sizeof);

/** Two `struct timespec` that restore its access and modification time. Scratch memory, until the next call. */
export function timesOf(stat: Offset): Offset {
	copyTime(stat + statx.stxAtime, TIMES);
	copyTime(stat + statx.stxMtime, TIMES + timespec.sizeof);
	return TIMES;
}

/** From a `struct statx_timestamp` to a `struct timespec`. */
function copyTime(from: Offset, to: Offset): void {
	words[to >>> 2] = words[from >>> 2]!;
	words[(to + 4) >>> 2] = words[(from + 4) >>> 2]!;
	setNumber(to + 8, words[(from + 8) >>> 2]!);
}

/** Whether a `struct timespec` and a `struct statx_timestamp` are the same moment. */
export function sameTime(time: Offset, stamp: Offset): boolean {
	return (
		words[time >>> 2]! === words[stamp >>> 2]! &&
		words[(time + 4) >>> 2]! === words[(stamp + 4) >>> 2]! &&
		words[(time + 8) >>> 2]! === words[(stamp + 8) >>> 2]!
	);
}
