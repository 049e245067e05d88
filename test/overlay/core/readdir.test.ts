/** Reading directories: every name once, in an order that holds, with the numbers and kinds stat tells. */
import { describe, expect, test } from "bun:test";
import { DT_CHR, DT_DIR, DT_FIFO, DT_LNK, DT_REG, DT_SOCK } from "../../../src/native/layout.ts";
import { device, directory, fifo, socket, symlink, whiteout } from "../../harness/layers.ts";
import { oneOf, randomNumbers } from "../random.ts";
import { cacheModes, openCore } from "./core.ts";
import { viewOf } from "./view.ts";

const numbered = (count: number, prefix = "") =>
	Object.fromEntries(Array.from({ length: count }, (_, index) => [`${prefix}n${index}`, ""]));

describe.each(cacheModes)("with %s", (_, options) => {
	test("kinds and inode numbers are stat's, before and after copy-up", () => {
		const lower = {
			"d/file": "f",
			"d/dir/x": "x",
			"d/link": symlink("x"),
			"d/pipe": fifo(),
			"d/sock": socket(),
			"d/null": device("char", 1, 3),
			"d/merged/x": "x",
		};
		const upper = { "d/own": "own", "d/merged/y": "y", "d/opaque": directory({ opaque: "trusted" }) };
		using core = openCore([lower, { "d/merged/z": "z", "d/opaque/x": "x" }], { upper, options });
		const kinds = () =>
			Object.fromEntries(core.entries(core.node("d")).map(({ name, type }) => [name, type]));
		const expected = {
			file: DT_REG,
			dir: DT_DIR,
			link: DT_LNK,
			pipe: DT_FIFO,
			sock: DT_SOCK,
			null: DT_CHR,
			merged: DT_DIR,
			opaque: DT_DIR,
			own: DT_REG,
		};
		expect(kinds()).toEqual(expected);
		viewOf(core);
		core.forgetAll();
		for (const name of Object.keys(expected)) core.change(`d/${name}`, { uid: 5 });
		core.forgetAll();
		expect(kinds()).toEqual(expected);
		viewOf(core);
		core.reopen();
		viewOf(core);
	});

	test("goes on from any offset, in pieces of any size", () => {
		using core = openCore([numbered(300, "d/"), numbered(400, "d/")], { upper: { "d/own": "" }, options });
		const node = core.node("d");
		const all = core.entries(node);
		expect(all.length).toBe(401);
		for (const size of [1, 7, 400]) {
			let offset = 2;
			const pieces: string[] = [];
			for (;;) {
				const piece = core.entries(node, offset, size);
				if (piece.length === 0) break;
				pieces.push(...piece.map(({ name }) => name));
				offset = piece.at(-1)!.next;
			}
			expect(pieces).toEqual(all.map(({ name }) => name));
		}
		for (const index of [0, 100, 399])
			expect(core.entries(node, all[index]!.next)).toEqual(all.slice(index + 1));
	});

	test("names that stay are seen exactly once, whatever is made and removed meanwhile", () => {
		const random = randomNumbers(9);
		using core = openCore([numbered(200, "d/lower-"), numbered(200, "d/stay-")], { options });
		const node = core.node("d");
		const seen: string[] = [];
		let offset = 2;
		let serial = 0;
		for (;;) {
			const piece = core.entries(node, offset, 20);
			if (piece.length === 0) break;
			seen.push(...piece.map(({ name }) => name));
			offset = piece.at(-1)!.next;
			for (let change = 0; change < 5; change++) {
				const changing = core.names("d").filter((name) => !name.startsWith("stay-"));
				const name = oneOf(random, changing);
				if (random(3) === 0) core.create(`d/new-${serial++}`);
				else if (random(2) === 0) core.rename(`d/${name}`, `d/moved-${serial++}`);
				else core.unlink(`d/${name}`);
			}
		}
		const staying = seen.filter((name) => name.startsWith("stay-"));
		expect(staying.length).toBe(200);
		expect(new Set(staying).size).toBe(200);
	});
});

test("1,000 names, half of them hidden", () => {
	const upper = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`d/.wh.n${index * 2}`, ""]));
	using core = openCore([numbered(1000, "d/")], { upper });
	const names = core.names("d");
	expect([names.length, new Set(names).size]).toEqual([500, 500]);
	expect(names.every((name) => Number(name.slice(1)) % 2 === 1)).toBeTrue();
});

test("after many names were removed the directory is read anew, and is right", () => {
	using core = openCore([{ "d/keep": "k" }], { upper: { "d/x": whiteout() } });
	for (let index = 0; index < 1500; index++) core.create(`d/t${index}`);
	const node = core.node("d");
	const offset = core.entries(node, 2, 700).at(-1)!.next;
	const rest = core.entries(node, offset).map(({ name }) => name);
	for (let index = 0; index < 1500; index++) if (index % 10 !== 0) core.unlink(`d/t${index}`);
	const staying = rest.filter((name) => name === "keep" || Number(name.slice(1)) % 10 === 0);
	expect(core.entries(node, offset).map(({ name }) => name)).toEqual(staying);
	expect(core.names("d").length).toBe(151);
});
