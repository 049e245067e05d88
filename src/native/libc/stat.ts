/** Reading a `struct statx` (statx(2)), by the offset at which one was filled in. */

import { S_IFMT, statx, timespec } from "../layout.ts";
import { getInt64, type Int64, type Offset, reserve, setNumber, view } from "../memory.ts";

/** `DT_*`: the S_IFMT bits of its mode, shifted right by 12. */
export function kindOf(stat: Offset): number {
	return (view.getUint16(stat + statx.stxMode, true) & S_IFMT) >> 12;
}

/** With the S_IFMT bits. */
export function modeOf(stat: Offset): number {
	return view.getUint16(stat + statx.stxMode, true);
}

/** In bytes. */
export function sizeOf(stat: Offset): Int64 {
	return getInt64(stat + statx.stxSize);
}

export function linkCount(stat: Offset): number {
	return view.getUint32(stat + statx.stxNlink, true);
}

/** The inode number as two halves: it may use all 64 bits. */
export function inodeLow(stat: Offset): number {
	return view.getUint32(stat + statx.stxIno, true);
}

export function inodeHigh(stat: Offset): number {
	return view.getUint32(stat + statx.stxIno + 4, true);
}

/** The file system the object lies on, "MAJOR:MINOR". */
export function fileSystemOf(stat: Offset): string {
	return `${view.getUint32(stat + statx.stxDevMajor, true)}:${view.getUint32(stat + statx.stxDevMinor, true)}`;
}

/** The device that the object stands for, as mknod(2) takes it. */
export function deviceOf(stat: Offset): number {
	const major = view.getUint32(stat + statx.stxRdevMajor, true);
	const minor = view.getUint32(stat + statx.stxRdevMinor, true);
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
	view.setUint32(to, view.getUint32(from, true), true);
	view.setInt32(to + 4, view.getInt32(from + 4, true), true);
	setNumber(to + 8, view.getUint32(from + 8, true));
}

/** Whether a `struct timespec` and a `struct statx_timestamp` are the same moment. */
export function sameTime(time: Offset, stamp: Offset): boolean {
	return (
		view.getUint32(time, true) === view.getUint32(stamp, true) &&
		view.getUint32(time + 4, true) === view.getUint32(stamp + 4, true) &&
		view.getUint32(time + 8, true) === view.getUint32(stamp + 8, true)
	);
}
