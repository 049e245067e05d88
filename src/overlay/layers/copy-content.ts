/** Copying a file's content within the kernel where it can, holes kept. */

import {
	EINVAL,
	EIO,
	ENOSYS,
	ENXIO,
	EOPNOTSUPP,
	EPERM,
	EXDEV,
	SEEK_DATA,
	SEEK_HOLE,
} from "../../native/layout.ts";
import { cloneFile, copyRange, type Fd, pread, pwrite, seek, truncate } from "../../native/libc/file.ts";
import { advance, distance, type Int64, type Offset, reserve, smaller } from "../../native/memory.ts";
import type { Layer } from "./layer.ts";

/** Up to this many bytes are copied at once, by the thread that answers requests. */
export const LARGEST_INLINE_COPY = 1 << 20;

const BUFFER_SIZE = 1 << 18;
/** To be copied by one call at most. */
const LARGEST_STRETCH = 1 << 30;
/** The kernel cannot copy between these files, or a seccomp filter refuses to let it (-EPERM, -ENOSYS). */
const NOT_COPIED = [-EXDEV, -EINVAL, -EOPNOTSUPP, -ENOSYS, -EPERM];
let reserved: Offset | undefined;

/** Has `to` share all blocks of a file of `layer`, where the file system can. Where it cannot, that is not tried again. */
export function cloneContent(layer: Layer, from: Fd, to: Fd): boolean {
	if (!layer.mayShareBlocks) return false;
	layer.mayShareBlocks = cloneFile(from, to) === 0;
	return layer.mayShareBlocks;
}

/**
 * Makes the empty file `to` hold the first `length` bytes of `from`. `from` may be shorter: then the rest is a hole.
 * Returns 0 or -errno. Source: Linux fs/overlayfs/copy_up.c, ovl_copy_up_file.
 */
export function copyContent(from: Fd, to: Fd, length: Int64): number {
	if (length <= BUFFER_SIZE && copyAtOnce(from, to, Number(length))) return 0;
	let position: Int64 = 0;
	while (position < length) {
		let data: Int64 = seek(from, position, SEEK_DATA);
		if (data === -ENXIO) break;
		// A file system that knows no holes: everything is data.
		const knowsHoles = data >= 0;
		if (!knowsHoles) data = position;
		const hole: Int64 = knowsHoles ? seek(from, data, SEEK_HOLE) : length;
		const end: Int64 = hole < 0 ? length : smaller(hole, length);
		const result = copyData(from, to, data, end);
		if (result < 0) return result;
		position = end;
	}
	// A hole at the end is made by the size alone.
	return truncate(to, length);
}

/** A small file without holes: one read and one write. False: nothing was written that must not be there. */
function copyAtOnce(from: Fd, to: Fd, length: number): boolean {
	if (length === 0) return true;
	if (seek(from, 0, SEEK_HOLE) < length) return false;
	const buffer = ownBuffer();
	return pread(from, buffer, length, 0) === length && pwrite(to, buffer, length, 0) === length;
}

function copyData(from: Fd, to: Fd, start: Int64, end: Int64): number {
	let position = start;
	while (position < end) {
		const copied = copyRange(from, position, to, position, distance(position, end, LARGEST_STRETCH));
		if (copied === 0) return 0;
		if (copied < 0) {
			return NOT_COPIED.includes(copied) ? copyByBuffer(from, to, position, end) : copied;
		}
		position = advance(position, copied);
	}
	return 0;
}

function copyByBuffer(from: Fd, to: Fd, start: Int64, end: Int64): number {
	const buffer = ownBuffer();
	let position = start;
	while (position < end) {
		const length = pread(from, buffer, distance(position, end, BUFFER_SIZE), position);
		if (length <= 0) return length;
		for (let written = 0; written < length; ) {
			const result = pwrite(to, buffer + written, length - written, advance(position, written));
			if (result < 0) return result;
			if (result === 0) return -EIO;
			written += result;
		}
		position = advance(position, length);
	}
	return 0;
}

function ownBuffer(): Offset {
	reserved ??= reserve(BUFFER_SIZE);
	return reserved;
}
