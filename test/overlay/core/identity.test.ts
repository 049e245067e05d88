/** Whom files belong to in the mount: id mappings, squashing, owner and mode in an extended attribute. */
import { describe, expect, test } from "bun:test";
import { lstatSync } from "node:fs";
import {
	S_IFBLK,
	S_IFCHR,
	S_IFDIR,
	S_IFIFO,
	S_IFLNK,
	S_IFREG,
	S_IFSOCK,
} from "../../../src/native/layout.ts";
import type { Caller } from "../../../src/overlay/changes/maker.ts";
import { directory, fifo, file, type Layers, symlink, whiteout } from "../../harness/layers.ts";
import { getxattr, makeDevice, setxattr } from "../../harness/native.ts";
import { cacheModes, errnoOf, openCore, root } from "./core.ts";

const OVERFLOW = 65534;
const alice: Caller = { uid: 1000, gid: 1001, umask: 0o022 };

describe("mappings", () => {
	const ranges = [
		{ onDisk: 100_000, shown: 0, length: 1000 },
		{ onDisk: 5000, shown: 1000, length: 10 },
	];
	const identity = { uidMapping: ranges, gidMapping: ranges };

	test("show ids of the layers as others, and unmapped ones as the overflow id", () => {
		const lower = {
			root: file("x", { uid: 100_000, gid: 100_005 }),
			alice: file("x", { uid: 5000, gid: 5001 }),
			other: file("x", { uid: 7, gid: 0 }),
			link: symlink("x", { uid: 100_001, gid: 5002 }),
		};
		using core = openCore([lower], { identity });
		const shown = (name: string) => {
			const { uid, gid } = core.stat(name);
			return [uid, gid];
		};
		expect(shown("root")).toEqual([0, 5]);
		expect(shown("alice")).toEqual([1000, 1001]);
		expect(shown("other")).toEqual([OVERFLOW, OVERFLOW]);
		expect(shown("link")).toEqual([1, 1002]);
	});

	test.each([
		["in place", "new"],
		["over a whiteout", "hidden"],
	])("new objects are on disk what their maker is in the mount; %s", (_, name) => {
		using core = openCore([{ hidden: "x" }], { identity, upper: { hidden: whiteout() } });
		core.create(name, "", 0o644, alice);
		expect(core.stat(name)).toMatchObject({ uid: 1000, gid: 1001 });
		expect(lstatSync(core.inUpper(name))).toMatchObject({ uid: 5000, gid: 5001 });
		core.create("nobody", "", 0o6755, { uid: 2000, gid: 0, umask: 0 });
		expect(core.stat("nobody")).toMatchObject({ uid: OVERFLOW, gid: 0, mode: 0o2755 });
		expect(lstatSync(core.inUpper("nobody"))).toMatchObject({ uid: OVERFLOW, gid: 100_000 });
	});

	test("a file without a name, of a caller without ids on disk, belongs to the overflow ids and gives nobody's rights", () => {
		using core = openCore([{}], { identity });
		core.linkNode(core.createNameless("", 0o6755, { uid: 2000, gid: 3000, umask: 0 }), "named");
		expect(core.stat("named")).toMatchObject({ uid: OVERFLOW, gid: OVERFLOW, mode: 0o755 });
		expect(lstatSync(core.inUpper("named"))).toMatchObject({ uid: OVERFLOW, gid: OVERFLOW });
	});

	test("chown takes ids of the mount; those without one on disk are EINVAL", () => {
		using core = openCore([{ f: file("f", { uid: 100_000, gid: 100_000 }) }], { identity });
		expect(core.change("f", { uid: 1001 })).toMatchObject({ uid: 1001, gid: 0 });
		expect(core.change("f", { gid: 5 })).toMatchObject({ uid: 1001, gid: 5 });
		expect(lstatSync(core.inUpper("f"))).toMatchObject({ uid: 5001, gid: 100_005 });
		expect(errnoOf(() => core.change("f", { uid: 5000 }))).toBe("EINVAL");
		expect(core.stat("f")).toMatchObject({ uid: 1001, gid: 5 });
	});

	test("copy-up leaves the ids on disk as they are", () => {
		using core = openCore([{ f: file("f", { uid: 7, gid: 5003 }) }], { identity });
		core.copyUp("f");
		expect(lstatSync(core.inUpper("f"))).toMatchObject({ uid: 7, gid: 5003 });
	});
});

