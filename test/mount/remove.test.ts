import { describe, expect, test } from "bun:test";
import {
	existsSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	rmdirSync,
	rmSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { type Description, directory, fifo, file, hardLink, symlink, whiteout } from "../harness/layers.ts";
import { asUser, codeOf } from "../harness/native.ts";
import { mountLayers, type Overlay } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";

/** The upper layer holds a device 0:0 of this name. */
function isWhiteout(overlay: Overlay, name: string): boolean {
	const stats = lstatSync(overlay.inUpper(name));
	return stats.isCharacterDevice() && stats.rdev === 0;
}

describe("unlink", () => {
	test("what only the upper layer has goes without a trace", async () => {
		await using overlay = await mountLayers([{ other: "x" }], { upper: { a: "a", "d/b": "b" } });
		writeFileSync(overlay.at("new"), "x");
		for (const name of ["a", "d/b", "new"]) unlinkSync(overlay.at(name));
		expect(readdirSync(overlay.path).sort()).toEqual(["d", "other"]);
		await overlay.expectLasting();
		expect(readdirSync(overlay.inUpper())).toEqual(["d"]);
		expect(readdirSync(overlay.inUpper("d"))).toEqual([]);
	});

	test("what a lower layer has is hidden by a whiteout and stays hidden", async () => {
		await using overlay = await mountLayers(
			[{ lower: "x", both: "x", link: symlink("x"), pipe: fifo(), "d/deep": "x" }, { lower: "hidden too" }],
			{ upper: { both: "u" } },
		);
		const names = ["lower", "both", "link", "pipe", "d/deep"];
		for (const name of names) {
			unlinkSync(overlay.at(name));
			expect(codeOf(() => lstatSync(overlay.at(name)))).toBe("ENOENT");
		}
		expect(readdirSync(overlay.path)).toEqual(["d"]);
		await overlay.expectLasting();
		for (const name of names)
			expect({ name, hidden: isWhiteout(overlay, name) }).toEqual({ name, hidden: true });
		expect(readFileSync(overlay.inLower("both"), "utf8")).toBe("x");
	});

	test("what a whiteout already hides needs none after removal", async () => {
		await using overlay = await mountLayers([{ a: whiteout() }, { a: "hidden" }]);
		writeFileSync(overlay.at("a"), "new");
		unlinkSync(overlay.at("a"));
		expect(existsSync(overlay.at("a"))).toBeFalse();
		await overlay.expectLasting();
	});

	test("a name made and removed again and again ends as it should", async () => {
		await using overlay = await mountLayers([{ a: "lower", "d/x": "lower" }]);
		for (let round = 0; round < 30; round++) {
			unlinkSync(overlay.at("a"));
			expect(existsSync(overlay.at("a"))).toBeFalse();
			writeFileSync(overlay.at("a"), `round ${round}`);
			expect(readFileSync(overlay.at("a"), "utf8")).toBe(`round ${round}`);
			rmSync(overlay.at("d"), { recursive: true });
			mkdirSync(overlay.at("d"));
			writeFileSync(overlay.at(`d/round${round}`), "");
			expect(readdirSync(overlay.at("d"))).toEqual([`round${round}`]);
		}
		await overlay.expectLasting();
	});

	test("one name of a hard-linked file: the others stay", async () => {
		await using overlay = await mountLayers([{ a: "content", b: hardLink("a") }], {
			upper: { c: "upper", d: hardLink("c") },
		});
		unlinkSync(overlay.at("a"));
		unlinkSync(overlay.at("c"));
		expect(readFileSync(overlay.at("b"), "utf8")).toBe("content");
		expect(readFileSync(overlay.at("d"), "utf8")).toBe("upper");
		expect(lstatSync(overlay.at("d")).nlink).toBe(1);
		await overlay.expectLasting({ ignoreLinks: true });
	});

	test("a directory is refused with EISDIR, a missing name with ENOENT", async () => {
		await using overlay = await mountLayers([{ "d/x": "", file: "" }]);
		expect(codeOf(() => unlinkSync(overlay.at("d")))).toBe("EISDIR");
		expect(codeOf(() => unlinkSync(overlay.at("missing")))).toBe("ENOENT");
		expect(codeOf(() => unlinkSync(overlay.at("file/x")))).toBe("ENOTDIR");
	});

	test.skipIf(lacks("other ids"))(
		"the caller needs write permission on the directory, and in a sticky one the file or it",
		async () => {
			await using overlay = await mountLayers([
				{
					closed: directory({ mode: 0o755 }),
					"closed/x": file("", { uid: 1000 }),
					sticky: directory({ mode: 0o1777 }),
					"sticky/mine": file("", { uid: 1000 }),
					"sticky/other": file("", { uid: 2000 }),
				},
			]);
			asUser(1000, 1000, () => {
				expect(codeOf(() => unlinkSync(overlay.at("closed/x")))).toBe("EACCES");
				expect(codeOf(() => unlinkSync(overlay.at("sticky/other")))).toBe("EPERM");
				expect(codeOf(() => unlinkSync(overlay.at("sticky/mine")))).toBeUndefined();
			});
			expect(readdirSync(overlay.at("sticky"))).toEqual(["other"]);
		},
	);
});

describe("rmdir", () => {
	test("empty directories of the upper, of the lower, and of both", async () => {
		await using overlay = await mountLayers([{ lower: directory(), both: directory() }], {
			upper: { upper: directory(), both: directory() },
		});
		for (const name of ["upper", "lower", "both"]) rmdirSync(overlay.at(name));
		expect(readdirSync(overlay.path)).toEqual([]);
		await overlay.expectLasting();
		expect(readdirSync(overlay.inUpper()).sort()).toEqual(["both", "lower"]);
		expect(isWhiteout(overlay, "both")).toBeTrue();
	});

	test("a merged directory that is empty to the user, with whiteouts inside", async () => {
		await using overlay = await mountLayers(
			[
				{ "d/a": "a", "d/b/c": "c", "e/gone": whiteout() },
				{ "d/x": "x", "e/gone": "x" },
			],
			{ upper: { "d/a": whiteout(), "d/x": whiteout("file") } },
		);
		expect(codeOf(() => rmdirSync(overlay.at("d")))).toBe("ENOTEMPTY");
		unlinkSync(overlay.at("d/b/c"));
		rmdirSync(overlay.at("d/b"));
		rmdirSync(overlay.at("d"));
		rmdirSync(overlay.at("e"));
		expect(readdirSync(overlay.path)).toEqual([]);
		await overlay.expectLasting();
		expect(isWhiteout(overlay, "d")).toBeTrue();
	});

	test("a directory with content in any layer is refused with ENOTEMPTY and left whole", async () => {
		await using overlay = await mountLayers([{ "lower/x": "1", "both/x": "1" }, { "deep/x": "2" }], {
			upper: { "upper/x": "u", "both/x": whiteout(), "both/y": "u" },
		});
		for (const name of ["lower", "deep", "upper", "both"]) {
			expect({ name, code: codeOf(() => rmdirSync(overlay.at(name))) }).toEqual({ name, code: "ENOTEMPTY" });
			expect(readdirSync(overlay.at(name)).length).toBe(1);
		}
		await overlay.expectLasting();
	});

	test("what is no directory is refused with ENOTDIR, also a symlink to one", async () => {
		await using overlay = await mountLayers([{ file: "", link: symlink("d"), d: directory() }]);
		expect(codeOf(() => rmdirSync(overlay.at("file")))).toBe("ENOTDIR");
		expect(codeOf(() => rmdirSync(overlay.at("link")))).toBe("ENOTDIR");
		expect(codeOf(() => rmdirSync(overlay.at("missing")))).toBe("ENOENT");
	});

	test("a directory made anew after removal is empty, and removable again", async () => {
		await using overlay = await mountLayers([{ "d/x": "1", "d/sub/y": "1" }]);
		rmSync(overlay.at("d"), { recursive: true });
		mkdirSync(overlay.at("d"));
		expect(readdirSync(overlay.at("d"))).toEqual([]);
		await overlay.remount();
		expect(readdirSync(overlay.at("d"))).toEqual([]);
		rmdirSync(overlay.at("d"));
		expect(existsSync(overlay.at("d"))).toBeFalse();
		await overlay.expectLasting();
		expect(isWhiteout(overlay, "d")).toBeTrue();
	});
});

describe("rm -r", () => {
	test("a tree merged from three layers, and nothing remains but its whiteout", async () => {
		const part = (layer: string): Description =>
			Object.fromEntries(
				Array.from({ length: 120 }, (_, index) => [
					`tree/d${index % 7}/e${index % 3}/${layer}${index}`,
					layer,
				]),
			);
		await using overlay = await mountLayers([part("a"), { ...part("b"), ...part("a") }, part("c")], {
			upper: part("u"),
		});
		const { exitCode, stderr } = Bun.spawnSync(["rm", "-r", overlay.at("tree")]);
		expect([stderr.toString(), exitCode]).toEqual(["", 0]);
		expect(readdirSync(overlay.path)).toEqual([]);
		await overlay.expectLasting();
		expect(readdirSync(overlay.inUpper())).toEqual(["tree"]);
		expect(isWhiteout(overlay, "tree")).toBeTrue();
	});
});
