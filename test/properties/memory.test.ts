/** What holds of everything that is written to the memory which system calls and libfuse see. */

import { expect, test } from "bun:test";
import * as fc from "fast-check";
import * as layout from "../../src/native/layout.ts";
import {
	allocate,
	blockSize,
	bytes,
	copy,
	getNumber,
	lengthOf,
	readBytes,
	readString,
	release,
	reserve,
	returnPages,
	setNumber,
	store,
	view,
	writeString,
} from "../../src/native/memory.ts";
import type { ByteString } from "../../src/options.ts";
import { byteStrings } from "./arbitrary.ts";

const size = 4096;
const place = reserve(3 * size);

/** Fills the memory around `place` with what must be there afterwards, runs `action`, and looks. */
function expectOnly(at: number, length: number, action: () => void): void {
	bytes.fill(0xa5, place, place + 3 * size);
	action();
	const isUntouched = (from: number, to: number) => bytes.subarray(from, to).every((byte) => byte === 0xa5);
	expect(isUntouched(place, at) && isUntouched(at + length, place + 3 * size)).toBeTrue();
}

test("a string is read as what was written, and nothing beside it is touched", () => {
	fc.assert(
		fc.property(byteStrings("", { maxLength: 300 }), fc.nat(100), (text, shift) => {
			const at = place + size + shift;
			expectOnly(at, text.length + 1, () => {
				writeString(at, text);
				expect(readString(at)).toBe(text);
				expect(lengthOf(at)).toBe(text.length);
				expect(readBytes(at, text.length)).toBe(text);
			});
		}),
	);
});

test("a number of 64 bits is read as what was written, by C too", () => {
	fc.assert(
		fc.property(fc.maxSafeNat(), fc.nat(7), (number, words) => {
			const at = place + size + 4 * words;
			expectOnly(at, 8, () => {
				setNumber(at, number);
				expect(getNumber(at)).toBe(number);
				expect(view.getBigUint64(at, true)).toBe(BigInt(number));
			});
		}),
	);
});

test("what is copied is what was there, and nothing beside it is touched", () => {
	fc.assert(
		fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(100), (content, shift) => {
			const source = reserve(0);
			const block = allocate(300);
			bytes.set(content, block);
			const at = place + size + shift;
			expectOnly(at, content.length, () => {
				copy(at, block, content.length);
				expect(bytes.slice(at, at + content.length)).toEqual(content);
			});
			release(block, 300);
			expect(source % 16).toBe(0);
		}),
	);
});

test("blocks that are in use at the same time do not overlap, whatever was given back before", () => {
	const step = fc.record({
		size: fc.oneof(fc.nat(1100), fc.nat(20_000)),
		gives: fc.boolean(),
		which: fc.nat(1000),
	});
	fc.assert(
		fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
			const held: { at: number; size: number }[] = [];
			for (const { size: wanted, gives, which } of steps) {
				if (gives && held.length > 0) {
					const [block] = held.splice(which % held.length, 1);
					release(block!.at, block!.size);
					continue;
				}
				const at = allocate(wanted);
				expect(at % 8).toBe(0);
				for (const other of held) {
					const isApart = at + wanted <= other.at || other.at + blockSize(other.size) <= at;
					expect(isApart).toBeTrue();
				}
				held.push({ at, size: wanted });
			}
			for (const block of held) release(block.at, block.size);
		}),
		{ numRuns: 200 },
	);
});

test("what is in use keeps its content when the rest is given back", () => {
	const held: { at: number; text: string }[] = [];
	const hold = (length: number, seed: number) => {
		const text = String.fromCharCode(...Array.from({ length }, (_, index) => 1 + ((index * 7 + seed) % 250)));
		const at = allocate(length + 1);
		writeString(at, text as ByteString);
		held.push({ at, text });
	};
	const letGo = (which: number) => {
		const [block] = held.splice(which % held.length, 1);
		if (block !== undefined) release(block.at, block.text.length + 1);
	};
	const length = fc.oneof(fc.nat(40), fc.nat(1100), fc.nat(70_000));
	fc.assert(
		fc.property(length, fc.nat(250), fc.array(fc.nat(1e6), { maxLength: 400 }), (size, seed, steps) => {
			for (let count = 0; count < 200; count++) hold(count % 20 === 0 ? size : size % 300, seed + count);
			for (const step of steps) letGo(step);
			returnPages();
			for (let count = 0; count < 50; count++) hold(size % 200, seed + count);
			const isWrong = held.filter(({ at, text }) => readBytes(at, text.length) !== text);
			expect(isWrong).toEqual([]);
			while (held.length > 0) letGo(0);
			returnPages();
		}),
		{ numRuns: 100 },
	);
});

test("a block is at least as large as asked for, and not much larger", () => {
	fc.assert(
		fc.property(fc.nat(1 << 26), (wanted) => {
			expect(blockSize(wanted)).toBeGreaterThanOrEqual(wanted);
			expect(blockSize(wanted)).toBeLessThanOrEqual(Math.max(8, 2 * wanted));
			expect(blockSize(blockSize(wanted))).toBe(blockSize(wanted));
		}),
	);
});

test("a name stored is read as what it was, as long as it is kept", () => {
	fc.assert(
		fc.property(fc.array(byteStrings("", { maxLength: 255 }), { maxLength: 30 }), (texts) => {
			const stored = texts.map((text) => ({ text, name: store(text) }));
			for (const { text, name } of stored) expect(readString(name)).toBe(text);
			for (const { text, name } of stored) release(name, text.length + 1);
		}),
		{ numRuns: 200 },
	);
});

test("a field of a struct is read as what was written, and nothing beside the struct is touched", () => {
	const structs = Object.entries(layout)
		.filter(([, value]) => typeof value === "object" && "sizeof" in value)
		.map(([name, struct]) => ({ name, struct: struct as unknown as Readonly<Record<string, number>> }));
	expect(structs.length).toBeGreaterThan(20);
	const fields = structs.flatMap(({ name, struct }) => {
		const offsets = [...new Set(Object.values(struct))].sort((one, other) => one - other);
		return Object.entries(struct)
			.filter(([field]) => field !== "sizeof")
			.map(([field, offset]) => ({
				name: `${name}.${field}`,
				offset,
				sizeof: struct.sizeof ?? 0,
				width: (offsets.find((other) => other > offset) ?? offset) - offset,
			}));
	});
	fc.assert(
		fc.property(fc.constantFrom(...fields), fc.maxSafeNat(), ({ name, offset, sizeof, width }, value) => {
			expect({ name, fits: offset + width <= sizeof }).toEqual({ name, fits: true });
			const at = place + size;
			expectOnly(at, sizeof, () => {
				if (width >= 8) setNumber(at + offset, value);
				else if (width >= 4) view.setUint32(at + offset, value % 2 ** 32, true);
				const read = width >= 8 ? getNumber(at + offset) : view.getUint32(at + offset, true);
				if (width >= 4) expect(read).toBe(width >= 8 ? value : value % 2 ** 32);
			});
		}),
	);
});