describe("squashing", () => {
	const lower = { f: file("f", { uid: 12, gid: 34 }), d: directory({ uid: 56 }) };

	test.each([
		["to root", { squashToRoot: true }, 0, 0],
		["to ids", { squashToUid: 1000, squashToGid: 2000 }, 1000, 2000],
		["to a uid, which wins over root", { squashToRoot: true, squashToUid: 1000 }, 1000, 0],
	])("%s: that is whom everything belongs to, and chown changes nothing", (_, identity, uid, gid) => {
		using core = openCore([lower], { identity });
		for (const name of ["f", "d", ""]) expect(core.stat(name)).toMatchObject({ uid, gid });
		expect(core.change("f", { uid: 5, gid: 6 })).toMatchObject({ uid, gid });
		expect(core.change("f", { mode: 0o600 }).mode).toBe(0o600);
		expect(lstatSync(core.inUpper("f"))).toMatchObject({ uid: 12, gid: 34 });
	});
});

describe.each([
	[1, "security.fuseoverlayfs.override_stat"],
	[2, "user.containers.override_stat"],
] as const)("xattr_permissions=%i", (xattrPermissions, attribute) => {
	const identity = { xattrPermissions };

	describe.each(cacheModes)("with %s", (_, options) => {
		test("owner and mode of new objects are in the attribute, the kind too", () => {
			using core = openCore([{ hidden: "x" }], { identity, upper: { hidden: whiteout() }, options });
			const override = (name: string) => getxattr(core.inUpper(name), attribute).toString();
			core.create("f", "content", 0o640, alice);
			core.create("hidden", "", 0o4755, alice);
			core.mkdir("d", 0o1777, alice);
			core.make("p", S_IFIFO | 0o620, alice);
			core.make("s", S_IFSOCK | 0o600, root);
			core.make("c", S_IFCHR | 0o600, root, makeDevice(1, 3));
			core.make("b", S_IFBLK | 0o660, { ...root, gid: 6 }, makeDevice(259, 70_000));
			expect(override("f")).toBe("1000:1001:0640:file");
			expect(override("hidden")).toBe("1000:1001:4755:file");
			expect(override("d")).toBe("1000:1001:1755:dir");
			expect(override("p")).toBe("1000:1001:0600:pipe");
			expect(override("s")).toBe("0:0:0600:socket");
			expect(override("c")).toBe("0:0:0600:char-1-3");
			expect(override("b")).toBe("0:6:0640:block-259-70000");
			for (const name of ["f", "p", "s", "c", "b"]) {
				expect(lstatSync(core.inUpper(name)).isFile()).toBeTrue();
				expect(lstatSync(core.inUpper(name)).uid).toBe(0);
			}
			const check = () => {
				expect(core.stat("f")).toMatchObject({ kind: S_IFREG, uid: 1000, gid: 1001, mode: 0o640 });
				expect(core.stat("d")).toMatchObject({ kind: S_IFDIR, uid: 1000, mode: 0o1755 });
				expect(core.stat("p")).toMatchObject({ kind: S_IFIFO, mode: 0o600 });
				expect(core.stat("s").kind).toBe(S_IFSOCK);
				expect(core.stat("c")).toMatchObject({ kind: S_IFCHR, major: 1, minor: 3 });
				expect(core.stat("b")).toMatchObject({ kind: S_IFBLK, major: 259, minor: 70_000 });
				expect(core.read("f")).toBe("content");
			};
			check();
			core.reopen();
			check();
		});

		test("chmod and chown change the attribute, and are seen", () => {
			const lower = { f: file("f", { mode: 0o644, uid: 5, gid: 6 }), d: directory({ mode: 0o700 }) };
			using core = openCore([lower], { identity, options });
			expect(core.change("f", { mode: 0o4711 })).toMatchObject({
				mode: 0o4711,
				uid: 5,
				gid: 6,
				kind: S_IFREG,
			});
			expect(core.change("f", { uid: 70_000 })).toMatchObject({ mode: 0o711, uid: 70_000, gid: 6 });
			expect(core.change("d", { mode: 0o2770, gid: 9 })).toMatchObject({
				mode: 0o2770,
				gid: 9,
				kind: S_IFDIR,
			});
			expect(getxattr(core.inUpper("f"), attribute).toString()).toBe("70000:6:0711:file");
			core.reopen();
			expect(core.stat("f")).toMatchObject({ mode: 0o711, uid: 70_000, gid: 6 });
		});

		test("copy-up writes what the lower layer has, of every kind", () => {
			const lower = {
				f: file("f", { mode: 0o4750, uid: 5, gid: 6 }),
				p: fifo({ mode: 0o620, uid: 7 }),
				l: symlink("target", { uid: 8 }),
				"d/x": "x",
			};
			using core = openCore([lower], { identity, options });
			const names = ["f", "p", "l", "d", "d/x"];
			const before = names.map((name) => core.stat(name));
			core.forgetAll();
			for (const name of names) core.change(name, { mtime: core.stat(name).mtime });
			const seen = () => names.map((name) => core.stat(name)).map(({ kind, mode }) => [kind, mode]);
			expect(seen()).toEqual(before.map(({ kind, mode }) => [kind, mode]));
			expect(getxattr(core.inUpper("f"), attribute).toString()).toBe("5:6:4750:file");
			expect(core.readlink("l")).toBe("target");
			core.reopen();
			expect(seen()).toEqual(before.map(({ kind, mode }) => [kind, mode]));
		});

		test("unlinked files keep theirs", () => {
			using core = openCore([{}], { identity, options });
			const node = core.create("f", "x", 0o640, alice);
			core.unlink("f");
			expect(core.attributes(node)).toMatchObject({ uid: 1000, gid: 1001, mode: 0o640 });
			expect(core.changeNode(node, { mode: 0o600, uid: 4 })).toMatchObject({ uid: 4, mode: 0o600 });
		});

		test("a file without a name gets one as well", () => {
			using core = openCore([{}], { identity, options });
			const node = core.createNameless("", 0o640, alice);
			expect(core.attributes(node)).toMatchObject({ uid: 1000, gid: 1001, mode: 0o640 });
			core.linkNode(node, "named");
			core.reopen();
			expect(core.stat("named")).toMatchObject({ uid: 1000, gid: 1001, mode: 0o640 });
		});
	});

	test("a setgid directory hands down its group", () => {
		using core = openCore([{}], { identity });
		core.mkdir("d", 0o777);
		core.change("d", { gid: 50, mode: 0o2777 });
		core.create("d/f", "", 0o644, alice);
		core.mkdir("d/s", 0o755, alice);
		expect(core.stat("d/f")).toMatchObject({ uid: 1000, gid: 50 });
		expect(core.stat("d/s")).toMatchObject({ uid: 1000, gid: 50, mode: 0o2755 });
		expect(core.attributes(core.createNameless("d", 0o640, alice))).toMatchObject({ uid: 1000, gid: 50 });
	});
});

