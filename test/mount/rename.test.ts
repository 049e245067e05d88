import { describe, expect, test } from "bun:test";
import {
	existsSync,
	linkSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	renameSync,
	rmSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { open } from "../harness/descriptor.ts";
import { device, directory, fifo, file, hardLink, symlink, whiteout } from "../harness/layers.ts";
import {
	codeOf,
	getxattr,
	RENAME_EXCHANGE,
	RENAME_NOREPLACE,
	RENAME_WHITEOUT,
	renameat2,
} from "../harness/native.ts";
import { debianOpensFifos, mountLayers } from "../harness/overlay.ts";
import { lacks, overlayAttributes } from "../harness/setting.ts";

const read = (path: string) => readFileSync(path, "utf8");

describe("rename of what is no directory", () => {
	test("from any layer, to a new name, over a whiteout, and to another directory", async () => {
		await using overlay = await mountLayers(
			[
				{ lower: "lower", more: "more", both: "hidden", "d/x": "x" },
				{ gone: "old", deep: "deep" },
			],
			{ upper: { upper: "upper", both: "both", gone: whiteout() } },
		);
		renameSync(overlay.at("lower"), overlay.at("lower2"));
		renameSync(overlay.at("upper"), overlay.at("d/upper"));
		renameSync(overlay.at("both"), overlay.at("d/both"));
		renameSync(overlay.at("more"), overlay.at("gone"));
		renameSync(overlay.at("deep"), overlay.at("d/deep"));
		expect(readdirSync(overlay.path).sort()).toEqual(["d", "gone", "lower2"]);
		expect(read(overlay.at("lower2"))).toBe("lower");
		expect(read(overlay.at("d/upper"))).toBe("upper");
		expect(read(overlay.at("d/both"))).toBe("both");
		expect(read(overlay.at("gone"))).toBe("more");
		await overlay.expectLasting();
		expect(lstatSync(overlay.inUpper("lower")).rdev).toBe(0);
		expect(existsSync(overlay.inUpper("upper"))).toBeFalse();
	});

	test("over an existing file of any layer", async () => {
		await using overlay = await mountLayers([{ a: "a", b: "b", c: "c" }], {
			upper: { d: "d", e: "e", c: "c2" },
		});
		renameSync(overlay.at("a"), overlay.at("b"));
		renameSync(overlay.at("d"), overlay.at("c"));
		renameSync(overlay.at("b"), overlay.at("e"));
		expect(readdirSync(overlay.path).sort()).toEqual(["c", "e"]);
		expect([read(overlay.at("c")), read(overlay.at("e"))]).toEqual(["d", "a"]);
		await overlay.expectLasting();
	});

	test.skipIf(lacks("devices"))(
		"symlinks, FIFOs and devices of the lower layer, with owner and mode",
		async () => {
			await using overlay = await mountLayers([
				{
					link: symlink("t", { uid: 5, gid: 6 }),
					pipe: fifo({ mode: 0o620, uid: 7 }),
					null: device("char", 1, 3, { gid: 8 }),
				},
			]);
			for (const name of ["link", "pipe", "null"]) renameSync(overlay.at(name), overlay.at(`${name}2`));
			expect(readlinkSync(overlay.at("link2"))).toBe("t");
			expect(lstatSync(overlay.at("link2")).uid).toBe(5);
			expect(lstatSync(overlay.at("pipe2")).isFIFO()).toBeTrue();
			await overlay.expectLasting(debianOpensFifos);
		},
	);

	test("an open file keeps working under its new name", async () => {
		await using overlay = await mountLayers([{ a: "lower" }], { upper: { b: "upper" } });
		using a = open(overlay.at("a"), "r+");
		using b = open(overlay.at("b"), "r+");
		renameSync(overlay.at("a"), overlay.at("a2"));
		renameSync(overlay.at("b"), overlay.at("b2"));
		writeSync(a.fd, "LOW", 0);
		writeSync(b.fd, "UPP", 0);
		expect(a.text()).toBe("LOWer");
		a.close();
		b.close();
		expect([read(overlay.at("a2")), read(overlay.at("b2"))]).toEqual(["LOWer", "UPPer"]);
		await overlay.expectLasting();
	});

	test("onto itself, or onto another name of the same file, changes nothing", async () => {
		await using overlay = await mountLayers([{ a: "a" }], { upper: { b: "b", c: hardLink("b") } });
		renameSync(overlay.at("a"), overlay.at("a"));
		renameSync(overlay.at("b"), overlay.at("c"));
		expect(readdirSync(overlay.path).sort()).toEqual(["a", "b", "c"]);
		linkSync(overlay.at("a"), overlay.at("a2"));
		renameSync(overlay.at("a"), overlay.at("a2"));
		expect(readdirSync(overlay.path).sort()).toEqual(["a", "a2", "b", "c"]);
		await overlay.expectLasting();
	});

	test("a chain of renames, each over the last name, loses nothing", async () => {
		await using overlay = await mountLayers([{ a: "content", "d/x": "" }]);
		const names = ["a", "b", "d/a", "c", "a", "d/x", "a", "e"];
		for (let index = 1; index < names.length; index++) {
			renameSync(overlay.at(names[index - 1] ?? ""), overlay.at(names[index] ?? ""));
			expect(read(overlay.at(names[index] ?? ""))).toBe("content");
		}
		expect(readdirSync(overlay.path).sort()).toEqual(["d", "e"]);
		await overlay.expectLasting();
	});
});

describe("rename of a directory", () => {
	test("that only the upper layer has, over nothing, a whiteout, or an empty directory", async () => {
		await using overlay = await mountLayers([{ gone: "x", empty: directory(), "emptied/x": "x" }], {
			upper: { gone: whiteout(), "emptied/x": whiteout() },
		});
		for (const target of ["new", "gone", "empty", "emptied"]) {
			mkdirSync(overlay.at("source"));
			writeFileSync(overlay.at("source/file"), target);
			renameSync(overlay.at("source"), overlay.at(target));
			expect(readdirSync(overlay.at(target))).toEqual(["file"]);
			expect(read(overlay.at(target, "file"))).toBe(target);
		}
		expect(existsSync(overlay.at("source"))).toBeFalse();
		await overlay.expectLasting();
		expect(getxattr(overlay.inUpper("emptied"), `${overlayAttributes}.overlay.opaque`).toString()).toBe("y");
	});

	test("made over a whiteout keeps its content, and the old content stays hidden at the old name", async () => {
		await using overlay = await mountLayers([{ "d/old": "old" }], { upper: { d: whiteout() } });
		mkdirSync(overlay.at("d"));
		writeFileSync(overlay.at("d/new"), "new");
		renameSync(overlay.at("d"), overlay.at("e"));
		expect(existsSync(overlay.at("d"))).toBeFalse();
		expect(readdirSync(overlay.at("e"))).toEqual(["new"]);
		await overlay.expectLasting();
	});

	test("moved onto a name with lower content does not let that content through", async () => {
		await using overlay = await mountLayers([{ "d/old": "old" }]);
		rmSync(overlay.at("d"), { recursive: true });
		mkdirSync(overlay.at("fresh/sub"), { recursive: true });
		renameSync(overlay.at("fresh"), overlay.at("d"));
		expect(readdirSync(overlay.at("d"))).toEqual(["sub"]);
		await overlay.expectLasting();
	});

	test("with lower content answers EXDEV, and mv then copies", async () => {
		await using overlay = await mountLayers([{ "lower/a/b": "b", empty: directory() }], {
			upper: { "lower/u": "u" },
		});
		for (const name of ["lower", "empty"]) {
			expect(codeOf(() => renameSync(overlay.at(name), overlay.at("other")))).toBe("EXDEV");
			expect(existsSync(overlay.at("other"))).toBeFalse();
		}
		expect(Bun.spawnSync(["mv", overlay.at("lower"), overlay.at("moved")]).exitCode).toBe(0);
		expect(existsSync(overlay.at("lower"))).toBeFalse();
		expect([read(overlay.at("moved/a/b")), read(overlay.at("moved/u"))]).toEqual(["b", "u"]);
		await overlay.expectLasting();
	});

	test("POSIX's refusals", async () => {
		await using overlay = await mountLayers([{ file: "f", "full/x": "x" }]);
		mkdirSync(overlay.at("dir/sub"), { recursive: true });
		mkdirSync(overlay.at("other"));
		const code = (from: string, to: string) => codeOf(() => renameSync(overlay.at(from), overlay.at(to)));
		expect(code("dir", "dir/sub/inside")).toBe("EINVAL");
		expect(code("file", "dir")).toBe("EISDIR");
		expect(code("other", "file")).toBe("ENOTDIR");
		expect(code("other", "full")).toBe("ENOTEMPTY");
		expect(code("other", "dir")).toBe("ENOTEMPTY");
		expect(code("missing", "x")).toBe("ENOENT");
		expect(code("file", "missing/x")).toBe("ENOENT");
		expect(readdirSync(overlay.path).sort()).toEqual(["dir", "file", "full", "other"]);
	});

	test("its link count and its parents' follow", async () => {
		await using overlay = await mountLayers([{ "other/x": "" }]);
		mkdirSync(overlay.at("a/d/sub"), { recursive: true });
		mkdirSync(overlay.at("b"));
		renameSync(overlay.at("a/d"), overlay.at("b/d"));
		const links = ["a", "b", "b/d"].map((name) => lstatSync(overlay.at(name)).nlink);
		expect(links).toEqual([2, 3, 3]);
		expect(lstatSync(overlay.at("b/d/.."), { bigint: true }).ino).toBe(
			lstatSync(overlay.at("b"), { bigint: true }).ino,
		);
	});
});

describe("renameat2", () => {
	test("RENAME_NOREPLACE refuses an existing name in any layer, else renames", async () => {
		await using overlay = await mountLayers([{ a: "a", lower: "x" }], { upper: { upper: "x" } });
		for (const target of ["lower", "upper"]) {
			expect(codeOf(() => renameat2(overlay.at("a"), overlay.at(target), RENAME_NOREPLACE))).toBe("EEXIST");
		}
		renameat2(overlay.at("a"), overlay.at("b"), RENAME_NOREPLACE);
		rmSync(overlay.at("lower"));
		renameat2(overlay.at("b"), overlay.at("lower"), RENAME_NOREPLACE);
		expect(read(overlay.at("lower"))).toBe("a");
		await overlay.expectLasting();
	});

	test("RENAME_EXCHANGE swaps files, and files with directories, of any layer", async () => {
		await using overlay = await mountLayers([{ a: "a", b: "b", c: file("c", { mode: 0o600 }) }], {
			upper: { u: "u" },
		});
		mkdirSync(overlay.at("dir"));
		writeFileSync(overlay.at("dir/x"), "x");
		renameat2(overlay.at("a"), overlay.at("b"), RENAME_EXCHANGE);
		renameat2(overlay.at("c"), overlay.at("u"), RENAME_EXCHANGE);
		renameat2(overlay.at("dir"), overlay.at("a"), RENAME_EXCHANGE);
		expect([read(overlay.at("dir")), read(overlay.at("b"))]).toEqual(["b", "a"]);
		expect([read(overlay.at("c")), read(overlay.at("u"))]).toEqual(["u", "c"]);
		expect(readdirSync(overlay.at("a"))).toEqual(["x"]);
		expect(codeOf(() => renameat2(overlay.at("a"), overlay.at("missing"), RENAME_EXCHANGE))).toBe("ENOENT");
		await overlay.expectLasting();
	});

	test("RENAME_EXCHANGE of a directory with lower content answers EXDEV", async () => {
		await using overlay = await mountLayers([{ "lower/x": "x" }]);
		mkdirSync(overlay.at("new"));
		expect(codeOf(() => renameat2(overlay.at("lower"), overlay.at("new"), RENAME_EXCHANGE))).toBe("EXDEV");
		expect(codeOf(() => renameat2(overlay.at("new"), overlay.at("lower"), RENAME_EXCHANGE))).toBe("EXDEV");
		expect(readdirSync(overlay.at("lower"))).toEqual(["x"]);
	});

	test("RENAME_WHITEOUT is refused: whiteouts are not for users to make", async () => {
		await using overlay = await mountLayers([{ a: "a" }], { upper: { u: "u" } });
		for (const name of ["a", "u"]) {
			const rename = () => renameat2(overlay.at(name), overlay.at(`${name}2`), RENAME_WHITEOUT);
			expect(codeOf(rename)).toBe("EINVAL");
		}
		expect(readdirSync(overlay.path).sort()).toEqual(["a", "u"]);
		await overlay.expectLasting();
	});
});
