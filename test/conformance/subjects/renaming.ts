/** Renaming: files of every kind, directories, over names that are there, gone or hidden. */

import { expect } from "bun:test";
import {
	existsSync,
	mkdirSync,
	readlinkSync,
	renameSync,
	rmdirSync,
	rmSync,
	unlinkSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { open } from "../../harness/descriptor.ts";
import { device, fifo, file, hardLink, symlink, whiteout } from "../../harness/layers.ts";
import {
	codeOf,
	RENAME_EXCHANGE,
	RENAME_NOREPLACE,
	RENAME_WHITEOUT,
	renameat2,
} from "../../harness/native.ts";
import { modeOf, namesIn, ownerOf, run, statOf, textOf } from "../observe.ts";
import { changing, type Subject } from "../statement.ts";

const files = { a: "a", b: "b", "d/c": "c", gone: "gone", "e/x": "x" };
const special = {
	l: symlink("target", { uid: 5, gid: 6 }),
	p: fifo({ mode: 0o640, uid: 7, gid: 8 }),
	c: device("char", 1, 3, { mode: 0o604, uid: 9, gid: 10 }),
};

export const renaming: Subject = {
	"to a new name, and to another directory": changing(files, ({ at }) => {
		renameSync(at("a"), at("new"));
		renameSync(at("b"), at("d/b"));
		renameSync(at("d/c"), at("c"));
		expect([textOf(at("new")), textOf(at("d/b")), textOf(at("c")), namesIn(at("d"))]).toEqual([
			"a",
			"b",
			"c",
			["b"],
		]);
		expect(existsSync(at("a"))).toBeFalse();
	}),

	"over a file": changing(files, ({ at }) => {
		renameSync(at("a"), at("b"));
		expect([textOf(at("b")), existsSync(at("a"))]).toEqual(["a", false]);
	}),

	"onto a removed name": changing(files, ({ at }) => {
		unlinkSync(at("gone"));
		renameSync(at("a"), at("gone"));
		expect([textOf(at("gone")), existsSync(at("a"))]).toEqual(["a", false]);
	}),

	"away, and a new file made at the old name": changing(files, ({ at }) => {
		renameSync(at("a"), at("moved"));
		writeFileSync(at("a"), "new");
		expect([textOf(at("moved")), textOf(at("a"))]).toEqual(["a", "new"]);
		unlinkSync(at("a"));
		expect([existsSync(at("a")), textOf(at("moved"))]).toEqual([false, "a"]);
	}),

	"between removed names, back and forth": changing(files, ({ path, at }) => {
		unlinkSync(at("gone"));
		for (let round = 0; round < 3; round++) {
			renameSync(at("a"), at("gone"));
			renameSync(at("gone"), at("a"));
		}
		unlinkSync(at("b"));
		renameSync(at("a"), at("b"));
		renameSync(at("b"), at("gone"));
		expect([textOf(at("gone")), namesIn(path)]).toEqual(["a", ["d", "e", "gone"]]);
	}),

	"in a chain, each over the last": changing(files, ({ path, at }) => {
		renameSync(at("a"), at("b"));
		renameSync(at("b"), at("d/c"));
		renameSync(at("d/c"), at("gone"));
		renameSync(at("gone"), at("a"));
		expect([textOf(at("a")), namesIn(path), namesIn(at("d"))]).toEqual(["a", ["a", "d", "e"], []]);
	}),

	"symlinks, FIFOs and devices stay what they are": changing(special, ({ at }) => {
		for (const name of Object.keys(special)) renameSync(at(name), at(`${name}2`));
		expect([readlinkSync(at("l2")), ownerOf(at("l2"))]).toEqual(["target", "5:6"]);
		expect([statOf(at("p2")).mode >> 12n, modeOf(at("p2")), ownerOf(at("p2"))]).toEqual([1n, 0o640, "7:8"]);
		expect([statOf(at("c2")).rdev, modeOf(at("c2")), ownerOf(at("c2"))]).toEqual([0x103n, 0o604, "9:10"]);
	}),

	"an open file goes on under its new name": changing(files, ({ at }) => {
		using handle = open(at("a"), "r+");
		renameSync(at("a"), at("d/moved"));
		writeSync(handle.fd, "A");
		expect([textOf(at("d/moved")), statOf(handle.fd).ino]).toEqual(["A", statOf(at("d/moved")).ino]);
	}),

	"keeps number, owner, mode and attributes": changing(
		{ f: file("x", { uid: 5, gid: 6, mode: 0o4711 }) },
		({ at }) => {
			const before = statOf(at("f"));
			renameSync(at("f"), at("g"));
			const after = statOf(at("g"));
			expect([after.ino, after.mode, after.uid, after.gid, after.mtimeNs, after.nlink]).toEqual([
				before.ino,
				before.mode,
				before.uid,
				before.gid,
				before.mtimeNs,
				before.nlink,
			]);
		},
	),

	"onto itself, or another name of the same file, changes nothing": changing(
		{ f: "content", g: hardLink("f") },
		({ path, at }) => {
			writeFileSync(at("h"), "");
			renameSync(at("f"), at("f"));
			expect(namesIn(path)).toEqual(["f", "g", "h"]);
			renameSync(at("f"), at("g"));
			expect([textOf(at("g")), namesIn(path)]).toEqual(["content", ["f", "g", "h"]]);
		},
	),

	"POSIX's refusals": changing({ ...files, "d/e/f": "f" }, ({ at }) => {
		writeFileSync(at("new"), "");
		const refusals = {
			"missing source": [() => renameSync(at("missing"), at("x")), "ENOENT"],
			"missing parent": [() => renameSync(at("a"), at("missing/x")), "ENOENT"],
			"file as parent": [() => renameSync(at("a"), at("b/x")), "ENOTDIR"],
			"file over directory": [() => renameSync(at("a"), at("d")), "EISDIR"],
			"directory over file": [() => renameSync(at("d"), at("a")), "ENOTDIR"],
			"into itself": [() => renameSync(at("d"), at("d/e/d")), "EINVAL"],
			"over its parent": [() => renameSync(at("d/e"), at("d")), "ENOTEMPTY"],
		} as const;
		for (const [what, [attempt, code]] of Object.entries(refusals)) {
			expect({ what, code: codeOf(attempt) }).toEqual({ what, code });
		}
	}),

	"a directory made here is renamed, with all in it": changing(files, ({ at }) => {
		mkdirSync(at("new/sub"), { recursive: true });
		writeFileSync(at("new/sub/f"), "f");
		renameSync(at("new"), at("moved"));
		renameSync(at("moved/sub"), at("d/sub"));
		expect([textOf(at("d/sub/f")), namesIn(at("moved")), existsSync(at("new"))]).toEqual(["f", [], false]);
	}),

	"a directory made here is renamed over an empty one, and onto a removed name": changing(files, ({ at }) => {
		mkdirSync(at("new"));
		writeFileSync(at("new/f"), "f");
		mkdirSync(at("empty"));
		renameSync(at("new"), at("empty"));
		expect(namesIn(at("empty"))).toEqual(["f"]);
		rmSync(at("e"), { recursive: true });
		renameSync(at("empty"), at("e"));
		expect(namesIn(at("e"))).toEqual(["f"]);
		expect(codeOf(() => rmdirSync(at("e")))).toBe("ENOTEMPTY");
	}),

	"a directory made over a removed one is renamed without the old content": changing(files, ({ at }) => {
		rmSync(at("d"), { recursive: true });
		mkdirSync(at("d"));
		writeFileSync(at("d/new"), "new");
		renameSync(at("d"), at("moved"));
		expect([namesIn(at("moved")), existsSync(at("d"))]).toEqual([["new"], false]);
		mkdirSync(at("d"));
		expect(namesIn(at("d"))).toEqual([]);
	}),

	"a directory is renamed": changing(files, ({ at }) => {
		renameSync(at("d"), at("moved"));
		expect([namesIn(at("moved")), existsSync(at("d"))]).toEqual([["c"], false]);
	}),

	"mv moves a directory of any origin": changing(
		{ ...files, "d/sub/f": file("f", { uid: 5, mode: 0o604 }) },
		({ at }) => {
			run("mv", at("d"), at("moved"));
			expect([namesIn(at("moved")), textOf(at("moved/sub/f")), existsSync(at("d"))]).toEqual([
				["c", "sub"],
				"f",
				false,
			]);
			expect([ownerOf(at("moved/sub/f")), modeOf(at("moved/sub/f"))]).toEqual(["5:0", 0o604]);
			run("mv", at("moved"), at("d"));
			expect(namesIn(at("d"))).toEqual(["c", "sub"]);
		},
	),

	"link counts of directories follow": changing({}, ({ at }) => {
		mkdirSync(at("d/sub"), { recursive: true });
		mkdirSync(at("e"));
		const counts = () => ["d", "e"].map((name) => statOf(at(name)).nlink);
		expect(counts()).toEqual([3n, 2n]);
		renameSync(at("d/sub"), at("e/sub"));
		expect(counts()).toEqual([2n, 3n]);
		mkdirSync(at("d/sub"));
		renameSync(at("e/sub"), at("d/sub"));
		expect(counts()).toEqual([3n, 2n]);
	}),

	"RENAME_NOREPLACE refuses what is there": changing(files, ({ at }) => {
		unlinkSync(at("gone"));
		expect(codeOf(() => renameat2(at("a"), at("b"), RENAME_NOREPLACE))).toBe("EEXIST");
		expect(codeOf(() => renameat2(at("a"), at("d"), RENAME_NOREPLACE))).toBe("EEXIST");
		renameat2(at("a"), at("gone"), RENAME_NOREPLACE);
		expect([textOf(at("gone")), textOf(at("b"))]).toEqual(["a", "b"]);
	}),

	"RENAME_EXCHANGE swaps two files": changing(files, ({ at }) => {
		renameat2(at("a"), at("d/c"), RENAME_EXCHANGE);
		expect([textOf(at("a")), textOf(at("d/c"))]).toEqual(["c", "a"]);
		expect(codeOf(() => renameat2(at("a"), at("missing"), RENAME_EXCHANGE))).toBe("ENOENT");
	}),

	"RENAME_EXCHANGE swaps a file and a directory made here": changing(files, ({ at }) => {
		mkdirSync(at("new/sub"), { recursive: true });
		renameat2(at("a"), at("new"), RENAME_EXCHANGE);
		expect([namesIn(at("a")), textOf(at("new"))]).toEqual([["sub"], "a"]);
	}),

	"RENAME_WHITEOUT is refused, and changes nothing": changing(files, ({ path, at }) => {
		writeFileSync(at("new"), "");
		expect(codeOf(() => renameat2(at("a"), at("moved"), RENAME_WHITEOUT))).toBe("EINVAL");
		expect(namesIn(path)).toEqual(["a", "b", "d", "e", "gone", "new"]);
	}),

	"onto names that only a whiteout hides": changing(
		[
			{ "d/gone": whiteout(), "d/f": "f", gone: whiteout() },
			{ "d/gone": "old", "gone/x": "x" },
			{ "d/gone": "older", "d/g": "g" },
		],
		({ at }) => {
			renameSync(at("d/f"), at("d/gone"));
			renameSync(at("d/g"), at("gone"));
			expect([textOf(at("d/gone")), textOf(at("gone")), namesIn(at("d"))]).toEqual(["f", "g", ["gone"]]);
			unlinkSync(at("gone"));
			mkdirSync(at("new"));
			renameSync(at("new"), at("gone"));
			expect(namesIn(at("gone"))).toEqual([]);
		},
	),
};
