/** Names: which layer they are found in, what hides them, and how far a name can lead. */
import { describe, expect, test } from "bun:test";
import { renameSync, symlinkSync } from "node:fs";
import { DT_DIR, DT_REG, S_IFREG } from "../../../src/native/layout.ts";
import { type Description, directory, file, symlink, whiteout } from "../../harness/layers.ts";
import { cacheModes, errnoOf, noCaches, openCore } from "./core.ts";

describe.each(cacheModes)("with %s", (_, options) => {
	test("a name is what its topmost layer has", () => {
		using core = openCore(
			[
				{ both: "one", one: "one", "d/one": "one" },
				{ both: "two", two: "two", "d/two": "two" },
			],
			{ upper: { both: "upper", "d/upper": "upper" }, options },
		);
		expect(["both", "one", "two"].map((name) => core.read(name))).toEqual(["upper", "one", "two"]);
		expect(core.names()).toEqual(["both", "d", "one", "two"]);
		expect(core.names("d")).toEqual(["one", "two", "upper"]);
		expect(core.exists("three")).toBeFalse();
	});

	test("the same name is the same node, as long as it is held", () => {
		using core = openCore([{ "d/a": "a" }], { options });
		const node = core.node("d/a");
		expect(core.node("d/a")).toBe(node);
		core.forget(node, 2);
		expect(core.overlay.nodes.has(node)).toBeFalse();
		expect(core.read("d/a")).toBe("a");
	});

	test("a file hides directories below, a directory files", () => {
		using core = openCore([{ a: "file", "b/x": "x" }, { "a/x": "x", b: "file" }, { "b/y": "y" }], {
			options,
		});
		expect(core.read("a")).toBe("file");
		expect(errnoOf(() => core.node("a/x"))).toBe("ENOTDIR");
		expect(core.names("b")).toEqual(["x"]);
	});

	test("a name that is missing stays missing, and is found once it is made", () => {
		using core = openCore([{ "d/a": "a" }, { "d/b": "b" }], { options });
		for (let attempt = 0; attempt < 10; attempt++) expect(core.exists("d/new")).toBeFalse();
		core.create("d/new", "new");
		expect(core.read("d/new")).toBe("new");
		core.unlink("d/new");
		expect(core.exists("d/new")).toBeFalse();
		for (let attempt = 0; attempt < 10; attempt++) expect(core.read("d/b")).toBe("b");
	});

	test("names of 255 bytes are looked up, longer ones are ENAMETOOLONG", () => {
		const long = "n".repeat(255);
		using core = openCore([{ [long]: "long", d: directory() }], { options });
		expect(core.read(long)).toBe("long");
		for (const name of [`${long}n`, "n".repeat(4000)]) {
			for (const action of [
				() => core.node(name),
				() => core.create(name),
				() => core.mkdir(name),
				() => core.rename("d", name),
				() => core.link(long, name),
			]) {
				expect(errnoOf(action)).toBe("ENAMETOOLONG");
			}
		}
	});

	test("a symlink in place of a directory is never followed", () => {
		using core = openCore(
			[
				{ "d/own": "own", "f/x": "x" },
				{ d: symlink("secret"), "secret/inside": "inside" },
			],
			{
				upper: { f: symlink("../lower2/secret") },
				options,
			},
		);
		expect(core.names("d")).toEqual(["own"]);
		expect(core.exists("d/inside")).toBeFalse();
		expect(errnoOf(() => core.node("f/inside"))).toBe("ENOTDIR");
		expect(core.readlink("f")).toBe("../lower2/secret");
		core.create("d/new", "new");
		expect(core.names("d")).toEqual(["new", "own"]);
	});

	test("nor a directory that has turned into a symlink behind our back", () => {
		using core = openCore([{}], { upper: { "d/e/x": "x" }, options });
		expect(core.read("d/e/x")).toBe("x");
		renameSync(core.inUpper("d/e"), core.inUpper("d/gone"));
		symlinkSync("/", core.inUpper("d/e"));
		expect(["ENOENT", "ENOTDIR", "ESTALE"]).toContain(errnoOf(() => core.node("d/e/etc")) as string);
	});
});

describe("names", () => {
	/** Every byte that can be in a name, alone and many times. */
	const every = Array.from({ length: 255 }, (_, index) => index + 1)
		.filter((byte) => byte !== 0x2f)
		.flatMap((byte) => [Buffer.from([byte]), Buffer.alloc(byte % 16 === 0 ? 255 : 2, byte)])
		.filter((name) => !/^\.{1,2}$/.test(name.toString("latin1")));

	test("of every byte are found, listed, copied up, renamed and hidden", () => {
		const described: Description = every.flatMap((name) => [
			[Buffer.concat([Buffer.from("d/"), name]), name.toString("hex")] as const,
		]);
		using core = openCore([described]);
		const listed = every.map((name) => name.toString("latin1")).sort();
		expect(core.names("d")).toEqual(listed);
		core.mkdir("moved");
		const under = (parent: string, name: Buffer) => Buffer.concat([Buffer.from(`${parent}/`), name]);
		for (const name of every) {
			expect(core.read(under("d", name))).toBe(name.toString("hex"));
			core.write(under("d", name), "X");
			core.setxattr(under("d", name), "user.note", "x");
			core.rename(under("d", name), under("moved", name));
			core.create(under("d", name), "again");
			core.unlink(under("d", name));
		}
		expect(core.names("d")).toEqual([]);
		expect(core.names("moved")).toEqual(listed);
		expect(core.upperNames("moved")).toEqual(listed);
		core.reopen();
		expect(core.names("d")).toEqual([]);
		expect(core.names("moved")).toEqual(listed);
	});
});

