/** One directory's merged names: what shows from which layer, its order, and keeping it in step. */
import { describe, expect, test } from "bun:test";
import { DT_CHR, DT_DIR, DT_LNK, DT_REG } from "../../src/native/layout.ts";
import { type Name, readBytes, release, store } from "../../src/native/memory.ts";
import type { ByteString } from "../../src/options.ts";
import { Listing, NO_SLOT, type Slot } from "../../src/overlay/nodes/listing.ts";
import { measure } from "../../src/overlay/nodes/name.ts";
import { ListingModel, type ModelLayer } from "./listing-model.ts";
import { oneOf, randomNumbers } from "./random.ts";

function named<Result>(text: string, action: (name: Name) => Result): Result {
	const name = store(text as ByteString);
	try {
		return action(name);
	} finally {
		release(name, text.length + 1);
	}
}

/** A listing with names as text. */
class Names {
	readonly listing = new Listing({ bytes: 0 });

	add(layer: number, text: string, type: number = DT_REG, inode = 1): void {
		named(text, (name) => this.listing.add(layer, name, measure(name), type, inode, 0));
	}

	addWhiteout(layer: number, text: string, isFile = false): void {
		named(text, (name) => this.listing.addWhiteout(layer, name, measure(name), isFile));
	}

	slot(text: string): Slot {
		return named(text, (name) => this.listing.find(name, measure(name)));
	}

	create(text: string, type: number = DT_REG): void {
		named(text, (name) => this.listing.create(name, measure(name), type, 1, 0));
	}

	isVisible(text: string): boolean {
		const slot = this.slot(text);
		return slot !== NO_SLOT && this.listing.isVisible(slot);
	}

	/** Visible names behind an offset, in order, with the offset behind each. */
	walk(offset = 0, count = Number.POSITIVE_INFINITY): { name: string; next: number }[] {
		const { listing } = this;
		const found: { name: string; next: number }[] = [];
		for (let slot = listing.after(offset); slot !== NO_SLOT; slot = listing.following(slot)) {
			if (found.length >= count) break;
			if (!listing.isVisible(slot)) continue;
			found.push({
				name: readBytes(listing.name(slot), listing.nameLength(slot)),
				next: listing.cookie(slot),
			});
		}
		return found;
	}

	names(): string[] {
		return this.walk()
			.map(({ name }) => name)
			.sort();
	}

	/** Everything that is asked of a name. */
	describe(text: string): unknown {
		const { listing } = this;
		const slot = this.slot(text);
		if (slot === NO_SLOT || !listing.isVisible(slot)) return undefined;
		return {
			layer: listing.layer(slot),
			type: listing.type(slot),
			layers: listing.layersOf(slot),
			merged: listing.isMerged(slot),
			below: listing.layer(slot) === 0 && listing.showsBelow(slot),
		};
	}
}

describe("merging", () => {
	test("a name is seen once, as its topmost layer has it", () => {
		const names = new Names();
		names.add(0, "a", DT_LNK, 10);
		names.add(1, "a", DT_REG, 20);
		names.add(1, "b", DT_REG, 30);
		expect(names.names()).toEqual(["a", "b"]);
		const slot = names.slot("a");
		const { listing } = names;
		expect([listing.layer(slot), listing.type(slot), listing.inodeLow(slot)]).toEqual([0, DT_LNK, 10]);
		expect([listing.showsBelow(slot), listing.isMerged(slot), listing.visible]).toEqual([true, false, 2]);
		expect(names.slot("c")).toBe(NO_SLOT);
	});

	test("directories of one name are merged down to the first that is none", () => {
		const names = new Names();
		names.add(0, "d", DT_DIR);
		names.add(2, "d", DT_DIR);
		names.add(3, "d", DT_REG);
		names.add(4, "d", DT_DIR);
		expect(names.describe("d")).toEqual({
			layer: 0,
			type: DT_DIR,
			layers: [0, 2],
			merged: true,
			below: true,
		});
		expect([names.listing.visible, names.listing.subdirectories]).toEqual([1, 1]);
	});

	test("a file hides directories below it", () => {
		const names = new Names();
		names.add(0, "d");
		names.add(1, "d", DT_DIR);
		expect(names.describe("d")).toEqual({ layer: 0, type: DT_REG, layers: [0], merged: false, below: true });
		expect(names.listing.subdirectories).toBe(0);
	});

	test("a whiteout hides what is below it, and is not seen", () => {
		const names = new Names();
		names.addWhiteout(0, "a");
		names.add(1, "a", DT_DIR);
		names.addWhiteout(1, "nothing");
		expect([names.names(), names.listing.visible, names.listing.subdirectories]).toEqual([[], 0, 0]);
		const slot = names.slot("a");
		expect([names.listing.isWhiteout(slot), names.listing.isFileWhiteout(slot)]).toEqual([true, false]);
	});

	test("a whiteout between layers ends the merging, and what is under it does not show below", () => {
		const names = new Names();
		names.add(0, "d", DT_DIR);
		names.addWhiteout(1, "d");
		names.add(2, "d", DT_DIR);
		expect(names.describe("d")).toEqual({ layer: 0, type: DT_DIR, layers: [0], merged: false, below: false });
	});

	test("a `.wh.` file hides only what is below its layer", () => {
		const names = new Names();
		names.add(0, "a");
		names.add(0, "d", DT_DIR);
		names.addWhiteout(0, "a", true);
		names.addWhiteout(0, "d", true);
		names.addWhiteout(0, "gone", true);
		names.add(1, "a");
		names.add(1, "d", DT_DIR);
		names.add(1, "gone");
		expect(names.names()).toEqual(["a", "d"]);
		expect(names.listing.layersOf(names.slot("d"))).toEqual([0]);
		expect(names.listing.isFileWhiteout(names.slot("gone"))).toBeTrue();
	});

	test("five hundred layers of one directory", () => {
		const names = new Names();
		const layers = Array.from({ length: 500 }, (_, index) => index);
		for (const layer of layers) names.add(layer, "d", DT_DIR);
		expect(names.listing.layersOf(names.slot("d"))).toEqual(layers);
	});

	test("names of any bytes, up to 255 of them", () => {
		const all = [
			"\xff",
			"\x01",
			"a\nb",
			".",
			"..x",
			"n".repeat(255),
			`${"n".repeat(254)}m`,
			"\xc3\xa9",
			"\xe9",
		];
		const names = new Names();
		for (const name of all) names.add(1, name);
		expect(names.names()).toEqual([...all].sort());
	});
});

