/** Removing names: what is left of them in the upper layer. */
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { type Description, directory, fifo, file, symlink, whiteout } from "../../harness/layers.ts";
import { type CoreSettings, cacheModes, errnoOf, openCore } from "./core.ts";

const formats: readonly (readonly [string, CoreSettings, string])[] = [
	["devices", {}, ""],
	["`.wh.` files", { fileWhiteouts: true }, ".wh."],
];

describe.each(cacheModes)("with %s", (_, options) => {
	describe.each(formats)("and whiteouts as %s", (_title, settings, prefix) => {
		test("unlink leaves a whiteout where a lower layer has the name, and only there", () => {
			const lower = { f: "f", l: symlink("x"), p: fifo(), both: "lower", "d/f": "f" };
			const upper = { own: "own", both: "upper", "d/own": "own" };
			using core = openCore([lower], { ...settings, upper, options });
			for (const path of ["f", "l", "p", "both", "own", "d/f", "d/own"]) {
				core.unlink(path);
				expect(core.exists(path)).toBeFalse();
				expect(errnoOf(() => core.unlink(path))).toBe("ENOENT");
			}
			expect([core.names(), core.names("d")]).toEqual([["d"], []]);
			expect(core.upperNames()).toEqual(
				[...["f", "l", "p", "both"].map((name) => prefix + name), "d"].sort(),
			);
			expect(core.upperNames("d")).toEqual([`${prefix}f`]);
			core.reopen();
			expect([core.names(), core.names("d")]).toEqual([["d"], []]);
		});

		test("rmdir of a lower, an upper and a merged directory", () => {
			const lower = { "lower/x": "x", "merged/x": "x", "merged/d/y": "y" };
			const upper = { own: directory(), merged: directory() };
			using core = openCore([lower, { "merged/z": "z" }], { ...settings, upper, options });
			for (const path of ["lower/x", "merged/x", "merged/d/y", "merged/z"]) core.unlink(path);
			core.rmdir("merged/d");
			for (const path of ["lower", "own", "merged"]) {
				core.rmdir(path);
				expect(core.exists(path)).toBeFalse();
			}
			expect(core.names()).toEqual([]);
			expect(core.upperNames()).toEqual(["lower", "merged"].map((name) => prefix + name));
			core.reopen();
			expect(core.names()).toEqual([]);
		});

		test("what is hidden is gone for good: a directory made again is empty", () => {
			const lower: Description = { "d/a": "a", "d/b/c": "c", "d/e/f/g": "g" };
			using core = openCore([lower], { ...settings, options });
			for (const path of ["d/a", "d/b/c", "d/e/f/g"]) core.unlink(path);
			for (const path of ["d/b", "d/e/f", "d/e", "d"]) core.rmdir(path);
			core.mkdir("d");
			core.mkdir("d/e");
			expect([core.names("d"), core.names("d/e")]).toEqual([["e"], []]);
			core.reopen();
			expect([core.names("d"), core.names("d/e")]).toEqual([["e"], []]);
		});

		test("a name can come and go many times", () => {
			using core = openCore([{ "d/a": "a" }], { ...settings, options });
			for (let turn = 0; turn < 5; turn++) {
				core.unlink("d/a");
				core.create("d/a", `${turn}`);
				expect(core.read("d/a")).toBe(`${turn}`);
				core.unlink("d/a");
				core.mkdir("d/a");
				expect(core.names("d/a")).toEqual([]);
				core.rmdir("d/a");
				core.symlink("target", "d/a");
			}
			core.unlink("d/a");
			expect([core.names("d"), core.upperNames("d")]).toEqual([[], [`${prefix}a`]]);
		});
	});

	test("what is not empty to the user is ENOTEMPTY, whatever layer it is in", () => {
		using core = openCore([{ "lower/x": "x", "merged/x": "x" }], {
			upper: { "own/x": "x", merged: directory() },
			options,
		});
		for (const path of ["lower", "merged", "own"]) expect(errnoOf(() => core.rmdir(path))).toBe("ENOTEMPTY");
		core.create("merged/y");
		core.unlink("merged/x");
		expect(errnoOf(() => core.rmdir("merged"))).toBe("ENOTEMPTY");
		expect(core.names("merged")).toEqual(["y"]);
	});

	test("unlink of a directory is EISDIR, rmdir of anything else ENOTDIR", () => {
		using core = openCore([{ d: directory(), f: "f", l: symlink("d") }], { options });
		expect(errnoOf(() => core.unlink("d"))).toBe("EISDIR");
		for (const path of ["f", "l"]) expect(errnoOf(() => core.rmdir(path))).toBe("ENOTDIR");
		expect(core.upperNames()).toEqual([]);
	});

	test("a whiteout, or a `.wh.` file, is not there to be removed", () => {
		const upper = { gone: whiteout(), gone2: whiteout("file"), "own/.wh.x": "", "own/y": "y" };
		using core = openCore([{ gone: "x", gone2: "x" }], { upper, options });
		for (const path of ["gone", "gone2", ".wh.gone2", "own/.wh.x"]) {
			expect(errnoOf(() => core.unlink(path))).toBe("ENOENT");
			expect(errnoOf(() => core.rmdir(path))).toBe("ENOENT");
		}
		expect(core.names()).toEqual(["own"]);
		expect(existsSync(core.inUpper("own/.wh.x"))).toBeTrue();
	});

	test("whiteouts and markers in an upper directory do not keep it from being removed", () => {
		const upper = {
			"a/x": whiteout(),
			"a/y": whiteout("file"),
			b: directory({ opaque: "file" }),
			"c/.wh..wh.plnk": "",
			d: directory({ opaque: "trusted" }),
		};
		using core = openCore([{ "a/x": "x", "a/y": "y", "b/x": "x", "d/x": "x" }], { upper, options });
		for (const path of ["a", "b", "c", "d"]) core.rmdir(path);
		expect(core.names()).toEqual([]);
		core.reopen();
		expect(core.names()).toEqual([]);
		expect(readdirSync(core.inUpper()).filter((name) => !core.isWhiteout(name))).toEqual([]);
	});

	test("times: the parent's move, what is removed keeps working as it was", () => {
		using core = openCore([{ d: directory({ time: 1_000_000_000n }), "d/f": file("f", { time: 5n }) }], {
			options,
		});
		core.unlink("d/f");
		expect(core.stat("d").mtime).toBeGreaterThan(1_600_000_000_000_000_000n);
	});
});
