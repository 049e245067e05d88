/** Whiteouts and opaque directories in every format that layers come with, and those that are written. */
import { describe, expect, test } from "bun:test";
import { existsSync, linkSync, lstatSync, mkdirSync, writeFileSync } from "node:fs";
import { S_IFCHR } from "../../../src/native/layout.ts";
import { device, directory, file, type Layers, type OpaqueFormat, whiteout } from "../../harness/layers.ts";
import { getxattr, listxattr } from "../../harness/native.ts";
import { type CoreSettings, cacheModes, openCore } from "./core.ts";

const whiteouts = ["device", "file", "xattr"] as const;
const markers: readonly OpaqueFormat[] = ["trusted", "user", "fuseoverlayfs", "file"];

describe.each(cacheModes)("with %s", (_, options) => {
	describe.each(whiteouts)("a whiteout as %s", (format) => {
		const below = { a: "a", "d/x": "x", "e/f": "f", "e/g": "g", stays: "s" };

		test.each([
			["the upper", true],
			["a lower", false],
		])("hides files and directories, in %s layer", (_title, inUpper) => {
			const hiding = { a: whiteout(format), d: whiteout(format), "e/f": whiteout(format), "own/x": "x" };
			const layers = inUpper ? [below] : [hiding, below];
			// The kernel knows whiteouts by attribute in lower layers only, but a layer may be used as either.
			using core = openCore(layers, { ...(inUpper ? { upper: hiding } : {}), options });
			for (let turn = 0; turn < 5; turn++) {
				for (const path of ["a", "d", "e/f"])
					expect({ path, found: core.exists(path) }).toEqual({ path, found: false });
			}
			expect([core.names(), core.names("e")]).toEqual([["e", "own", "stays"], ["g"]]);
			expect([core.stat("").links, core.stat("e").links]).toEqual([4, 2]);
		});

		test("hides only what is below it", () => {
			const above = { a: "above", "d/y": "y" };
			using core = openCore([above, { a: whiteout(format), d: whiteout(format) }, below], { options });
			expect([core.read("a"), core.names("d"), core.names()]).toEqual([
				"above",
				["y"],
				["a", "d", "e", "stays"],
			]);
		});
	});

	describe.each(markers)("an opaque directory marked by %s", (format) => {
		test.each([
			["the upper", true],
			["a lower", false],
		])("hides what is below it, in %s layer", (_title, inUpper) => {
			const opaque = { d: directory({ opaque: format }), "d/own": "own", "e/own": "own" };
			const below = { "d/x": "x", "d/s/y": "y", "e/x": "x" };
			const layers = inUpper ? [below] : [opaque, below];
			using core = openCore(layers, { ...(inUpper ? { upper: opaque } : {}), options });
			expect([core.names("d"), core.names("e")]).toEqual([["own"], ["own", "x"]]);
			expect([core.exists("d/x"), core.exists("d/s/y"), core.stat("d").links]).toEqual([false, false, 2]);
		});

		test("ends the merging for the directories in it too", () => {
			const layers = [
				{ "d/s/top": "1" },
				{ d: directory({ opaque: format }), "d/s/middle": "2" },
				{ "d/s/bottom": "3", "d/x": "x" },
			];
			using core = openCore(layers, { options });
			expect([core.names("d"), core.names("d/s")]).toEqual([["s"], ["middle", "top"]]);
		});
	});

	test("a `.wh.NAME` beside NAME hides what is below, not NAME", () => {
		const upper = { a: "upper", ".wh.a": "", "d/own": "own", ".wh.d": "" };
		using core = openCore([{ a: "lower", "d/x": "x" }], { upper, options });
		expect([core.names(), core.names("d"), core.read("a")]).toEqual([["a", "d"], ["own"], "upper"]);
		core.unlink("a");
		core.unlink("d/own");
		core.rmdir("d");
		expect(core.names()).toEqual([]);
		core.reopen();
		expect(core.names()).toEqual([]);
	});

	test("other devices and empty files are no whiteouts", () => {
		const upper = { null: device("char", 1, 3), zero: device("block", 0, 0), empty: "" };
		using core = openCore([{ null: "x", zero: "x", empty: "x" }], { upper, options });
		expect(core.names()).toEqual(["empty", "null", "zero"]);
		expect(core.stat("null")).toMatchObject({ kind: S_IFCHR, major: 1, minor: 3 });
	});

	test.each(["n", "Y", "yes", "", "yy"])("the value %p makes no directory opaque", (value) => {
		const upper = { d: directory({ xattrs: { "trusted.overlay.opaque": value } }), "d/own": "own" };
		using core = openCore([{ "d/x": "x" }], { upper, options });
		expect(core.names("d")).toEqual(["own", "x"]);
	});

	test("internal names are shown to nobody", () => {
		const layer = {
			".wh..wh..opq": "",
			".wh..wh.plnk": "",
			".wh.gone": "",
			"d/.wh..wh..opq": "",
			shown: "s",
		};
		using core = openCore([{ "d/x": "x" }], { upper: layer, options });
		expect([core.names(), core.names("d")]).toEqual([["d", "shown"], []]);
	});
});

