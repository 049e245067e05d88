/** Removing: what is gone stays gone, what is made anew is new, and trees of any mixture can be removed. */

import { expect } from "bun:test";
import {
	existsSync,
	linkSync,
	lstatSync,
	mkdirSync,
	readFileSync,
	renameSync,
	rmdirSync,
	rmSync,
	symlinkSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { open } from "../../harness/descriptor.ts";
import {
	device,
	directory,
	fifo,
	file,
	hardLink,
	kernelsOpaque,
	socket,
	symlink,
	whiteout,
} from "../../harness/layers.ts";
import { codeOf } from "../../harness/native.ts";
import { namesIn, run, statOf, textOf } from "../observe.ts";
import { changing, type Subject } from "../statement.ts";

const oneOfEach = {
	f: "f",
	d: directory(),
	l: symlink("f"),
	p: fifo(),
	s: socket(),
	c: device("char", 1, 3),
};
const tree = {
	"d/a": "a",
	"d/e/b": "b",
	"d/e/f/g/h": "h",
	"d/e/link": symlink("/etc"),
	"d/e/pipe": fifo(),
	"d/e/g": file("x", { mode: 0 }),
	"d/closed": directory({ mode: 0o500 }),
	"d/closed/x": "x",
};
/** Files, directories, whiteouts and opaque directories in three layers. */
const mixed = [
	{
		"d/upper": "",
		"d/both": "",
		"d/gone": whiteout(),
		"d/sub/u": "",
		"d/opaque": directory({ opaque: kernelsOpaque }),
		"d/opaque/u": "",
	},
	{
		"d/lower": "",
		"d/both": "",
		"d/gone": "",
		"d/sub/l": "",
		"d/sub/gone": whiteout(),
		"d/opaque/l": "",
		"d/file": "",
	},
	{
		"d/lowest": "",
		"d/both": "",
		"d/gone": "",
		"d/sub/ll": "",
		"d/sub/gone": "",
		"d/opaque/ll": "",
		"d/file/was-directory": "",
	},
] as const;

export const removal: Subject = {
	"every kind is removed, and its name is free": changing(oneOfEach, ({ path, at }) => {
		for (const name of ["f", "l", "p", "s", "c"]) unlinkSync(at(name));
		rmdirSync(at("d"));
		expect(namesIn(path)).toEqual([]);
		for (const name of Object.keys(oneOfEach)) {
			expect(codeOf(() => lstatSync(at(name)))).toBe("ENOENT");
			expect(codeOf(() => unlinkSync(at(name)))).toBe("ENOENT");
		}
	}),

	"over each removed name a file can be made": changing(oneOfEach, ({ at }) => {
		for (const name of ["f", "l", "p", "s", "c"]) unlinkSync(at(name));
		rmdirSync(at("d"));
		for (const name of Object.keys(oneOfEach)) writeFileSync(at(name), `new ${name}`);
		for (const name of Object.keys(oneOfEach)) expect(textOf(at(name))).toBe(`new ${name}`);
	}),

	"over each removed name a directory can be made, which is empty": changing(oneOfEach, ({ at }) => {
		for (const name of ["f", "l", "p", "s", "c"]) unlinkSync(at(name));
		rmdirSync(at("d"));
		for (const name of Object.keys(oneOfEach)) {
			mkdirSync(at(name));
			expect(namesIn(at(name))).toEqual([]);
		}
	}),

	"a tree removed and made anew is empty": changing(tree, ({ at }) => {
		rmSync(at("d"), { recursive: true });
		mkdirSync(at("d"));
		expect(namesIn(at("d"))).toEqual([]);
		expect(existsSync(at("d/a"))).toBeFalse();
		mkdirSync(at("d/e"));
		expect(namesIn(at("d/e"))).toEqual([]);
	}),

	"a tree removed and made anew holds what was put there since": changing(tree, ({ at }) => {
		run("rm", "-rf", at("d"));
		mkdirSync(at("d/e/f"), { recursive: true });
		writeFileSync(at("d/e/new"), "new");
		expect([namesIn(at("d")), namesIn(at("d/e")), namesIn(at("d/e/f"))]).toEqual([["e"], ["f", "new"], []]);
	}),

	"rm -rf removes a tree": changing(tree, ({ path, at }) => {
		run("rm", "-rf", at("d"));
		expect(namesIn(path)).toEqual([]);
	}),

	"rm -rf removes a tree half changed": changing(tree, ({ path, at }) => {
		writeFileSync(at("d/e/b"), "changed");
		unlinkSync(at("d/a"));
		writeFileSync(at("d/a2"), "");
		renameSync(at("d/e/g"), at("d/e/g2"));
		mkdirSync(at("d/new"));
		linkSync(at("d/e/b"), at("d/new/b"));
		run("rm", "-rf", at("d"));
		expect(namesIn(path)).toEqual([]);
		expect(codeOf(() => lstatSync(at("d")))).toBe("ENOENT");
	}),

	"rm -rf removes what is merged of three layers with whiteouts": changing(mixed, ({ path, at }) => {
		expect(namesIn(at("d"))).toEqual(["both", "file", "lower", "lowest", "opaque", "sub", "upper"]);
		run("rm", "-rf", at("d"));
		expect(namesIn(path)).toEqual([]);
		mkdirSync(at("d"));
		expect(namesIn(at("d"))).toEqual([]);
	}),

	"each name of a mixed tree is removed by itself": changing(mixed, ({ at }) => {
		for (const name of ["both", "file", "lower", "lowest", "upper"]) unlinkSync(at("d", name));
		expect(namesIn(at("d"))).toEqual(["opaque", "sub"]);
		for (const name of ["u", "l", "ll"]) unlinkSync(at("d/sub", name));
		rmdirSync(at("d/sub"));
		expect(codeOf(() => rmdirSync(at("d/opaque")))).toBe("ENOTEMPTY");
		unlinkSync(at("d/opaque/u"));
		rmdirSync(at("d/opaque"));
		rmdirSync(at("d"));
	}),

	"a name hidden before can be made, removed and made again": changing(mixed, ({ at }) => {
		writeFileSync(at("d/gone"), "once");
		unlinkSync(at("d/gone"));
		expect(existsSync(at("d/gone"))).toBeFalse();
		mkdirSync(at("d/gone"));
		rmdirSync(at("d/gone"));
		symlinkSync("x", at("d/gone"));
		unlinkSync(at("d/gone"));
		writeFileSync(at("d/gone"), "twice");
		expect(textOf(at("d/gone"))).toBe("twice");
	}),

	"rmdir of a directory with anything in it is ENOTEMPTY, and changes nothing": changing(tree, ({ at }) => {
		for (const name of ["d", "d/e", "d/e/f/g", "d/closed"]) {
			expect({ name, code: codeOf(() => rmdirSync(at(name))) }).toEqual({ name, code: "ENOTEMPTY" });
		}
		expect(namesIn(at("d"))).toEqual(["a", "closed", "e"]);
		expect(namesIn(at("d/e/f/g"))).toEqual(["h"]);
	}),

	"rmdir of what is no directory is ENOTDIR, unlink of a directory EISDIR": changing(oneOfEach, ({ at }) => {
		writeFileSync(at("new"), "");
		for (const name of ["f", "l", "p", "s", "c"]) expect(codeOf(() => rmdirSync(at(name)))).toBe("ENOTDIR");
		expect(codeOf(() => unlinkSync(at("d")))).toBe("EISDIR");
		expect(codeOf(() => rmdirSync(at("d/.")))).toBe("EINVAL");
		expect(codeOf(() => rmdirSync(at("d/..")))).toBe("ENOTEMPTY");
	}),

	"removing a symlink leaves what it points to": changing(
		{ ...tree, link: symlink("d"), file: symlink("d/a") },
		({ at }) => {
			unlinkSync(at("link"));
			unlinkSync(at("file"));
			expect(readFileSync(at("d/a"), "utf8")).toBe("a");
		},
	),

	"what is made and removed a hundred times ends as it should": changing(
		{ f: "old", d: directory() },
		({ path, at }) => {
			for (let round = 0; round < 100; round++) {
				rmSync(at("f"));
				writeFileSync(at("f"), `round ${round}`);
				rmdirSync(at("d"));
				mkdirSync(at("d"));
			}
			expect([textOf(at("f")), namesIn(path), namesIn(at("d"))]).toEqual(["round 99", ["d", "f"], []]);
		},
	),

	"one of two names removed, the other keeps the content": changing(
		{ f: "content", g: hardLink("f") },
		({ at }) => {
			unlinkSync(at("f"));
			expect(textOf(at("g"))).toBe("content");
			writeFileSync(at("f"), "another");
			expect([textOf(at("g")), textOf(at("f"))]).toEqual(["content", "another"]);
		},
	),

	"a removed directory that is still open is empty, and nothing can be made in it": changing(
		{ d: directory() },
		({ at }) => {
			using handle = open(at("d"));
			rmdirSync(at("d"));
			expect([
				statOf(handle.fd).nlink,
				codeOf(() => writeFileSync(`/proc/self/fd/${handle.fd}/x`, "")),
			]).toEqual([0n, "ENOENT"]);
			mkdirSync(at("d"));
			expect(codeOf(() => writeFileSync(`/proc/self/fd/${handle.fd}/x`, ""))).toBe("ENOENT");
			expect(namesIn(at("d"))).toEqual([]);
		},
	),

	"a deep tree is removed": changing({}, ({ path, at }) => {
		const deep = Array.from({ length: 200 }, (_, index) => `d${index}`).join("/");
		mkdirSync(at(deep), { recursive: true });
		writeFileSync(at(deep, "f"), "");
		run("rm", "-r", at("d0"));
		expect(namesIn(path)).toEqual([]);
	}),

	"a thousand names are removed": changing(
		Object.fromEntries(
			Array.from({ length: 1000 }, (_, index) => [`d/${index}`, index === 0 ? "" : hardLink("d/0")]),
		),
		({ path, at }) => {
			run("rm", "-r", at("d"));
			expect(namesIn(path)).toEqual([]);
		},
	),
};