describe("changes", () => {
	test("a name made over a whiteout shows, and is not merged", () => {
		const names = new Names();
		names.addWhiteout(0, "d");
		names.add(1, "d", DT_DIR);
		names.create("d", DT_DIR);
		expect(names.describe("d")).toMatchObject({ layer: 0, layers: [0], merged: false });
		expect([names.listing.visible, names.listing.subdirectories]).toEqual([1, 1]);
	});

	test("copy-up keeps what a directory is merged of", () => {
		const names = new Names();
		names.add(1, "d", DT_DIR);
		names.add(3, "d", DT_DIR);
		names.add(1, "f");
		for (const name of ["d", "f"]) names.listing.raise(names.slot(name));
		expect(names.describe("d")).toEqual({
			layer: 0,
			type: DT_DIR,
			layers: [0, 1, 3],
			merged: true,
			below: true,
		});
		expect(names.describe("f")).toEqual({ layer: 0, type: DT_REG, layers: [0], merged: false, below: true });
		expect([names.listing.visible, names.listing.subdirectories]).toEqual([2, 1]);
	});

	test("a removed name is gone, with a whiteout or without, and can come back", () => {
		const names = new Names();
		names.add(0, "own");
		names.add(1, "lower", DT_DIR);
		names.listing.remove(names.slot("own"), false, false);
		names.listing.remove(names.slot("lower"), true, false);
		expect([names.names(), names.listing.visible, names.listing.subdirectories]).toEqual([[], 0, 0]);
		expect(names.slot("own")).toBe(NO_SLOT);
		expect(names.listing.isWhiteout(names.slot("lower"))).toBeTrue();
		names.create("own");
		names.create("lower");
		expect([names.names(), names.listing.visible]).toEqual([["lower", "own"], 2]);
		expect(names.describe("own")).toMatchObject({ below: false });
		expect(names.describe("lower")).toMatchObject({ below: true });
	});

	test("a listing mostly of names that are gone is stale, until they come back", () => {
		const names = new Names();
		for (let index = 0; index < 6000; index++) names.create(`n${index}`);
		expect(names.listing.isStale).toBeFalse();
		for (let index = 0; index < 5500; index++) names.listing.remove(names.slot(`n${index}`), false, false);
		expect([names.listing.isStale, names.listing.visible]).toEqual([true, 500]);
		for (let index = 0; index < 5500; index++) names.create(`m${index}`);
		expect([names.listing.isStale, names.listing.visible]).toEqual([false, 6000]);
	});

	test("names that come and go take the place of each other", () => {
		const names = new Names();
		for (let turn = 0; turn < 10; turn++) {
			for (let index = 0; index < 4000; index++) names.create(`${turn}-${index}`);
			for (let index = 0; index < 4000; index++)
				names.listing.remove(names.slot(`${turn}-${index}`), false, false);
		}
		expect([names.names(), names.listing.size < 4000 * 200]).toEqual([[], true]);
	});
});