describe("lower layers that say by their root that they were written so", () => {
	test.each([
		"user.containers.override_stat",
		"user.fuseoverlayfs.override_stat",
		"security.fuseoverlayfs.override_stat",
	])("%s", (attribute) => {
		const overridden = (value: string) => file("x", { xattrs: { [attribute]: value } });
		const lower = {
			f: overridden("1000:1001:0640"),
			c: overridden("0:5:0620:char-4-7"),
			broken: overridden("1000:x:0640"),
			plain: file("x", { mode: 0o604 }),
			d: directory({ xattrs: { [attribute]: "9:9:0711:dir" } }),
			link: symlink("x"),
		};
		const prepare = ({ lower: [path = ""] }: Layers) => setxattr(path, attribute, "0:0:0755:dir");
		using core = openCore([lower], { prepare });
		expect(core.stat("f")).toMatchObject({ uid: 1000, gid: 1001, mode: 0o640, kind: S_IFREG });
		expect(core.stat("c")).toMatchObject({ kind: S_IFCHR, gid: 5, major: 4, minor: 7 });
		expect(core.stat("d")).toMatchObject({ uid: 9, gid: 9, mode: 0o711, kind: S_IFDIR });
		expect(core.stat("broken")).toMatchObject({ uid: 0, kind: S_IFREG });
		expect(core.stat("plain").mode).toBe(0o604);
		expect(core.stat("link").kind).toBe(S_IFLNK);
		core.copyUp("f");
		expect(lstatSync(core.inUpper("f"))).toMatchObject({ uid: 1000, gid: 1001 });
		expect(lstatSync(core.inUpper("f")).mode & 0o7777).toBe(0o640);
	});

	test("a device by override is one after copy-up, where the upper layer has no overrides", () => {
		const attribute = "user.containers.override_stat";
		const lower = { c: file("", { xattrs: { [attribute]: "0:5:0620:char-4-7" } }) };
		const prepare = ({ lower: [path = ""] }: Layers) => setxattr(path, attribute, "0:0:0755:dir");
		using core = openCore([lower], { prepare });
		core.change("c", { mode: 0o600 });
		expect(core.stat("c")).toMatchObject({ kind: S_IFCHR, mode: 0o600, gid: 5, major: 4, minor: 7 });
		expect(lstatSync(core.inUpper("c")).rdev).toBe(makeDevice(4, 7));
	});
});
