/** Copying a file's content: every byte, every hole, no more than was asked for. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { ENOSPC } from "../../src/native/layout.ts";
import type { Fd } from "../../src/native/libc/file.ts";
import { copyContent } from "../../src/overlay/layers/copy-content.ts";
import { open } from "../harness/descriptor.ts";
import { sparseFile, type TemporaryTree, temporaryTree } from "../harness/layers.ts";
import { lseek, mount, SEEK_DATA, SEEK_HOLE } from "../harness/native.ts";
import { fillRandomly } from "./random.ts";

/** Up to here a file is copied by one read and one write. */
const BUFFER_SIZE = 1 << 18;
const BLOCK = 4096;

let tree: TemporaryTree;
let serial = 0;

beforeAll(() => {
	tree = temporaryTree();
	mount("tmpfs", tree.layer("memory"), "tmpfs", 0, "size=2m");
});
afterAll(() => tree[Symbol.dispose]());

/** Copies over what was copied before, and answers what the call did and the path of the copy. */
function copied(from: string, length: number, place = ""): { result: number; copy: string } {
	const copy = tree.join(place, "copy");
	using source = open(from);
	using target = open(copy, "w+");
	return { result: copyContent(source.fd as Fd, target.fd as Fd, length), copy };
}

function content(size: number): Buffer {
	const made = Buffer.alloc(size);
	fillRandomly(made, size + 1);
	return made;
}

function source(data: Buffer): string {
	const path = tree.join(`source${serial++}`);
	writeFileSync(path, data);
	return path;
}

/** Start and end of every stretch of data. */
function stretches(path: string): [start: number, end: number][] {
	using file = open(path);
	const { size } = statSync(path);
	const found: [number, number][] = [];
	for (let at = 0; at < size; ) {
		let start: number;
		try {
			start = lseek(file.fd, at, SEEK_DATA);
		} catch {
			break;
		}
		at = lseek(file.fd, start, SEEK_HOLE);
		found.push([start, at]);
	}
	return found;
}

const sizes = [
	0,
	1,
	BLOCK - 1,
	BLOCK,
	BLOCK + 1,
	BUFFER_SIZE - 1,
	BUFFER_SIZE,
	BUFFER_SIZE + 1,
	2 * BUFFER_SIZE,
	(1 << 20) - 1,
	1 << 20,
	(1 << 20) + 12_345,
];

describe.each([
	["on one file system", ""],
	["from one file system to another", "memory"],
])("%s", (_, place) => {
	test.each(sizes)("%i bytes", (size) => {
		const data = content(size);
		const { result, copy } = copied(source(data), size, place);
		expect(result).toBe(0);
		expect(readFileSync(copy).equals(data)).toBeTrue();
	});

	test.each([
		[100_000, 0],
		[100_000, 1],
		[100_000, 99_999],
		[600_000, BUFFER_SIZE],
		[600_000, BUFFER_SIZE + 1],
		[600_000, 599_999],
	])("of %i bytes the first %i", (size, length) => {
		const data = content(size);
		const { result, copy } = copied(source(data), length, place);
		expect(result).toBe(0);
		expect(readFileSync(copy).equals(data.subarray(0, length))).toBeTrue();
	});

	test.each([
		[0, 1],
		[0, 600_000],
		[10, 20],
		[10, BUFFER_SIZE],
		[10, 700_000],
		[BUFFER_SIZE, BUFFER_SIZE + 1],
		[500_000, 600_000],
	])("a source that has %i bytes only is filled up to %i with zeros", (size, length) => {
		const data = content(size);
		const { result, copy } = copied(source(data), length, place);
		expect(result).toBe(0);
		const expected = Buffer.concat([data, Buffer.alloc(length - size)]);
		expect(readFileSync(copy).equals(expected)).toBeTrue();
	});

	test.each([
		["nothing but a hole", 1_000_000, {}],
		["a small file that is a hole", 10_000, {}],
		["a hole first", 1_000_000, { 900000: "end" }],
		["a hole last", 1_000_000, { 0: "start" }],
		["holes between", 1_500_000, { 0: "a", 400000: "b", 800000: "c", 1499999: "d" }],
		["a small file with a hole", 100_000, { 0: "start", 90000: "end" }],
		["a hole over the end", 200_000, { 100000: "middle" }],
	])("%s", (_name, size, parts) => {
		tree.layer("sparse", { [`file${serial}`]: sparseFile(size, parts) });
		const from = tree.join("sparse", `file${serial}`);
		const { result, copy } = copied(from, size, place);
		expect(result).toBe(0);
		expect(statSync(copy).size).toBe(size);
		expect(readFileSync(copy).equals(readFileSync(from))).toBeTrue();
		expect(stretches(copy)).toEqual(stretches(from));
	});
});

test("a gigabyte of hole takes no time and no space", () => {
	tree.layer("large", { file: sparseFile(2 ** 30 + 5, { 500000000: "middle", 1073741820: "at the end" }) });
	const started = performance.now();
	const { result, copy } = copied(tree.join("large/file"), 2 ** 30 + 10);
	expect(result).toBe(0);
	expect(performance.now() - started).toBeLessThan(1000);
	expect([statSync(copy).size, statSync(copy).blocks < 64]).toEqual([2 ** 30 + 10, true]);
	using read = open(copy);
	expect([read.text(6, 500_000_000), read.text(10, 1_073_741_820)]).toEqual(["middle", "at the end"]);
});

test("a source that knows no holes and not its own size, as in /sys, is read", () => {
	const path = "/sys/kernel/fscaps";
	const expected = readFileSync(path);
	const { size } = statSync(path);
	expect(size).toBeGreaterThan(expected.length);
	const { result, copy } = copied(path, size);
	expect(result).toBe(0);
	expect(readFileSync(copy).equals(Buffer.concat([expected], size))).toBeTrue();
});

test("without space the error is told", () => {
	const { result } = copied(source(Buffer.alloc(3_000_000, "x")), 3_000_000, "memory");
	expect(result).toBe(-ENOSPC);
});
