/** Attributes: what is shown, what a change does, and to which layer. */
import { describe, expect, test } from "bun:test";
import { lstatSync, statSync } from "node:fs";
import { statfs } from "../../../src/native/layout.ts";
import { getNumber, reserve } from "../../../src/native/memory.ts";
import { readFileSystem } from "../../../src/overlay/reading/attributes.ts";
import { directory, fifo, file, smallDisk, symlink } from "../../harness/layers.ts";
import { cacheModes, errnoOf, openCore } from "./core.ts";

const time = 1_000_000_000_123_456_789n;

describe.each(cacheModes)("with %s", (_, options) => {
	test("chmod, chown, truncation and times change the upper layer alone", () => {
		const lower = {
			f: file("0123456789", { mode: 0o600, time }),
			d: directory({ time }),
			p: fifo(),
			l: symlink("x"),
		};
		using core = openCore([lower], { upper: { own: "own" }, options });
		for (const path of ["f", "d", "p", "own"]) {
			expect(core.change(path, { mode: 0o1712 }).mode).toBe(0o1712);
			expect(core.change(path, { uid: 5 })).toMatchObject({ uid: 5, gid: 0 });
			expect(core.change(path, { gid: 6 })).toMatchObject({ uid: 5, gid: 6 });
			expect(core.change(path, { mtime: time + 1n }).mtime).toBe(time + 1n);
			const { mode, uid, gid, mtimeNs } = lstatSync(core.inUpper(path), { bigint: true });
			expect([mode & 0o7777n, uid, gid, mtimeNs]).toEqual([0o1712n, 5n, 6n, time + 1n]);
		}
		expect(core.change("l", { uid: 7, gid: 8 })).toMatchObject({ uid: 7, gid: 8 });
		expect(core.change("f", { size: 3 }).size).toBe(3);
		expect(core.read("f")).toBe("012");
		core.reopen();
		expect(core.stat("f")).toMatchObject({ size: 3, mode: 0o1712, uid: 5, gid: 6 });
		expect(core.stat("l")).toMatchObject({ uid: 7, gid: 8 });
	});

	test("several at once", () => {
		using core = openCore([{ f: "0123456789" }], { options });
		const changed = core.change("f", { mode: 0o640, uid: 1, gid: 2, size: 4, mtime: time });
		expect(changed).toMatchObject({ mode: 0o640, uid: 1, gid: 2, size: 4, mtime: time });
	});

	test("what does not fit is refused, and copies nothing up", () => {
		using core = openCore([{ d: directory(), p: fifo(), l: symlink("x") }], { options });
		expect(errnoOf(() => core.change("d", { size: 0 }))).toBe("EISDIR");
		for (const path of ["p", "l"]) expect(errnoOf(() => core.change(path, { size: 0 }))).toBe("EINVAL");
		expect(core.upperNames()).toEqual([]);
	});

	test("chown takes suid and sgid away, of files", () => {
		const lower = { f: file("f", { mode: 0o6755 }), d: directory({ mode: 0o2755 }) };
		using core = openCore([lower], { upper: { own: file("own", { mode: 0o6755 }) }, options });
		for (const path of ["f", "own"]) expect(core.change(path, { uid: 5 }).mode).toBe(0o755);
		expect(core.change("d", { uid: 5 }).mode).toBe(0o2755);
	});

	test.each([
		[0o6755, 0o755, 0o755],
		[0o4711, 0o711, 0o711],
		[0o2755, 0o755, 0o755],
		[0o2745, 0o2745, 0o745],
		[0o1777, 0o1777, 0o1777],
	])(
		"a write by somebody unprivileged makes %o %o, by one outside the group %o",
		(before, after, outside) => {
			using core = openCore([{ f: file("f", { mode: before }), g: file("g", { mode: before }) }], {
				options,
			});
			expect(core.change("f", { killPrivileges: { isInGroup: () => true } }).mode).toBe(after);
			expect(core.change("g", { killPrivileges: { isInGroup: () => false } }).mode).toBe(outside);
		},
	);

	test("a directory's links are itself, its name and its subdirectories'", () => {
		const lower = { "lower/a/x": "x", "lower/b/x": "x", "merged/a/x": "x", "merged/f": "f", "e/x/y/z": "z" };
		const upper = { "upper/a/x": "x", "merged/a/y": "y", "merged/b/x": "x" };
		using core = openCore([lower, { "merged/c/x": "x" }], { upper, options });
		const links = () => ["", "lower", "merged", "upper", "e"].map((path) => core.stat(path).links);
		expect(links()).toEqual([6, 4, 5, 3, 3]);
		core.mkdir("lower/new");
		core.mkdir("merged/new");
		core.mkdir("upper/new");
		core.create("lower/file");
		expect(links()).toEqual([6, 5, 6, 4, 3]);
		core.rename("merged/new", "lower/moved");
		core.rmdir("upper/new");
		core.unlink("merged/c/x");
		core.rmdir("merged/c");
		expect(links()).toEqual([6, 6, 4, 3, 3]);
		core.change("e", { mode: 0o700 });
		core.unlink("e/x/y/z");
		core.rmdir("e/x/y");
		expect([core.stat("e").links, core.stat("e/x").links]).toEqual([3, 2]);
		core.reopen();
		expect(links()).toEqual([6, 6, 4, 3, 3]);
	});

	test("static link counts are 1, of directories alone", () => {
		using core = openCore([{ "d/a/x": "x", f: "f" }], { options: { ...options, staticLinkCount: true } });
		expect([core.stat("d").links, core.stat("").links, core.stat("f").links]).toEqual([1, 1, 1]);
	});

	test("inode numbers are those of the layers, a merged directory's that of its topmost lower one", () => {
		using core = openCore([{ "d/x": "x", f: "f" }, { "d/y": "y" }], {
			upper: { "d/z": "z", own: "o" },
			options,
		});
		const inode = (path: string) => statSync(path, { bigint: true }).ino;
		expect(core.stat("f").inode).toBe(inode(core.inLower("f")));
		expect(core.stat("own").inode).toBe(inode(core.inUpper("own")));
		expect(core.stat("d").inode).toBe(inode(core.inLower("d")));
		expect(core.stat("").inode).toBe(inode(core.inLower()));
	});
});

test("the file system is that of the upper layer", () => {
	using core = openCore([{}], { disk: smallDisk });
	const target = reserve(statfs.sizeof);
	readFileSystem(core.overlay, target);
	expect(getNumber(target + statfs.fBlocks) * getNumber(target + statfs.fBsize)).toBe(2 << 20);
});

test("layers on several file systems: no two files have one number, and copy-up changes none", () => {
	const many = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`d/f${index}`, "x"]));
	const own = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`e/f${index}`, "x"]));
	using core = openCore([many], { upper: own, disk: smallDisk });
	const numbers = () =>
		[...core.names("d").map((name) => `d/${name}`), ...core.names("e").map((name) => `e/${name}`)].map(
			(path) => core.stat(path).inode,
		);
	const before = numbers();
	expect(new Set(before).size).toBe(100);
	for (const name of core.names("d")) core.copyUp(`d/${name}`);
	expect(numbers()).toEqual(before);
	core.reopen();
	expect(numbers()).toEqual(before);
});
