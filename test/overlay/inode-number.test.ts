/** The inode numbers users see: those of the layers where that is possible, and never two files with one number. */
import { describe, expect, it, test } from "bun:test";
import type { Layer } from "../../src/overlay/layers/layer.ts";
import { InodeNumbers } from "../../src/overlay/nodes/inode-number.ts";
import { randomNumbers } from "./random.ts";

const layersOn = (...devices: string[]) => devices.map((device) => ({ device }) as Layer);

function translate(inodes: InodeNumbers, layer: number, inode: bigint): bigint {
	inodes.translate(layer, Number(inode & 0xffffffffn), Number(inode >> 32n));
	return (BigInt(inodes.high) << 32n) | BigInt(inodes.low);
}

/** From tiny to full 64 bits, many of them of the same low or high half. */
const numbers = (() => {
	const random = randomNumbers(11);
	const made = new Set([1n, 2n, 0xffffffffn, 1n << 32n, (1n << 56n) - 1n]);
	for (let index = 0; index < 2000; index++) {
		made.add(BigInt(index));
		made.add((BigInt(random(1 << 24)) << 32n) | BigInt(random(1000)));
		made.add(BigInt(random(0xffffffff)));
	}
	return [...made];
})();

describe("one file system", () => {
	it.each([0n, 1n, 0xffffffffn, 1n << 32n, (1n << 56n) + 5n, (1n << 64n) - 1n])(
		"%d stays as it is",
		(inode) => {
			const inodes = new InodeNumbers(layersOn("8:1", "8:1", "8:1"), false);
			for (const layer of [0, 1, 2]) expect(translate(inodes, layer, inode)).toBe(inode);
		},
	);
});

describe("several file systems", () => {
	const inodes = new InodeNumbers(layersOn("8:1", "0:55", "8:1", "253:7"), false);

	test("those of the first are as they are, also in a lower layer of it", () => {
		for (const number of numbers) {
			expect(translate(inodes, 0, number)).toBe(number);
			expect(translate(inodes, 2, number)).toBe(number);
		}
	});

	test("no number is given to two files", () => {
		const given = [0, 1, 3].flatMap((layer) => numbers.map((number) => translate(inodes, layer, number)));
		expect(new Set(given).size).toBe(given.length);
	});

	test("the same layers give the same numbers at every mount", () => {
		const again = new InodeNumbers(layersOn("8:1", "0:66", "8:1", "253:9"), false);
		for (const number of numbers) expect(translate(again, 3, number)).toBe(translate(inodes, 3, number));
	});

	test("numbers that need all 64 bits stay apart", () => {
		const large = numbers.map((number) => number | (1n << 62n) | (number << 57n));
		const given = [1, 3].flatMap((layer) =>
			large.map((number) => translate(inodes, layer, BigInt.asUintN(64, number))),
		);
		expect(new Set(given).size).toBe(new Set(large.map((number) => BigInt.asUintN(64, number))).size * 2);
	});

	test("five hundred of them stay apart", () => {
		const many = new InodeNumbers(
			layersOn(...Array.from({ length: 500 }, (_, index) => `0:${index}`)),
			false,
		);
		const given = Array.from({ length: 500 }, (_, layer) =>
			[2n, 3n, 1n << 40n].map((number) => translate(many, layer, number)),
		);
		expect(new Set(given.flat()).size).toBe(1500);
	});
});

describe("32 bits", () => {
	const inodes = new InodeNumbers(layersOn("8:1", "0:55"), true);

	test("every number fits, and is neither 0 nor 1", () => {
		for (const layer of [0, 1]) {
			for (const number of [0n, 1n, ...numbers, (1n << 64n) - 1n]) {
				const given = translate(inodes, layer, number);
				expect(given > 1n && given < 1n << 32n).toBeTrue();
			}
		}
	});

	it.each([2n, 4711n, 0xffffffffn])("%d stays as it is where it fits", (number) => {
		expect(translate(inodes, 0, number)).toBe(number);
	});
});
