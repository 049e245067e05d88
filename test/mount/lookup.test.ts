import { describe, expect, test } from "bun:test";
import { existsSync, lstatSync, mkdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { directory, file, symlink, whiteout } from "../harness/layers.ts";
import { askForHandle, asUser, codeOf } from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";

const read = (path: string) => readFileSync(path, "utf8");

describe("lookup", () => {
	test("a name is found in whichever layer has it, the topmost first", async () => {
		await using overlay = await mountLayers(
			[
				{ everywhere: "first lower", lowers: "first lower", one: "first lower" },
				{ everywhere: "second lower", lowers: "second lower", two: "second lower" },
			],
			{ upper: { everywhere: "upper", only: "upper" } },
		);
		expect(read(overlay.at("everywhere"))).toBe("upper");
		expect(read(overlay.at("only"))).toBe("upper");
		expect(read(overlay.at("lowers"))).toBe("first lower");
		expect(read(overlay.at("one"))).toBe("first lower");
		expect(read(overlay.at("two"))).toBe("second lower");
		await overlay.expectLasting();
	});

	test("directories of one name merge over all layers, to any depth", async () => {
		await using overlay = await mountLayers(
			[
				{ "a/b/c/first": "1", "a/b/c/same": "1" },
				{ "a/b/c/second": "2", "a/b/c/same": "2" },
				{ "a/third": "3" },
			],
			{ upper: { "a/b/upper": "u" } },
		);
		expect(read(overlay.at("a/b/c/first"))).toBe("1");
		expect(read(overlay.at("a/b/c/second"))).toBe("2");
		expect(read(overlay.at("a/b/c/same"))).toBe("1");
		expect(read(overlay.at("a/third"))).toBe("3");
		expect(read(overlay.at("a/b/upper"))).toBe("u");
		await overlay.expectLasting();
	});

	test.skipIf(lacks("other ids"))(
		"a merged directory shows owner, mode and times of its topmost layer",
		async () => {
			await using overlay = await mountLayers([
				{ d: directory({ mode: 0o710, uid: 11, gid: 12, time: 1_000_000_000_123_456_789n }), "d/x": "1" },
				{ d: directory({ mode: 0o777, uid: 21, gid: 22 }), "d/y": "2" },
			]);
			const stats = statSync(overlay.at("d"), { bigint: true });
			expect([stats.mode & 0o7777n, stats.uid, stats.gid]).toEqual([0o710n, 11n, 12n]);
			expect(stats.mtimeNs).toBe(1_000_000_000_123_456_789n);
			expect(existsSync(overlay.at("d/y"))).toBeTrue();
		},
	);

	test("a file above a directory hides it, and a directory above a file hides that", async () => {
		await using overlay = await mountLayers([
			{ "file-wins": "a file", "directory-wins/x": "1" },
			{ "file-wins/hidden": "1", "directory-wins": "a file" },
			{ "directory-wins/hidden": "below the file" },
		]);
		expect(read(overlay.at("file-wins"))).toBe("a file");
		expect(codeOf(() => statSync(overlay.at("file-wins/hidden")))).toBe("ENOTDIR");
		expect(statSync(overlay.at("directory-wins")).isDirectory()).toBeTrue();
		expect(read(overlay.at("directory-wins/x"))).toBe("1");
		expect(codeOf(() => statSync(overlay.at("directory-wins/hidden")))).toBe("ENOENT");
		await overlay.expectLasting();
	});

	test("a symlink above a directory is a symlink, and nothing merges through it", async () => {
		await using overlay = await mountLayers([
			{ d: symlink("elsewhere"), "elsewhere/x": "through the link" },
			{ "d/x": "hidden", "d/y": "hidden" },
		]);
		expect(lstatSync(overlay.at("d")).isSymbolicLink()).toBeTrue();
		expect(read(overlay.at("d/x"))).toBe("through the link");
		expect(existsSync(overlay.at("d/y"))).toBeFalse();
		await overlay.expectLasting();
	});

	test("a whiteout hides the layers below it, not those above", async () => {
		await using overlay = await mountLayers(
			[
				{ back: "first lower" },
				{ back: whiteout(), gone: whiteout(), "d/gone": whiteout() },
				{ back: "x", gone: "x", "d/gone": "x" },
			],
			{ upper: { "d/upper": "u" } },
		);
		expect(read(overlay.at("back"))).toBe("first lower");
		expect(codeOf(() => lstatSync(overlay.at("gone")))).toBe("ENOENT");
		expect(codeOf(() => lstatSync(overlay.at("d/gone")))).toBe("ENOENT");
		await overlay.expectLasting();
	});

	test("a name that was missing is found once it was made, and missing once it was removed", async () => {
		await using overlay = await mountLayers([{ lower: "x" }]);
		for (let round = 0; round < 3; round++) {
			expect(codeOf(() => statSync(overlay.at("new")))).toBe("ENOENT");
			writeFileSync(overlay.at("new"), "x");
			expect(existsSync(overlay.at("new"))).toBeTrue();
			unlinkSync(overlay.at("new"));
		}
		unlinkSync(overlay.at("lower"));
		expect(codeOf(() => statSync(overlay.at("lower")))).toBe("ENOENT");
	});

	test("a name may have 255 bytes; with 256 every call answers ENAMETOOLONG", async () => {
		const longest = "n".repeat(255);
		const tooLong = "n".repeat(256);
		await using overlay = await mountLayers([{ [longest]: "lower" }]);
		expect(read(overlay.at(longest))).toBe("lower");
		expect(codeOf(() => statSync(overlay.at(tooLong)))).toBe("ENAMETOOLONG");
		expect(codeOf(() => writeFileSync(overlay.at(tooLong), ""))).toBe("ENAMETOOLONG");
		expect(codeOf(() => mkdirSync(overlay.at(tooLong)))).toBe("ENAMETOOLONG");
		expect(codeOf(() => unlinkSync(overlay.at(tooLong)))).toBe("ENAMETOOLONG");
	});

	test("files that stand for whiteouts and opaque markers have no name of their own", async () => {
		await using overlay = await mountLayers(
			[
				{ gone: whiteout("file"), d: directory({ opaque: "file" }), "d/x": "1" },
				{ gone: "x", "d/y": "2" },
			],
			{ upper: { also: whiteout("file") } },
		);
		for (const name of [".wh.gone", ".wh.also", "d/.wh..wh..opq", "gone", "d/y"]) {
			expect({ name, code: codeOf(() => lstatSync(overlay.at(name))) }).toEqual({ name, code: "ENOENT" });
		}
		expect(read(overlay.at("d/x"))).toBe("1");
	});

	const [major, minor] = release().split(".").map(Number) as [number, number];
	test.skipIf(major < 6 || (major === 6 && minor < 9))(
		"no file handle is given out, because it would go stale (from Linux 6.9)",
		async () => {
			await using overlay = await mountLayers([{ f: "f", d: directory() }]);
			for (const name of ["f", "d"]) expect(codeOf(() => askForHandle(overlay.at(name)))).toBe("ENOTSUP");
		},
	);

	test.skipIf(lacks("other ids"))("search permission is checked for the caller", async () => {
		await using overlay = await mountLayers([
			{
				closed: directory({ mode: 0o700 }),
				"closed/x": file("1", { mode: 0o644 }),
				open: file("2", { mode: 0o644 }),
			},
		]);
		expect(asUser(1000, 1000, () => codeOf(() => statSync(overlay.at("closed/x"))))).toBe("EACCES");
		expect(asUser(1000, 1000, () => read(overlay.at("open")))).toBe("2");
		expect(read(overlay.at("closed/x"))).toBe("1");
	});
});