describe("written", () => {
	const change = (settings: CoreSettings) => {
		const core = openCore([{ gone: "x", "d/x": "x", "e/x": "x" }], settings);
		core.unlink("gone");
		core.unlink("d/x");
		core.rmdir("d");
		core.mkdir("d");
		return core;
	};

	test("with privileges: a device, linked to one in the workdir, and `trusted.overlay.opaque`", () => {
		using core = change({});
		core.unlink("e/x");
		expect([core.isWhiteout("gone"), core.isWhiteout("e/x"), core.exists("gone")]).toEqual([
			true,
			true,
			false,
		]);
		const [one, other] = ["gone", "e/x"].map((name) => lstatSync(core.inUpper(name)));
		expect(one?.ino).toBe(other?.ino as number);
		expect(listxattr(core.inUpper("d"))).toEqual(["trusted.overlay.opaque"]);
		expect(existsSync(core.inUpper("d/.wh..wh..opq"))).toBeFalse();
	});

	test("without `trusted` attributes: both `user` ones", () => {
		using core = change({ userAttributes: true });
		expect(listxattr(core.inUpper("d"))).toEqual(["user.fuseoverlayfs.opaque", "user.overlay.opaque"]);
		expect(getxattr(core.inUpper("d"), "user.overlay.opaque").toString()).toBe("y");
		core.reopen();
		expect(core.names("d")).toEqual([]);
	});

	test("as files: `.wh.NAME`, empty, of nobody else", () => {
		using core = change({ fileWhiteouts: true });
		expect([core.upperNames(), core.exists("gone")]).toEqual([[".wh.gone", "d"], false]);
		expect(lstatSync(core.inUpper(".wh.gone"))).toMatchObject({ size: 0, uid: 0, gid: 0 });
	});

	test("as files, a name too long for the prefix is EIO, and stays", () => {
		const long = "n".repeat(252);
		using core = openCore([{ [long]: "x" }], { fileWhiteouts: true });
		expect(() => core.unlink(long)).toThrow("EIO");
		expect([core.read(long), core.upperNames()]).toEqual(["x", []]);
	});

	test("when the device in the workdir has as many links as it may, another takes its place", () => {
		const many = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`f${index}`, "x"]));
		using core = openCore([many]);
		const shared = `${core.layers.work}/work/#whiteout`;
		const links = core.tree.layer("upper/links");
		let made = 0;
		try {
			// ext4 allows 65,000; file systems without such a limit have nothing to show here.
			for (; made < 65_100; made++) linkSync(shared, `${links}/${made}`);
		} catch {
			// As many as there may be.
		}
		for (let index = 0; index < 20; index++) core.unlink(`f${index}`);
		expect([core.names(), core.isWhiteout("f0"), core.isWhiteout("f19")]).toEqual([["links"], true, true]);
	});

	test("not where no lower layer has the name, also when the listing was read", () => {
		using core = openCore([{ "d/x": "x" }], { upper: { "d/own": "o", own: "o" } });
		core.names("d");
		core.names();
		for (const path of ["d/own", "own"]) core.unlink(path);
		core.create("d/new");
		core.unlink("d/new");
		core.rename("d/x", "d/y");
		core.unlink("d/y");
		expect([core.upperNames(), core.upperNames("d")]).toEqual([["d"], ["x"]]);
	});
});

test("a workdir with what a crash left is emptied", () => {
	const prepare = ({ work }: Layers) => {
		mkdirSync(`${work}/work/#5/sub/sub`, { recursive: true });
		mkdirSync(`${work}/work/index`);
		writeFileSync(`${work}/work/#7`, "junk");
		writeFileSync(`${work}/work/#5/sub/file`, "junk");
	};
	using core = openCore([{ a: "a" }], { prepare });
	expect(core.litter()).toEqual([]);
	core.unlink("a");
	expect(core.names()).toEqual([]);
});

test("a whiteout of a file with attributes hides as others do", () => {
	using core = openCore([{ f: file("f", { mode: 0, xattrs: { "user.x": "y" } }) }], {
		upper: { f: whiteout() },
	});
	expect(core.names()).toEqual([]);
});
