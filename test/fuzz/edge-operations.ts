/**
 * Offsets, lengths and sizes where numbers change their kind. Each step leaves the file as large as it was, because a
 * file of 2^63 bytes can be compared with nothing.
 */

import { constants, fstatSync, fsyncSync, lstatSync } from "node:fs";
import { Descriptor } from "../harness/descriptor.ts";
import { ftruncate, pread, pwrite, SEEK_END, seek, truncate } from "../harness/exact-offsets.ts";
import {
	FALLOC_FL_KEEP_SIZE,
	FALLOC_FL_PUNCH_HOLE,
	FALLOC_FL_ZERO_RANGE,
	fallocate,
	SEEK_DATA,
	SEEK_HOLE,
	SEEK_SET,
	setTimesOf,
} from "../harness/native.ts";
import { copyRange } from "./descriptor-operations.ts";
import { isKernelUsers } from "./identities.ts";
import { openFile } from "./open-file.ts";
import { digest, type Operation, operation } from "./operation.ts";
import { isSymlink } from "./path-operations.ts";
import { tried } from "./sequence-operations.ts";
import type { Side } from "./side.ts";

const KEEP = FALLOC_FL_KEEP_SIZE;
/** These take no room, whatever the length; the last two may not be asked for. */
const freeModes = [
	FALLOC_FL_PUNCH_HOLE | KEEP,
	FALLOC_FL_PUNCH_HOLE | KEEP,
	FALLOC_FL_PUNCH_HOLE,
	FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | KEEP,
];
const takingModes = [0, KEEP, FALLOC_FL_ZERO_RANGE, FALLOC_FL_ZERO_RANGE | KEEP];

const largestCopied = 2 ** 24;

/** Does `change`, looks at the file around `at`, and makes it as large as it was, its time "now". */
function changed(side: Side, fd: number, at: bigint, change: () => unknown): readonly unknown[] {
	if (!side.isWritable(fd)) return ["not writable"];
	const { size } = fstatSync(fd, { bigint: true });
	// A change that fails may have changed the time, or not. Set before it as well, so that only those try who may.
	setTimesOf(fd, "now", "now");
	const outcome = tried(() => {
		const result = change();
		// With a write cache the error comes with the writing.
		fsyncSync(fd);
		return result;
	});
	// What a failing write leaves of the size is not the question.
	const hasChanged = outcome === "done" || typeof outcome === "number";
	const found = hasChanged
		? [String(fstatSync(fd, { bigint: true }).size), tried(() => digest(pread(fd, 20, at)))]
		: [];
	ftruncate(fd, size);
	setTimesOf(fd, "now", "now");
	return [outcome, ...found];
}

export const edgeOperations: Readonly<Record<string, Operation>> = {
	readEdge: operation(
		2,
		(pick) => ({ slot: pick.slot(), offset: pick.edge(), length: pick.oneOf(1, 5000) }),
		(side, { slot, offset, length }) => digest(pread(side.fd(slot), length, BigInt(offset))),
	),
	writeEdge: operation(
		4,
		(pick) => ({ slot: pick.slot(), offset: pick.edgeToWrite(), text: "e".repeat(1 + pick.number(8)) }),
		(side, { slot, offset, text }) =>
			changed(side, side.fd(slot), BigInt(offset), () => pwrite(side.fd(slot), text, BigInt(offset))),
	),
	ftruncateEdge: operation(
		3,
		(pick) => ({ slot: pick.slot(), size: pick.edge() }),
		(side, { slot, size }) =>
			changed(side, side.fd(slot), BigInt(size) - 10n, () => ftruncate(side.fd(slot), BigInt(size))),
	),
	truncateEdge: operation(
		3,
		(pick) => ({ path: pick.path(), size: pick.edge() }),
		(side, { path, size }) => {
			if (isSymlink(side, path) || !lstatSync(side.at(path)).isFile()) return "special";
			using file = new Descriptor(openFile(side, path, constants.O_RDWR, 0));
			return changed(side, file.fd, BigInt(size) - 10n, () => truncate(side.at(path), BigInt(size)));
		},
	),
	fallocateEdge: operation(
		5,
		(pick) => {
			const mode = pick.oneOf(...freeModes, ...takingModes);
			// Where there is room for much, it is not taken.
			const takesRoom = !pick.isSmallDisk && !freeModes.includes(mode);
			return {
				slot: pick.slot(),
				mode,
				offset: pick.edge(),
				length: takesRoom ? String(1 + pick.size()) : pick.edge(),
			};
		},
		(side, { slot, mode, offset, length }) =>
			changed(side, side.fd(slot), BigInt(offset), () =>
				fallocate(side.fd(slot), mode, BigInt(offset), BigInt(length)),
			),
	),
	copyFileRangeEdge: operation(
		isKernelUsers ? 0 : 3,
		(pick) => ({
			slot: pick.slot(),
			to: pick.slot(),
			from: pick.oneOf("0", "1", pick.edge()),
			at: pick.oneOf("0", "7", pick.edgeToWrite()),
			length: pick.oneOf("10", pick.edge()),
		}),
		(side, { slot, to, from, at, length }) => {
			// How much of much is copied at once is everybody's choice.
			if (fstatSync(side.fd(slot)).size > largestCopied) return "immense";
			return changed(side, side.fd(to), BigInt(at), () =>
				copyRange(side.fd(slot), BigInt(from), side.fd(to), BigInt(at), BigInt(length)),
			);
		},
	),
	seekEdge: operation(
		3,
		(pick) => ({
			slot: pick.slot(),
			offset: pick.edge(),
			whence: pick.oneOf(SEEK_SET, SEEK_END, ...(pick.tellsHoles ? [SEEK_DATA, SEEK_HOLE] : [])),
		}),
		(side, { slot, offset, whence }) => {
			const fd = side.fd(slot);
			if (!fstatSync(fd).isFile()) return "directory";
			return String(seek(fd, BigInt(offset), whence));
		},
	),
};