describe("against a model of layers", () => {
	test.each(Array.from({ length: 30 }, (_, index) => index + 1))(
		"random layers and changes, seed %i",
		(seed) => {
			const random = randomNumbers(seed);
			const pool = Array.from({ length: 40 }, (_, index) => `n${index}`);
			const layers: ModelLayer[] = Array.from({ length: 2 + random(4) }, () => {
				const objects = pool
					.filter(() => random(2) === 0)
					.map((name) => [name, oneOf(random, kinds)] as const);
				return { objects: new Map(objects), files: new Set(pool.filter(() => random(8) === 0)) };
			});
			const model = new ListingModel(layers);
			const fill = () => {
				const made = new Names();
				model.layers.forEach(({ objects, files }, layer) => {
					for (const [name, kind] of objects) {
						if (kind === "whiteout") made.addWhiteout(layer, name);
						else made.add(layer, name, kind);
					}
					for (const name of files) made.addWhiteout(layer, name, true);
				});
				return made;
			};
			const names = fill();
			const compare = (step: string) => {
				const shown = Object.fromEntries(pool.map((name) => [name, names.describe(name)]));
				const expected = Object.fromEntries(pool.map((name) => [name, model.describe(name)]));
				expect({ step, ...shown }).toEqual({ step, ...expected });
				expect([names.listing.visible, names.listing.subdirectories]).toEqual([
					model.visible(pool).length,
					model.visible(pool).filter((name) => model.topmost(name)?.kind === DT_DIR).length,
				]);
			};
			compare("filled");
			for (let step = 0; step < 200; step++) {
				const name = oneOf(random, pool);
				const top = model.topmost(name);
				if (top === undefined) {
					const kind = oneOf(random, [DT_REG, DT_DIR, DT_LNK]);
					names.create(name, kind);
					model.create(name, kind);
				} else if (top.layer !== 0 && random(2) === 0) {
					names.listing.raise(names.slot(name));
					model.raise(name);
				} else {
					const { whiteout, isFile } = model.remove(name, random(2) === 0);
					names.listing.remove(names.slot(name), whiteout, isFile);
				}
				compare(`step ${step}, ${name}`);
			}
			// What is kept in step is what reading the layers anew gives.
			const anew = fill();
			expect(anew.walk()).toEqual(names.walk());
		},
	);
});

const kinds = [DT_REG, DT_REG, DT_DIR, DT_DIR, DT_LNK, DT_CHR, "whiteout"] as const;

describe("order", () => {
	const many = Array.from({ length: 50_000 }, (_, index) => `name-${index}`);

	test("50,000 names are found and walked once each, by offsets that only grow", () => {
		const names = new Names();
		for (const name of many) names.add(1, name);
		const walked = names.walk();
		expect(new Set(walked.map(({ name }) => name))).toEqual(new Set(many));
		expect(walked.length).toBe(many.length);
		const offsets = walked.map(({ next }) => next);
		expect(offsets.every((offset, index) => offset > (offsets[index - 1] ?? 2))).toBeTrue();
		expect(offsets.every((offset) => Number.isSafeInteger(offset))).toBeTrue();
		expect(many.every((name) => names.isVisible(name))).toBeTrue();
		expect(names.isVisible("name-50000")).toBeFalse();
	});

	test.each([1, 7, 255, 256, 257, 1000])("of %i names goes on from every offset", (count) => {
		const names = new Names();
		for (const name of many.slice(0, count)) names.add(1, name);
		const walked = names.walk();
		walked.forEach(({ next }, index) => {
			if (index % 50 === 0 || count < 300) expect(names.walk(next)).toEqual(walked.slice(index + 1));
		});
		expect(names.walk(Number.MAX_SAFE_INTEGER)).toEqual([]);
	});

	test("does not depend on the order in which names were added, nor on when the listing was made", () => {
		const some = many.slice(0, 2000);
		const [one, other] = [new Names(), new Names()];
		for (const name of some) one.add(1, name);
		for (const name of [...some].reverse()) other.add(3, name);
		expect(other.walk()).toEqual(one.walk());
	});

	test("names that stay are seen exactly once, whatever comes and goes and however often it is read anew", () => {
		const random = randomNumbers(3);
		const staying = many.slice(0, 3000);
		const coming = many.slice(3000, 6000);
		const present = new Set([...staying, ...coming.slice(0, 1500)]);
		const read = () => {
			const made = new Names();
			for (const name of present) made.add(0, name);
			return made;
		};
		let names = read();
		const seen: string[] = [];
		let offset = 0;
		for (;;) {
			const part = names.walk(offset, 1 + random(40));
			if (part.length === 0) break;
			seen.push(...part.map(({ name }) => name));
			offset = part.at(-1)!.next;
			for (let change = 0; change < 30; change++) {
				const name = oneOf(random, coming);
				if (present.delete(name)) names.listing.remove(names.slot(name), false, false);
				else {
					present.add(name);
					names.create(name);
				}
			}
			if (random(5) === 0) names = read();
		}
		expect(new Set(seen).size).toBe(seen.length);
		const seenOnce = new Set(seen);
		expect(staying.filter((name) => !seenOnce.has(name))).toEqual([]);
	});
});

describe("memory", () => {
	test("is told in bytes and given back", () => {
		const fill = () => {
			const names = new Names();
			for (let index = 0; index < 20_000; index++)
				names.add(1, `a name of forty bytes or so, number ${index}`);
			return names.listing;
		};
		const first = fill();
		expect(first.size).toBeGreaterThan(20_000 * 40);
		expect(first.size).toBeLessThan(20_000 * 200);
		const last = first.name(19_999);
		first.release();
		const second = fill();
		// The second takes the blocks of the first.
		expect(Math.abs(second.name(19_999) - last)).toBeLessThan(4 << 20);
		second.release();
	});
});
