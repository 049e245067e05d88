/** What is known of a name before it is looked up. */
import { describe, expect, it, test } from "bun:test";
import { type Name, sameBytes, startsWith, store } from "../../src/native/memory.ts";
import type { ByteString } from "../../src/options.ts";
import { measure, mix } from "../../src/overlay/nodes/name.ts";

const named = (text: string): Name => store(text as ByteString);
const measured = (text: string) => ({ ...measure(named(text)) });

describe("a measure", () => {
	it.each(["", "a", "\xff\x01", "n".repeat(255), "n".repeat(5000)])("of %p tells its length", (text) => {
		const { length, hash, spread } = measured(text);
		expect(length).toBe(text.length);
		for (const word of [hash, spread])
			expect(word >= 0 && word <= 0xffffffff && Number.isInteger(word)).toBeTrue();
	});

	test("is the same wherever the name lies", () => {
		const all = ["a", "some name", "\xff\xfe", "n".repeat(255)];
		for (const name of all) expect(measured(name)).toEqual(measured(name));
	});

	test("ends at the NUL", () => {
		expect(measured("abc\0def")).toEqual(measured("abc"));
	});

	test("tells 100,000 names apart, and fills a table of buckets evenly", () => {
		const buckets = new Uint32Array(1 << 16);
		const positions = new Set<string>();
		const count = 100_000;
		for (let index = 0; index < count; index++) {
			const { hash, spread } = measured(`file-${index}.txt`);
			buckets[hash & 0xffff]!++;
			positions.add(`${hash}/${spread}`);
		}
		expect(positions.size).toBe(count);
		expect(Math.max(...buckets)).toBeLessThan(20);
	});

	test("differs for names of one byte, of swapped bytes, of one more byte", () => {
		const names = [
			...Array.from({ length: 255 }, (_, index) => String.fromCharCode(index + 1)),
			"ab",
			"ba",
			"aa",
			"aaa",
		];
		expect(new Set(names.map((name) => measured(name).hash)).size).toBeGreaterThan(names.length - 2);
		expect(new Set(names.map((name) => JSON.stringify(measured(name)))).size).toBe(names.length);
	});

	test("is not the same in the next run, so that nobody can make names that collide", () => {
		const script = `
			import { store } from "${import.meta.dir}/../../src/native/memory.ts";
			import { measure } from "${import.meta.dir}/../../src/overlay/nodes/name.ts";
			console.log(measure(store("name")).hash);`;
		const run = () => Bun.spawnSync([process.execPath, "-e", script]).stdout.toString().trim();
		const [one, other] = [run(), run()];
		expect(one).toMatch(/^\d+$/);
		expect(other).toMatch(/^\d+$/);
		expect(one).not.toBe(other);
	});
});

test("mix loses nothing", () => {
	const inputs = Array.from({ length: 65_536 }, (_, index) => index * 65_537);
	expect(new Set(inputs.map(mix)).size).toBe(inputs.length);
	expect(inputs.map(mix).every((word) => word >= 0 && word <= 0xffffffff)).toBeTrue();
});

it.each([
	["abc", "abc", 3, true],
	["abc", "abd", 3, false],
	["abc", "abd", 2, true],
	["abc", "xyz", 0, true],
	["\xff", "\x7f", 1, false],
])("sameBytes of %p and %p, %i of them: %p", (one, other, length, expected) => {
	expect(sameBytes(named(one), named(other), length)).toBe(expected);
});

it.each([
	[".wh.name", ".wh.", true],
	[".wh.", ".wh.", true],
	[".wh", ".wh.", false],
	["", ".wh.", false],
	["x.wh.name", ".wh.", false],
	["anything", "", true],
])("%p begins with %p: %p", (name, prefix, expected) => {
	expect(startsWith(named(name), prefix as ByteString)).toBe(expected);
});
