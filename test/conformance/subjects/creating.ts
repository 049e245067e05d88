/** New objects: their owner, group and mode, whichever call makes them. */

import { expect } from "bun:test";
import { chmodSync, constants, mkdirSync, openSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { O_TMPFILE, open } from "../../harness/descriptor.ts";
import { directory, file } from "../../harness/layers.ts";
import { asUser, codeOf, linkDescriptor, mknod } from "../../harness/native.ts";
import { modeOf, namesIn, ownerOf, statOf, textOf, withUmask } from "../observe.ts";
import { changing, type Subject } from "../statement.ts";

/** One of each kind, named after it, with all permission bits asked for. */
export function makeEach(directory: string, mode = 0o777): void {
	openAndClose(`${directory}/file`, mode);
	mkdirSync(`${directory}/dir`, mode);
	symlinkSync("target", `${directory}/symlink`);
	mknod(`${directory}/fifo`, 0o010000 | mode);
	mknod(`${directory}/socket`, 0o140000 | mode);
	mknod(`${directory}/node`, 0o100000 | mode);
}
export const madeWithMode = ["file", "dir", "fifo", "socket", "node"];
const made = [...madeWithMode, "symlink"];

function openAndClose(path: string, mode: number): void {
	open(path, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, mode).close();
}

const modesIn = (directory: string) =>
	Object.fromEntries(madeWithMode.map((name) => [name, modeOf(`${directory}/${name}`).toString(8)]));
const allOf = (names: readonly string[], value: string) =>
	Object.fromEntries(names.map((name) => [name, value]));
const ownersIn = (directory: string) =>
	Object.fromEntries(made.map((name) => [name, ownerOf(`${directory}/${name}`)]));

const open777 = { d: directory({ mode: 0o777 }) };

export const creating: Subject = {
	"the caller's umask takes bits off, for every kind": changing(open777, ({ at }) => {
		withUmask(0o027, () => makeEach(at("d")));
		expect(modesIn(at("d"))).toEqual(allOf(madeWithMode, "750"));
	}),

	"without a umask all bits asked for are given": changing(open777, ({ at }) => {
		withUmask(0, () => makeEach(at("d")));
		expect(modesIn(at("d"))).toEqual(allOf(madeWithMode, "777"));
	}),

	"a umask of 0777 leaves nothing": changing(open777, ({ at }) => {
		withUmask(0o777, () => makeEach(at("d")));
		expect(modesIn(at("d"))).toEqual(allOf(madeWithMode, "0"));
	}),

	"the owner is the caller, for every kind": changing(open777, ({ at }) => {
		asUser(1000, 1001, () => makeEach(at("d")));
		expect(ownersIn(at("d"))).toEqual(allOf(made, "1000:1001"));
	}),

	"a directory with set-group-id hands down its group, and the bit to directories only": changing(
		{ d: directory({ mode: 0o2777, gid: 555 }) },
		({ at }) => {
			asUser(1000, 1000, () => withUmask(0o022, () => makeEach(at("d"))));
			expect(ownersIn(at("d"))).toEqual(allOf(made, "1000:555"));
			expect(modesIn(at("d"))).toEqual({ ...allOf(madeWithMode, "755"), dir: "2755" });
		},
	),

	"set-group-id is handed down to directories in directories": changing(
		{ d: directory({ mode: 0o2777, gid: 555 }) },
		({ at }) => {
			asUser(1000, 1000, () => {
				mkdirSync(at("d/e/f"), { recursive: true });
				writeFileSync(at("d/e/f/g"), "");
			});
			expect([ownerOf(at("d/e/f/g")), ownerOf(at("d/e/f")), modeOf(at("d/e/f")) & 0o2000]).toEqual([
				"1000:555",
				"1000:555",
				0o2000,
			]);
		},
	),

	"a file made with set-group-id in such a directory loses it unless the maker is of that group": changing(
		{ d: directory({ mode: 0o2777, gid: 555 }) },
		({ at }) => {
			withUmask(0, () => {
				asUser(1000, 1000, () => openAndClose(at("d/outside"), 0o2775));
				asUser(1000, 1000, () => openAndClose(at("d/member"), 0o2775), [555]);
				openAndClose(at("d/root"), 0o2775);
			});
			expect(["outside", "member", "root"].map((name) => modeOf(at("d", name)))).toEqual([
				0o775, 0o2775, 0o2775,
			]);
		},
	),

	"set-id and sticky bits can be asked for": changing(open777, ({ at }) => {
		withUmask(0, () => {
			openAndClose(at("d/file"), 0o7777);
			mkdirSync(at("d/dir"), 0o1777);
		});
		expect([modeOf(at("d/file")), modeOf(at("d/dir"))]).toEqual([0o7777, 0o1777]);
	}),

	"each kind has its kind, and device numbers": changing(open777, ({ at }) => {
		makeEach(at("d"));
		mknod(at("d/char"), 0o020600, 1, 3);
		mknod(at("d/block"), 0o060600, 259, 70_000);
		const kind = (name: string) => Number(statOf(at("d", name)).mode >> 12n);
		expect(["file", "dir", "symlink", "fifo", "socket", "node", "char", "block"].map(kind)).toEqual([
			8, 4, 10, 1, 12, 8, 2, 6,
		]);
		expect(statOf(at("d/char")).rdev).toBe(0x103n);
		expect(statOf(at("d/block")).rdev).toBe((70_000n & 0xffn) | (259n << 8n) | ((70_000n >> 8n) << 20n));
		expect(readlinkSync(at("d/symlink"))).toBe("target");
	}),

	"new directories are empty and count two links, new files one": changing(open777, ({ at }) => {
		makeEach(at("d"));
		expect(namesIn(at("d/dir"))).toEqual([]);
		expect([statOf(at("d/dir")).nlink, statOf(at("d/file")).nlink, statOf(at("d/fifo")).nlink]).toEqual([
			2n,
			1n,
			1n,
		]);
	}),

	"O_EXCL refuses what exists, symlinks to nothing included": changing(
		{ f: "x", d: directory() },
		({ at }) => {
			symlinkSync("missing", at("l"));
			for (const name of ["f", "d", "l"]) {
				expect(codeOf(() => openSync(at(name), "wx"))).toBe("EEXIST");
				expect(codeOf(() => mkdirSync(at(name)))).toBe("EEXIST");
				expect(codeOf(() => symlinkSync("x", at(name)))).toBe("EEXIST");
				expect(codeOf(() => mknod(at(name), 0o010644))).toBe("EEXIST");
			}
		},
	),

	"opening with O_CREAT through a dangling symlink makes its target": changing(open777, ({ at }) => {
		symlinkSync("d/made", at("l"));
		writeFileSync(at("l"), "through");
		expect([textOf(at("d/made")), readlinkSync(at("l"))]).toEqual(["through", "d/made"]);
	}),

	"opening with O_CREAT what exists keeps owner, mode and content": changing(
		{ f: file("content", { uid: 5, gid: 6, mode: 0o640 }) },
		({ at }) => {
			open(at("f"), constants.O_CREAT | constants.O_RDWR, 0o777).close();
			expect([ownerOf(at("f")), modeOf(at("f")), textOf(at("f"))]).toEqual(["5:6", 0o640, "content"]);
			open(at("f"), constants.O_CREAT | constants.O_TRUNC | constants.O_RDWR, 0o777).close();
			expect([ownerOf(at("f")), modeOf(at("f")), textOf(at("f"))]).toEqual(["5:6", 0o640, ""]);
		},
	),

	"O_TMPFILE makes a file without a name, which linkat can name": changing(open777, ({ at }) => {
		using unnamed = asUser(1000, 1001, () =>
			withUmask(0o027, () => open(at("d"), O_TMPFILE | constants.O_RDWR, 0o666)),
		);
		writeFileSync(unnamed.fd, "content");
		expect([namesIn(at("d")), statOf(unnamed.fd).nlink]).toEqual([[], 0n]);
		linkDescriptor(unnamed.fd, at("d/named"));
		expect([textOf(at("d/named")), ownerOf(at("d/named")), modeOf(at("d/named"))]).toEqual([
			"content",
			"1000:1001",
			0o640,
		]);
		expect(statOf(at("d/named")).nlink).toBe(1n);
	}),

	"O_TMPFILE with O_EXCL cannot be named": changing(open777, ({ at }) => {
		using unnamed = open(at("d"), O_TMPFILE | constants.O_EXCL | constants.O_RDWR, 0o666);
		expect(codeOf(() => linkDescriptor(unnamed.fd, at("d/named")))).toBe("ENOENT");
	}),

	"in a directory made just now, of any mode": changing({}, ({ at }) => {
		mkdirSync(at("d"), 0o700);
		chmodSync(at("d"), 0o500);
		makeEach(at("d"));
		expect(modeOf(at("d"))).toBe(0o500);
	}),
};
