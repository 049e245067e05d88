/** Offsets, lengths and sizes at the edges of 31, 32, 53 and 63 bits. */

import { expect } from "bun:test";
import { open } from "../../harness/descriptor.ts";
import { ftruncate, pread, pwrite, SEEK_END, seek } from "../../harness/exact-offsets.ts";
import {
	codeOf,
	copyFileRange,
	FALLOC_FL_KEEP_SIZE,
	FALLOC_FL_PUNCH_HOLE,
	fallocate,
	SEEK_DATA,
	SEEK_HOLE,
} from "../../harness/native.ts";
import { statOf } from "../observe.ts";
import { changing, looking, type Subject } from "../statement.ts";

const readAt = (fd: number, length: number, at: bigint) => pread(fd, length, at).toString("latin1");
/** The largest offset there is. */
const LAST = 2n ** 63n - 1n;
const edges = [2n ** 31n, 2n ** 32n, 2n ** 43n];
/** As far as some file systems go. */
const farEdges = [2n ** 53n, 2n ** 54n, 2n ** 62n];
const around = (at: bigint) => [at - 3n, at - 1n, at, at + 1n, at + 3n];
const content = { f: "content" };

function hasSizes(path: string, sizes: readonly bigint[]): void {
	using file = open(path, "r+");
	for (const size of sizes) {
		ftruncate(file.fd, size);
		expect([statOf(file.fd).size, statOf(path).size, seek(file.fd, 0n, SEEK_END)]).toEqual([
			size,
			size,
			size,
		]);
		if (size > 7n) expect(seek(file.fd, 4n * 1024n ** 2n, SEEK_HOLE)).toBe(4n * 1024n ** 2n);
	}
	expect(readAt(file.fd, 10, 0n).slice(0, 7)).toBe("content");
}

/** Writes across each edge, and finds it there and nowhere else. */
function keepsAt(path: string, offsets: readonly bigint[]): void {
	using file = open(path, "r+");
	for (const edge of offsets) {
		ftruncate(file.fd, 7n);
		expect(pwrite(file.fd, "across", edge - 3n)).toBe(6);
		expect(statOf(file.fd).size).toBe(edge + 3n);
		expect([readAt(file.fd, 10, edge - 3n), readAt(file.fd, 3, edge)]).toEqual(["across", "oss"]);
		expect(readAt(file.fd, 4, edge - 7n)).toBe("\0\0\0\0");
		const data = seek(file.fd, 2n ** 30n, SEEK_DATA);
		expect(data <= edge - 3n && data > edge - 2n ** 20n).toBeTrue();
		expect(seek(file.fd, edge, SEEK_HOLE)).toBe(edge + 3n);
		expect(codeOf(() => seek(file.fd, edge + 3n, SEEK_DATA))).toBe("ENXIO");
	}
	expect(readAt(file.fd, 10, 0n).slice(0, 7)).toBe("content");
}

function copiesTo(path: string, offsets: readonly bigint[]): void {
	using file = open(path, "r+");
	for (const edge of offsets) {
		ftruncate(file.fd, 7n);
		expect(copyFileRange(file.fd, 0, file.fd, edge - 3n, 7)).toBe(7);
		expect([statOf(file.fd).size, readAt(file.fd, 10, edge - 3n)]).toEqual([edge + 4n, "content"]);
		expect(copyFileRange(file.fd, edge, file.fd, 0, 4)).toBe(4);
		expect(readAt(file.fd, 7, 0n)).toBe("tentent");
		pwrite(file.fd, "content", 0n);
	}
}

export const offsets: Subject = {
	"a file has the size it is given, around 2^31, 2^32 and 2^43": changing(content, ({ at }) =>
		hasSizes(at("f"), edges.flatMap(around)),
	),
	"a file has the size it is given, around 2^53, 2^54 and 2^62, and up to the last": changing(
		content,
		({ at }) => hasSizes(at("f"), [...farEdges.flatMap(around), LAST - 1n, LAST]),
	),
	"what is written across 2^31, 2^32 and 2^43 is there, and nowhere else": changing(content, ({ at }) =>
		keepsAt(at("f"), edges),
	),
	"what is written across 2^53, 2^54 and 2^62 is there, and nowhere else": changing(content, ({ at }) =>
		keepsAt(at("f"), farEdges),
	),
	"copy_file_range copies across 2^31, 2^32 and 2^43": changing(content, ({ at }) =>
		copiesTo(at("f"), edges),
	),
	"copy_file_range copies across 2^53, 2^54 and 2^62": changing(content, ({ at }) =>
		copiesTo(at("f"), farEdges),
	),
	"a hole is punched from anywhere to the last offset there is": changing(content, ({ at }) => {
		using file = open(at("f"), "r+");
		const punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
		fallocate(file.fd, punch, 4, LAST - 4n);
		expect(readAt(file.fd, 10, 0n)).toBe("cont\0\0\0");
		fallocate(file.fd, punch, 2n ** 53n + 3n, 5);
		fallocate(file.fd, punch, 0, LAST);
		expect([readAt(file.fd, 10, 0n), statOf(file.fd).size]).toEqual(["\0\0\0\0\0\0\0", 7n]);
	}),
	"beyond the last offset nothing is reserved, punched or written": changing(content, ({ at }) => {
		using file = open(at("f"), "r+");
		const punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
		for (const mode of [0, FALLOC_FL_KEEP_SIZE, punch])
			expect(codeOf(() => fallocate(file.fd, mode, LAST, 1n))).toBe("EFBIG");
		for (const [offset, length] of [
			[0n, 0n],
			[-1n, 1n],
			[0n, -1n],
		] as const)
			expect(codeOf(() => fallocate(file.fd, punch, offset, length))).toBe("EINVAL");
		expect(codeOf(() => pwrite(file.fd, "x", LAST))).toBe("EINVAL");
		expect(codeOf(() => readAt(file.fd, 1, LAST))).toBe("EINVAL");
		expect(codeOf(() => pwrite(file.fd, "x", -1n))).toBe("EINVAL");
		expect(codeOf(() => ftruncate(file.fd, -1n))).toBe("EINVAL");
		expect([readAt(file.fd, 10, 0n), statOf(file.fd).size]).toEqual(["content", 7n]);
	}),
	"reading and looking for data far beyond the end find nothing": looking(content, ({ at }) => {
		using file = open(at("f"));
		for (const offset of [7n, ...edges, ...farEdges, LAST - 4096n]) {
			expect(readAt(file.fd, 10, offset)).toBe("");
			expect(codeOf(() => seek(file.fd, offset, SEEK_DATA))).toBe("ENXIO");
			expect(codeOf(() => seek(file.fd, offset, SEEK_HOLE))).toBe("ENXIO");
		}
	}),
};