describe("depth", () => {
	const deep = (depth: number) => Array.from({ length: depth }, (_, index) => `d${index % 10}`).join("/");

	test.each([
		[300, {}],
		[100, noCaches],
	])("%i directories, with %j", (depth, options) => {
		const path = deep(depth);
		using core = openCore([{ [`${path}/f`]: "deep", [`${path}/g`]: "too" }], { options });
		expect(core.read(`${path}/f`)).toBe("deep");
		core.write(`${path}/f`, "DEEP");
		core.unlink(`${path}/g`);
		core.create(`${path}/new`, "new");
		expect(core.names(path)).toEqual(["f", "new"]);
		core.reopen();
		expect(core.names(path)).toEqual(["f", "new"]);
		expect(core.read(`${path}/f`)).toBe("DEEP");
	});

	test("400 directories, none of which is kept open", () => {
		const path = "d/".repeat(400);
		const wide = Array.from({ length: 100 }, (_, index) => `wide${index}`);
		const described = Object.fromEntries(wide.map((name) => [`${name}/x`, "x"]));
		using core = openCore([{ ...described, [`${path}f`]: "deep" }], { options: { largestDescriptors: 64 } });
		const node = core.node(`${path}f`);
		for (const name of wide) expect(core.read(`${name}/x`)).toBe("x");
		core.writeTo(node, "DEEP");
		expect(core.readFrom(node)).toBe("DEEP");
	});
});

describe("layers", () => {
	test("40 of them: a name from each, merged directories, whiteouts in the middle", () => {
		const lowers = Array.from(
			{ length: 40 },
			(_, index): Description => ({
				[`own${index}`]: `${index}`,
				shared: `${index}`,
				[`d/own${index}`]: `${index}`,
				...(index === 20 ? { "d/own30": whiteout(), "e/x": "x", f: whiteout("file") } : {}),
				...(index === 25 ? { "e/y": "y", f: "hidden" } : {}),
			}),
		);
		using core = openCore(lowers);
		expect(core.names("d").length).toBe(39);
		expect(core.exists("d/own30")).toBeFalse();
		expect(core.read("shared")).toBe("0");
		expect(core.names("e")).toEqual(["x", "y"]);
		expect(core.exists("f")).toBeFalse();
		for (let index = 0; index < 40; index++) expect(core.read(`own${index}`)).toBe(`${index}`);
		core.unlink("d/own39");
		core.write("d/own38", "new");
		core.reopen();
		expect(core.names("d").length).toBe(38);
		expect([core.read("d/own38"), core.exists("d/own39"), core.isWhiteout("d/own39")]).toEqual([
			"new",
			false,
			true,
		]);
	});

	test("without an upper layer everything can be read and nothing changed", () => {
		using core = openCore([{ "d/a": file("one", { mode: 0o640 }) }, { "d/b": "two" }], { readOnly: true });
		expect(core.names("d")).toEqual(["a", "b"]);
		expect([core.read("d/a"), core.stat("d/a").mode]).toEqual(["one", 0o640]);
		for (const action of [
			() => core.create("d/new"),
			() => core.mkdir("new"),
			() => core.symlink("a", "new"),
			() => core.unlink("d/a"),
			() => core.rmdir("d"),
			() => core.rename("d/a", "d/c"),
			() => core.link("d/a", "d/c"),
			() => core.write("d/a", "x"),
			() => core.change("d/a", { mode: 0o600 }),
			() => core.change("d/a", { size: 0 }),
			() => core.change("d", { mtime: 5n }),
			() => core.setxattr("d/a", "user.x", "y"),
			() => core.removexattr("d/a", "user.x"),
			() => core.createNameless("d"),
		]) {
			expect(errnoOf(action)).toBe("EROFS");
		}
		expect(core.names("d")).toEqual(["a", "b"]);
	});

	test("a lower layer alone shows `.wh.` names of its own as little as others do", () => {
		using core = openCore([{ ".wh.x": "", x: "shown", ".wh.gone": "" }], { readOnly: true });
		expect(core.names()).toEqual(["x"]);
		expect([core.exists(".wh.x"), core.exists(".wh.gone"), core.read("x")]).toEqual([false, false, "shown"]);
	});
});

test("kinds are told", () => {
	using core = openCore([{ f: "f", d: directory() }]);
	const { nodes } = core.overlay;
	expect([nodes.kind(core.node("f")), nodes.kind(core.node("d")), core.stat("f").kind]).toEqual([
		DT_REG,
		DT_DIR,
		S_IFREG,
	]);
});
