/** Operations on what is held open, whatever has become of its name since. */

import {
	constants,
	fchmodSync,
	fchownSync,
	fstatSync,
	fsyncSync,
	ftruncateSync,
	lstatSync,
	openSync,
	readSync,
	unlinkSync,
	writeSync,
} from "node:fs";
import { pread, pwrite } from "../harness/exact-offsets.ts";
import {
	copyFileRange,
	FALLOC_FL_KEEP_SIZE,
	FALLOC_FL_PUNCH_HOLE,
	fallocate,
	fgetxattr,
	fsetxattr,
	linkDescriptor,
	lseek,
	mapMemory,
	readDirectoryRecords,
	SEEK_SET,
	setTimesOf,
} from "../harness/native.ts";
import { isKernelUsers } from "./identities.ts";
import { openFile } from "./open-file.ts";
import { contentOf, digest, type Operation, operation, pastTime } from "./operation.ts";
import { describeStat, isSameFile } from "./path-operations.ts";
import type { Side } from "./side.ts";

const { O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } = constants;
const openFlags = [
	O_RDONLY,
	O_RDONLY,
	O_RDWR,
	O_RDWR,
	O_RDWR,
	O_WRONLY,
	O_WRONLY | O_APPEND,
	O_RDWR | O_TRUNC,
	O_RDWR | O_CREAT,
	O_RDWR | O_CREAT,
	O_RDWR | O_CREAT | O_EXCL,
	O_RDWR | O_CREAT | O_TRUNC,
	O_WRONLY | O_CREAT | O_TRUNC,
	O_RDONLY | O_TRUNC,
	O_RDWR | O_APPEND,
	O_RDONLY | O_DIRECTORY,
	O_RDONLY | O_DIRECTORY,
];
const fallocateModes = [0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE];
const mappedLength = 8192;
const pageSize = 4096;

/** A device would be opened, and a FIFO with a reader on another side would answer differently. */
export function isSpecial(side: Side, path: string): boolean {
	const stats = lstatSync(side.at(path), { throwIfNoEntry: false });
	return stats !== undefined && !stats.isFile() && !stats.isDirectory() && !stats.isSymbolicLink();
}

export type Held = "file" | "directory";

/** What open(2) of a name gives is kept, as "file" or "directory". */
export function hold(side: Side, slot: number, fd: number): Held {
	side.hold(slot, fd);
	return fstatSync(fd).isDirectory() ? "directory" : "file";
}

/** What becomes of stores beyond a file's end is not specified; beyond the page of it they kill. */
function mapped(side: Side, slot: number, offset: number): Buffer | undefined {
	const mapping = side.mappings.get(slot);
	if (mapping === undefined) return undefined;
	return offset < Math.min(fstatSync(side.fd(slot)).size, mappedLength) ? mapping.bytes : undefined;
}

/** More than a step copies; what is asked for may be 2^63 bytes. */
const longestCopy = 2n ** 21n;

/** Between layers on different file systems, overlayfs leaves it to the caller to read and write, as we do for it. */
export function copyRange(from: number, fromAt: bigint, to: number, toAt: bigint, length: bigint): number {
	try {
		return copyFileRange(from, fromAt, to, toAt, length);
	} catch (error) {
		if ((error as { code?: unknown }).code !== "EXDEV") throw error;
		return pwrite(to, pread(from, Number(length < longestCopy ? length : longestCopy), fromAt), toAt);
	}
}

