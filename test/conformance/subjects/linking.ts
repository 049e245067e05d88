/** Hard links: one file, whatever its name, and how many names it has. */

import { expect } from "bun:test";
import {
	chmodSync,
	linkSync,
	readlinkSync,
	symlinkSync,
	unlinkSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { open } from "../../harness/descriptor.ts";
import { device, fifo, file, hardLink, symlink } from "../../harness/layers.ts";
import { codeOf, linkDescriptor } from "../../harness/native.ts";
import { modeOf, namesIn, run, statOf, textOf } from "../observe.ts";
import { changing, looking, type Subject } from "../statement.ts";

const pair = { f: "content", g: hardLink("f"), "d/x": "x" };
const links = (path: string) => statOf(path).nlink;

export const linking: Subject = {
	"two names of a file count two, and have one number": looking(pair, ({ at }) => {
		expect([links(at("f")), links(at("g")), links(at("d/x"))]).toEqual([2n, 2n, 1n]);
		expect(statOf(at("f")).ino).toBe(statOf(at("g")).ino);
		expect([textOf(at("f")), textOf(at("g"))]).toEqual(["content", "content"]);
	}),

	"a new link is the same file": changing(
		{ f: file("content", { uid: 5, mode: 0o640 }), "d/x": "" },
		({ at }) => {
			linkSync(at("f"), at("d/link"));
			expect([links(at("f")), links(at("d/link"))]).toEqual([2n, 2n]);
			expect(statOf(at("f")).ino).toBe(statOf(at("d/link")).ino);
			writeFileSync(at("d/link"), "changed");
			chmodSync(at("f"), 0o600);
			expect([textOf(at("f")), modeOf(at("d/link"))]).toEqual(["changed", 0o600]);
		},
	),

	"writing to one name shows under the other": changing(pair, ({ at }) => {
		writeFileSync(at("f"), "changed");
		expect([textOf(at("f")), textOf(at("g"))]).toEqual(["changed", "changed"]);
	}),

	"writing to one name leaves either the new or the old content under the other, whole": changing(
		pair,
		({ at }) => {
			using handle = open(at("f"), "r+");
			writeSync(handle.fd, "CONTENT AND MORE");
			handle.close();
			expect(textOf(at("f"))).toBe("CONTENT AND MORE");
			expect(["content", "CONTENT AND MORE"]).toContain(textOf(at("g")));
		},
	),

	"removing names counts down": changing({ f: "x" }, ({ at }) => {
		for (const name of ["g", "h", "i"]) linkSync(at("f"), at(name));
		unlinkSync(at("f"));
		unlinkSync(at("h"));
		expect([links(at("g")), textOf(at("i"))]).toEqual([2n, "x"]);
	}),

	"a link over a removed name": changing({ f: "f", g: "g" }, ({ at }) => {
		unlinkSync(at("g"));
		linkSync(at("f"), at("g"));
		expect([textOf(at("g")), links(at("f"))]).toEqual(["f", 2n]);
	}),

	"symlinks, FIFOs and devices can be linked": changing(
		{ l: symlink("target"), p: fifo(), c: device("char", 1, 3) },
		({ at }) => {
			for (const name of ["l", "p", "c"]) {
				linkSync(at(name), at(`${name}2`));
				expect({ name, count: links(at(`${name}2`)) }).toEqual({ name, count: 2n });
			}
			expect([readlinkSync(at("l2")), statOf(at("c2")).rdev]).toEqual(["target", 0x103n]);
		},
	),

	"an open file can be linked while it has a name": changing({ f: "x" }, ({ at }) => {
		using handle = open(at("f"), "r+");
		linkDescriptor(handle.fd, at("g"));
		writeSync(handle.fd, "y");
		expect([textOf(at("g")), statOf(handle.fd).nlink]).toEqual(["y", 2n]);
	}),

	"existing names, directories and missing sources are refused": changing(pair, ({ path, at }) => {
		symlinkSync("f", at("l"));
		expect(codeOf(() => linkSync(at("f"), at("d/x")))).toBe("EEXIST");
		expect(codeOf(() => linkSync(at("f"), at("l")))).toBe("EEXIST");
		expect(codeOf(() => linkSync(at("d"), at("e")))).toBe("EPERM");
		expect(codeOf(() => linkSync(at("missing"), at("e")))).toBe("ENOENT");
		expect(codeOf(() => linkSync(at("f"), at("missing/e")))).toBe("ENOENT");
		expect(namesIn(path)).toEqual(["d", "f", "g", "l"]);
	}),

	"cp -a keeps links together": changing(pair, ({ at }) => {
		linkSync(at("d/x"), at("d/y"));
		run("cp", "-a", at("d"), at("e"));
		expect([links(at("e/x")), statOf(at("e/x")).ino === statOf(at("e/y")).ino]).toEqual([2n, true]);
	}),
};
