/** Ids in the layers against ids in the mount. */
import { describe, expect, it } from "bun:test";
import type { IdRange } from "../../src/options.ts";
import { IdMap, NO_ID } from "../../src/overlay/marks/id-map.ts";

const OVERFLOW = 65534;
const LARGEST = 0xfffffffe;
const map = (...triples: readonly (readonly [onDisk: number, shown: number, length: number])[]) =>
	new IdMap(
		triples.map(([onDisk, shown, length]): IdRange => ({ onDisk, shown, length })),
		OVERFLOW,
	);

describe("without ranges every id is itself", () => {
	it.each([0, 1, 1000, 65534, LARGEST])("%i", (id) => {
		expect([map().shown(id), map().onDisk(id)]).toEqual([id, id]);
	});
});

describe("one range, 100000 shown as 0, for 65536 ids", () => {
	const ids = map([100_000, 0, 65_536]);

	it.each([
		[100_000, 0],
		[100_001, 1],
		[165_535, 65_535],
	])("%i on disk is %i in the mount, and back", (onDisk, shown) => {
		expect([ids.shown(onDisk), ids.onDisk(shown)]).toEqual([shown, onDisk]);
	});

	it.each([0, 99_999, 165_536, LARGEST])("%i on disk has no id in the mount", (onDisk) => {
		expect(ids.shown(onDisk)).toBe(OVERFLOW);
	});

	it.each([65_536, 100_000, LARGEST])("%i in the mount has no id on disk", (shown) => {
		expect(ids.onDisk(shown)).toBe(NO_ID);
		expect(ids.ofNew(shown)).toBe(OVERFLOW);
	});
});

describe("several ranges", () => {
	it.each([
		[
			"the caller's own id and the subordinate ones",
			[
				[1000, 0, 1],
				[100_000, 1, 65_536],
			],
			1000,
			0,
		],
		[
			"of which the second applies",
			[
				[1000, 0, 1],
				[100_000, 1, 65_536],
			],
			100_005,
			6,
		],
		[
			"of which two have the id on disk: the later wins",
			[
				[0, 1000, 10],
				[5, 2000, 1],
			],
			5,
			2000,
		],
		[
			"the earlier where the later does not reach",
			[
				[0, 1000, 10],
				[5, 2000, 1],
			],
			6,
			1006,
		],
		[
			"a single id in the middle",
			[
				[0, 0, 1000],
				[1000, 5000, 1],
				[1001, 1001, 1000],
			],
			1000,
			5000,
		],
	] as const)("%s", (_, triples, onDisk, shown) => {
		expect(map(...triples).shown(onDisk)).toBe(shown);
	});

	it("of which two have the id in the mount: the later wins on the way to disk too", () => {
		const ids = map([0, 0, 100], [500, 50, 10]);
		expect([ids.onDisk(49), ids.onDisk(50), ids.onDisk(59), ids.onDisk(60)]).toEqual([49, 500, 509, 60]);
	});
});

describe("at the end of the ids", () => {
	it("a range that goes beyond 32 bits does not come round", () => {
		const ids = map([LARGEST - 5, 10, 100]);
		expect([ids.shown(LARGEST), ids.shown(0), ids.shown(50)]).toEqual([15, OVERFLOW, OVERFLOW]);
	});

	it("a range of all ids moves nothing", () => {
		const ids = map([0, 0, 0xffffffff]);
		expect([ids.shown(LARGEST), ids.onDisk(LARGEST)]).toEqual([LARGEST, LARGEST]);
	});

	it("an empty range maps nothing", () => {
		const ids = map([5, 5, 0]);
		expect([ids.shown(5), ids.onDisk(5)]).toEqual([OVERFLOW, NO_ID]);
	});
});
