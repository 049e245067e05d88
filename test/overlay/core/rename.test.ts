/** Renaming: what moves, what stays hidden, what is refused. */
import { describe, expect, test } from "bun:test";
import { existsSync, lstatSync } from "node:fs";
import { RENAME_WHITEOUT } from "../../../src/native/layout.ts";
import { directory, fifo, file, hardLink, symlink, whiteout } from "../../harness/layers.ts";
import { getxattr } from "../../harness/native.ts";
import { type CoreSettings, cacheModes, errnoOf, openCore } from "./core.ts";

const formats: readonly (readonly [string, CoreSettings, string])[] = [
	["devices", {}, ""],
	["`.wh.` files", { fileWhiteouts: true }, ".wh."],
];

describe.each(cacheModes)("with %s", (_, options) => {
	describe.each(formats)("and whiteouts as %s", (_title, settings, prefix) => {
		test("files, symlinks and FIFOs of either layer, leaving a whiteout where one is needed", () => {
			const lower = { f: file("f", { mode: 0o640 }), l: symlink("x"), p: fifo(), "d/x": "x" };
			using core = openCore([lower], { ...settings, upper: { own: "own" }, options });
			for (const name of ["f", "l", "p", "own"]) {
				const { inode } = core.stat(name);
				const node = core.node(name);
				core.rename(name, `d/${name}2`);
				expect(core.exists(name)).toBeFalse();
				expect([core.node(`d/${name}2`), core.stat(`d/${name}2`).inode]).toEqual([node, inode]);
			}
			expect([core.read("d/f2"), core.stat("d/f2").mode, core.readlink("d/l2")]).toEqual(["f", 0o640, "x"]);
			expect(core.upperNames()).toEqual([...["f", "l", "p"].map((name) => prefix + name), "d"].sort());
			core.reopen();
			expect([core.names(), core.names("d")]).toEqual([["d"], ["f2", "l2", "own2", "p2", "x"]]);
		});

		test("replaces files of either layer, and takes a whiteout's place", () => {
			const lower = { f: "lower", to: "lower", hidden: "lower", untouched: "u" };
			using core = openCore([lower], { ...settings, upper: { a: "a", b: "b", c: "c", own: "own" }, options });
			core.unlink("hidden");
			core.rename("a", "to");
			core.rename("b", "hidden");
			core.rename("c", "own");
			core.rename("f", "own");
			expect(["to", "hidden", "own"].map((name) => core.read(name))).toEqual(["a", "b", "lower"]);
			expect(core.names()).toEqual(["hidden", "own", "to", "untouched"]);
			expect(core.upperNames()).toEqual([`${prefix}f`, "hidden", "own", "to"].sort());
			core.reopen();
			expect(["to", "hidden", "own"].map((name) => core.read(name))).toEqual(["a", "b", "lower"]);
			expect(core.names()).toEqual(["hidden", "own", "to", "untouched"]);
		});

		test("there and back again", () => {
			using core = openCore([{ "d/a": "a", "e/x": "x" }], { ...settings, options });
			for (let turn = 0; turn < 3; turn++) {
				core.rename("d/a", "e/a");
				core.rename("e/a", "d/b");
				core.rename("d/b", "d/a");
			}
			expect([core.names("d"), core.names("e"), core.read("d/a")]).toEqual([["a"], ["x"], "a"]);
			expect([core.upperNames("d"), core.upperNames("e")]).toEqual([["a"], []]);
		});

		test("a directory of the upper layer, over nothing, a whiteout and an empty lower directory", () => {
			const lower = { "empty/x": "x", "hidden/y": "y" };
			const upper = { "one/1": "1", "two/2": "2", "three/3": "3" };
			using core = openCore([lower], { ...settings, upper, options });
			core.unlink("empty/x");
			core.unlink("hidden/y");
			core.rmdir("hidden");
			core.rename("one", "moved");
			core.rename("two", "hidden");
			core.rename("three", "empty");
			const check = () => {
				expect(core.names()).toEqual(["empty", "hidden", "moved"]);
				expect(["empty", "hidden", "moved"].map((name) => core.names(name))).toEqual([["3"], ["2"], ["1"]]);
			};
			check();
			for (const name of ["empty", "hidden"]) {
				expect(getxattr(core.inUpper(name), "trusted.overlay.opaque").toString()).toBe("y");
			}
			core.create("hidden/new");
			core.unlink("hidden/new");
			core.reopen();
			check();
		});

		test("a directory onto an empty one of the upper layer that has whiteouts in it", () => {
			using core = openCore([{ "to/x": "x" }], {
				...settings,
				upper: { "d/f": "f", to: directory() },
				options,
			});
			core.unlink("to/x");
			core.rename("d", "to");
			expect([core.names(), core.names("to")]).toEqual([["to"], ["f"]]);
			core.reopen();
			expect([core.names(), core.names("to")]).toEqual([["to"], ["f"]]);
		});

		test("exchanges files and directories", () => {
			const lower = { f: "f", g: "g", "merged/x": "x" };
			const upper = { "d/1": "1", "e/2": "2", own: "own" };
			using core = openCore([lower], { ...settings, upper, options });
			core.exchange("f", "g");
			core.exchange("d", "e");
			core.exchange("own", "d");
			core.exchange("f", "e");
			const check = () => {
				expect([core.read("g"), core.read("d"), core.read("e")]).toEqual(["f", "own", "g"]);
				expect([core.names("own"), core.names("f")]).toEqual([["2"], ["1"]]);
			};
			check();
			core.reopen();
			check();
			expect(errnoOf(() => core.exchange("f", "merged"))).toBe("EXDEV");
			expect(errnoOf(() => core.exchange("f", "missing"))).toBe("ENOENT");
		});
	});

	test("directories that lower layers contribute to are EXDEV, and nothing is changed", () => {
		const upper = { "merged/y": "y", own: directory(), f: "f" };
		using core = openCore([{ "lower/x": "x", "merged/x": "x", g: "g" }], { upper, options });
		for (const name of ["lower", "merged"]) {
			expect(errnoOf(() => core.rename(name, "moved"))).toBe("EXDEV");
			expect(errnoOf(() => core.rename(name, "own"))).toBe("EXDEV");
			expect(errnoOf(() => core.exchange("f", name))).toBe("EXDEV");
			expect(errnoOf(() => core.exchange("g", name))).toBe("EXDEV");
			expect(errnoOf(() => core.exchange(name, "own"))).toBe("EXDEV");
		}
		expect(core.names()).toEqual(["f", "g", "lower", "merged", "own"]);
		expect(core.upperNames()).toEqual(["f", "merged", "own"]);
	});

	test("refusals", () => {
		using core = openCore([{ f: "f", d: directory(), "full/x": "x" }], {
			upper: { own: directory() },
			options,
		});
		expect(errnoOf(() => core.rename("missing", "x"))).toBe("ENOENT");
		expect(errnoOf(() => core.rename("f", "missing/x"))).toBe("ENOENT");
		expect(errnoOf(() => core.rename("own", "full"))).toBe("ENOTEMPTY");
		expect(errnoOf(() => core.renameNoReplace("f", "d"))).toBe("EEXIST");
		expect(core.upperNames()).toEqual(["own"]);
	});

	test("onto another name of the same file does nothing", () => {
		using core = openCore([{}], { upper: { a: "a", b: hardLink("a") }, options });
		core.rename("a", "b");
		expect([core.names(), core.stat("a").links]).toEqual([["a", "b"], 2]);
	});

	test("a hard link moved by one name is found by both", () => {
		using core = openCore([{}], { upper: { a: "a", b: hardLink("a"), d: directory() }, options });
		const node = core.node("a");
		expect(core.node("b")).toBe(node);
		core.rename("b", "d/c");
		core.rename("a", "z");
		expect([core.node("d/c"), core.node("z"), core.exists("a"), core.exists("b")]).toEqual([
			node,
			node,
			false,
			false,
		]);
		core.writeTo(node, "A");
		expect([core.read("d/c"), core.read("z")]).toEqual(["A", "A"]);
	});

	test("a moved directory's children go with it, by the nodes they had", () => {
		using core = openCore([{}], { upper: { "d/e/f": "f" }, options });
		const [directoryNode, node] = [core.node("d/e"), core.node("d/e/f")];
		core.rename("d", "moved");
		expect([core.node("moved/e"), core.node("moved/e/f")]).toEqual([directoryNode, node]);
		core.writeTo(node, "F");
		core.create("moved/e/new");
		expect([core.read("moved/e/f"), core.names("moved/e")]).toEqual(["F", ["f", "new"]]);
	});

	test("RENAME_WHITEOUT is refused: whiteouts are not for users to make", () => {
		using core = openCore([{ a: "a" }], { upper: { u: "u" }, options });
		expect(errnoOf(() => core.rename("a", "b", RENAME_WHITEOUT))).toBe("EINVAL");
		expect(errnoOf(() => core.rename("u", "b", RENAME_WHITEOUT))).toBe("EINVAL");
		expect([core.names(), core.upperNames()]).toEqual([["a", "u"], ["u"]]);
	});

	test("onto a file that is held: it goes on, without a name", () => {
		using core = openCore([{ to: "lower" }], { upper: { from: "from", own: "own" }, options });
		const [lower, own] = [core.node("to"), core.node("own")];
		core.rename("from", "to");
		core.rename("to", "own");
		expect([core.readFrom(lower), core.readFrom(own), core.read("own")]).toEqual(["lower", "own", "from"]);
		expect([core.attributes(lower).links, core.attributes(own).links]).toEqual([0, 0]);
	});

	test("a whiteout of a former mount in the other format makes no difference", () => {
		const upper = { a: "a", device: whiteout(), "d/x": "x", ".wh.file": "" };
		using core = openCore([{ device: "l", file: "l", e: directory() }], {
			upper,
			fileWhiteouts: true,
			options,
		});
		core.rename("d", "device");
		core.rename("a", "file");
		expect([core.names(), core.names("device"), core.read("file")]).toEqual([
			["device", "e", "file"],
			["x"],
			"a",
		]);
		core.reopen();
		expect([core.names(), core.names("device"), core.read("file")]).toEqual([
			["device", "e", "file"],
			["x"],
			"a",
		]);
		expect(existsSync(core.inUpper(".wh.file"))).toBeFalse();
		expect(lstatSync(core.inUpper("device")).isDirectory()).toBeTrue();
	});
});