export const descriptorOperations: Readonly<Record<string, Operation>> = {
	open: operation(
		14,
		(pick) => ({
			slot: pick.freeSlot(),
			path: pick.path(),
			flags: pick.oneOf(...openFlags),
			mode: pick.mode(),
		}),
		(side, { slot, path, flags, mode }) =>
			isSpecial(side, path) ? "special" : hold(side, slot, openFile(side, path, flags, mode)),
	),
	/** As with O_TMPFILE, which needs a newer libfuse than the oldest one supported. */
	openNameless: operation(
		3,
		(pick) => ({ slot: pick.freeSlot(), path: pick.place(), mode: pick.mode() }),
		(side, { slot, path, mode }) => {
			const held = hold(side, slot, openSync(side.at(path), O_RDWR | O_CREAT | O_EXCL, mode));
			unlinkSync(side.at(path));
			return held;
		},
	),
	close: operation(
		4,
		(pick) => ({ slot: pick.slot() }),
		(side, { slot }) => side.release(slot),
	),
	read: operation(
		6,
		(pick) => ({ slot: pick.slot(), offset: pick.offset(), length: pick.oneOf(10, 5000, 200_000) }),
		(side, { slot, offset, length }) => {
			const buffer = Buffer.alloc(length);
			return digest(buffer.subarray(0, readSync(side.fd(slot), buffer, 0, length, offset)));
		},
	),
	write: operation(
		8,
		(pick) => ({ slot: pick.slot(), offset: pick.offset(), content: pick.content() }),
		(side, { slot, offset, content }) => {
			const bytes = contentOf(content);
			return writeSync(side.fd(slot), bytes, 0, bytes.length, offset);
		},
	),
	ftruncate: operation(
		4,
		(pick) => ({ slot: pick.slot(), size: pick.oneOf(0, pick.number(10), pick.size()) }),
		(side, { slot, size }) => ftruncateSync(side.fd(slot), size),
	),
	fallocate: operation(
		2,
		(pick) => ({
			slot: pick.slot(),
			mode: pick.oneOf(...fallocateModes),
			offset: pick.offset(),
			length: 1 + pick.size(),
		}),
		(side, { slot, mode, offset, length }) => fallocate(side.fd(slot), mode, offset, length),
	),
	copyFileRange: operation(
		isKernelUsers ? 0 : 3,
		(pick) => ({
			slot: pick.slot(),
			to: pick.slot(),
			from: pick.offset(),
			at: pick.offset(),
			length: pick.size(),
		}),
		(side, { slot, to, from, at, length }) =>
			copyRange(side.fd(slot), BigInt(from), side.fd(to), BigInt(at), BigInt(length)),
	),
	fstat: operation(
		4,
		(pick) => ({ slot: pick.slot() }),
		(side, { slot }) => describeStat(fstatSync(side.fd(slot), { bigint: true })),
	),
	/** Whether what is open is what the name stands for. */
	isOpenAt: operation(
		1,
		(pick) => ({ slot: pick.slot(), path: pick.path() }),
		(side, { slot, path }) =>
			isSameFile(fstatSync(side.fd(slot), { bigint: true }), lstatSync(side.at(path), { bigint: true })),
	),
	fchmod: operation(
		3,
		(pick) => ({ slot: pick.slot(), mode: pick.mode() }),
		(side, { slot, mode }) => fchmodSync(side.fd(slot), mode),
	),
	fchown: operation(
		2,
		(pick) => ({ slot: pick.slot(), uid: pick.uid(), gid: pick.gid() }),
		(side, { slot, uid, gid }) => fchownSync(side.fd(slot), uid, gid),
	),
	futimens: operation(
		2,
		(pick) => ({ slot: pick.slot(), time: pick.number(1000) }),
		(side, { slot, time }) => setTimesOf(side.fd(slot), "omit", pastTime(time)),
	),
	fsetxattr: operation(
		2,
		(pick) => ({ slot: pick.slot(), value: "w".repeat(pick.number(20)) }),
		(side, { slot, value }) => fsetxattr(side.fd(slot), "user.open", value),
	),
	fgetxattr: operation(
		1,
		(pick) => ({ slot: pick.slot() }),
		(side, { slot }) => digest(fgetxattr(side.fd(slot), "user.open")),
	),
	fsync: operation(
		1,
		(pick) => ({ slot: pick.slot() }),
		(side, { slot }) => fsyncSync(side.fd(slot)),
	),
	linkOpen: operation(
		2,
		(pick) => ({ slot: pick.slot(), path: pick.place() }),
		(side, { slot, path }) => linkDescriptor(side.fd(slot), side.at(path)),
	),
	readdirOpen: operation(
		2,
		(pick) => ({ slot: pick.slot() }),
		(side, { slot }) => {
			lseek(side.fd(slot), 0, SEEK_SET);
			return readDirectoryRecords(side.fd(slot), 65_536)
				.map(({ name }) => name)
				.sort();
		},
	),
	map: operation(
		3,
		(pick) => ({ slot: pick.slot() }),
		(side, { slot }) => {
			const mapping = mapMemory(mappedLength, side.fd(slot));
			side.unmap(slot);
			side.mappings.set(slot, mapping);
		},
	),
	storeMapped: operation(
		4,
		(pick) => ({
			slot: pick.slot(),
			offset: pick.oneOf(pick.number(10), pageSize + 1),
			byte: 65 + pick.number(26),
			isWritten: pick.writesAtOnce || pick.rarely(2),
		}),
		(side, { slot, offset, byte, isWritten }) => {
			const bytes = mapped(side, slot, offset);
			if (bytes === undefined) return "not mapped";
			// When a store through memory changes the time is not promised, nor whether a second one does. Set before it
			// as well, so that only those store who may.
			setTimesOf(side.fd(slot), "now", "now");
			bytes[offset] = byte;
			if (isWritten) side.mappings.get(slot)?.sync();
			setTimesOf(side.fd(slot), "now", "now");
		},
	),
	loadMapped: operation(
		2,
		(pick) => ({ slot: pick.slot(), offset: pick.oneOf(pick.number(10), pageSize + 1) }),
		(side, { slot, offset }) => mapped(side, slot, offset)?.[offset] ?? "not mapped",
	),
	syncMapped: operation(
		2,
		(pick) => ({ slot: pick.slot() }),
		(side, { slot }) =>
			side.mappings.get(slot) === undefined ? "not mapped" : side.mappings.get(slot)?.sync(),
	),
};
