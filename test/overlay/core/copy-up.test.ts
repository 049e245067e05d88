/** Copy-up: the copy is the lower object in every respect, and is there whole or not at all. */
import { describe, expect, test } from "bun:test";
import { chmodSync, chownSync, lstatSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import {
	device,
	directory,
	fifo,
	file,
	hardLink,
	type Layers,
	smallDisk,
	socket,
	sparseFile,
	symlink,
} from "../../harness/layers.ts";
import { getxattr, listxattr, setxattr } from "../../harness/native.ts";
import { printable, snapshot } from "../../harness/snapshot.ts";
import { fillRandomly } from "../random.ts";
import { type Core, cacheModes, errnoOf, openCore } from "./core.ts";
import { viewOf } from "./view.ts";

const time = 1_222_333_444_555_666_777n;
/** user::rwx, user:1000:r-x, group::r-x, mask::rwx, other::--x; as the kernel stores it. */
const acl = Buffer.from(
	"02000000 01000700ffffffff 02000500e8030000 04000500ffffffff 10000700ffffffff 20000100ffffffff".replaceAll(
		" ",
		"",
	),
	"hex",
);
/** CAP_NET_RAW, permitted and effective. */
const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");

const attributes = {
	uid: 12,
	gid: 34,
	time,
	xattrs: { "user.note": "kept", "user.binary": Buffer.from([0, 255, 10]), "trusted.mine": "t" },
};

/** An object of a layer, without the marks overlays make for themselves: those are no part of what is copied. */
function describeIn(layer: string, path: string): string {
	let text = snapshot(layer)[path] ?? "absent";
	for (const name of listxattr(join(layer, path))) {
		const value = printable(getxattr(join(layer, path), name));
		if (/^(trusted|user)\.(overlay|fuseoverlayfs)\./.test(name))
			text = text.replace(`, ${name}="${value}"`, "");
	}
	return `${path}: ${text}`;
}

function expectCopied(core: Core, path: string): void {
	expect(describeIn(core.inUpper(), path)).toBe(describeIn(core.inLower(), path));
}

describe.each(cacheModes)("with %s", (_, options) => {
	test.each([
		["an ordinary file", file("content", { ...attributes, mode: 0o644 })],
		["a read-only file", file("content", { ...attributes, mode: 0o444 })],
		["a file nobody may touch", file("content", { ...attributes, mode: 0 })],
		["a suid file", file("content", { ...attributes, mode: 0o6755 })],
		["an empty file", file("", { ...attributes, mode: 0o600 })],
		["a file of root", file("content", { time, mode: 0o600 })],
		["a file with an ACL", file("x", { time, xattrs: { "system.posix_acl_access": acl } })],
		["a file with a capability", file("x", { time, uid: 5, xattrs: { "security.capability": capability } })],
		["a file from before the epoch", file("x", { time: -1_500_000_000n })],
		["a symlink", symlink("some/target", { uid: 5, gid: 6, time })],
		["a long symlink", symlink("t".repeat(4000), { uid: 5, gid: 6, time })],
		["a FIFO", fifo({ mode: 0o620, uid: 7, time })],
		["a socket", socket({ mode: 0o700, gid: 8, time })],
		["a character device", device("char", 1, 3, { mode: 0o666, time })],
		["a device of large numbers", device("block", 259, 70_000, { mode: 0o640, uid: 9, time })],
	])("%s is the same in the upper layer", (_title, described) => {
		using core = openCore([{ d: directory({ time }), "d/x": described }], { options });
		const before = core.stat("d/x");
		core.copyUp("d/x");
		expectCopied(core, "d/x");
		expect(core.stat("d/x")).toEqual(before);
		core.reopen();
		expect(core.stat("d/x")).toEqual(before);
	});

	test("directories above are copied too, with all they are; their times stay", () => {
		const above = {
			a: directory({ ...attributes, mode: 0o700 }),
			"a/b": directory({ mode: 0o3775, uid: 3, gid: 4, time, xattrs: { "system.posix_acl_default": acl } }),
			"a/b/f": "x",
			"a/other": "o",
		};
		using core = openCore([above], { options });
		core.copyUp("a/b/f");
		for (const path of ["a", "a/b"]) {
			expectCopied(core, path);
		}
		expect([core.names("a"), core.upperNames("a")]).toEqual([["b", "other"], ["b"]]);
		core.reopen();
		expect([core.names("a"), core.names("a/b")]).toEqual([["b", "other"], ["f"]]);
	});

	test("a directory keeps what lower layers have in it", () => {
		const layers = [
			{ "d/one": "1", "d/s/x": "x" },
			{ "d/two": "2", "d/s/y": "y" },
		];
		using core = openCore(layers, { options });
		const before = viewOf(core);
		core.change("d", { mode: 0o755 });
		core.copyUp("d/s");
		expect([core.names("d"), core.names("d/s")]).toEqual([
			["one", "s", "two"],
			["x", "y"],
		]);
		expect(core.stat("d").links).toBe(3);
		core.reopen();
		expect(Object.keys(viewOf(core))).toEqual(Object.keys(before));
	});

	test("inode numbers do not change, of files and directories, also after opening anew", () => {
		using core = openCore([{ "d/f": "f", "d/e/g": "g", l: symlink("x") }], { options });
		const paths = ["d", "d/f", "d/e", "d/e/g", "l"];
		const numbers = () => paths.map((path) => core.stat(path).inode);
		const before = numbers();
		for (const path of ["d/f", "d/e", "l"]) core.change(path, { uid: 5 });
		expect(numbers()).toEqual(before);
		core.reopen();
		expect(numbers()).toEqual(before);
		// readdir tells the same: viewOf compares.
		viewOf(core);
	});
});

describe("content", () => {
	test.each([0, 1, 4096, 262_144, 262_145, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5_000_000])(
		"%i bytes",
		(size) => {
			const data = Buffer.alloc(size);
			fillRandomly(data, 3);
			using core = openCore([{ f: data }]);
			core.copyUp("f");
			expect(readFileSync(core.inUpper("f")).equals(data)).toBeTrue();
		},
	);

	test("holes stay holes", () => {
		using core = openCore([{ f: sparseFile(50_000_000, { 0: "start", 20000000: "middle" }) }]);
		core.copyUp("f");
		expect(statSync(core.inUpper("f")).size).toBe(50_000_000);
		expect(statSync(core.inUpper("f")).blocks).toBeLessThan(100);
	});

	test("cut short, only what stays is copied", () => {
		using core = openCore([{ f: sparseFile(50_000_000, { 0: "0123456789" }), g: "0123456789" }]);
		expect(core.change("f", { size: 5 }).size).toBe(5);
		expect(core.change("g", { size: 20 }).size).toBe(20);
		expect([core.read("f"), core.read("g")]).toEqual(["01234", `0123456789${"\0".repeat(10)}`]);
	});

	test("a node that was read before sees what is written after", () => {
		using core = openCore([{ f: "lower" }]);
		const node = core.node("f");
		expect(core.readFrom(node)).toBe("lower");
		core.writeTo(node, "UP");
		expect([core.readFrom(node), readFileSync(core.inUpper("f"), "utf8")]).toEqual(["UPwer", "UPwer"]);
	});
});

describe("marks", () => {
	test("overlays' own attributes of a lower object are not copied", () => {
		const marked = {
			"trusted.overlay.opaque": "y",
			"trusted.overlay.origin": "x",
			"user.overlay.impure": "y",
			"user.fuseoverlayfs.opaque": "y",
			"user.note": "kept",
		};
		using core = openCore([{ d: directory({ xattrs: marked }), "d/f": file("f", { xattrs: marked }) }]);
		core.copyUp("d/f");
		expect(listxattr(core.inUpper("d")).filter((name) => name !== "trusted.overlay.impure")).toEqual([
			"user.note",
		]);
		expect(listxattr(core.inUpper("d/f")).filter((name) => name !== "trusted.overlay.origin")).toEqual([
			"user.note",
		]);
	});

	test("of the workdir's own ACL, group and mode nothing is in the copy", () => {
		const prepare = ({ work }: Layers) => {
			setxattr(work, "system.posix_acl_default", acl);
			chownSync(work, 0, 77);
			chmodSync(work, 0o2777);
		};
		const lower = {
			d: directory({ mode: 0o750 }),
			"d/f": file("f", { mode: 0o640 }),
			"d/l": symlink("x"),
			"d/p": fifo({ mode: 0o600 }),
		};
		using core = openCore([lower], { prepare });
		for (const path of ["d/f", "d/l", "d/p"]) core.copyUp(path);
		for (const path of ["d", "d/f", "d/l", "d/p"]) {
			expectCopied(core, path);
		}
	});

	test("without the privilege for `trusted` ones the origin is a path, and keeps the number too", () => {
		using core = openCore([{ "d/f": "f" }], { userAttributes: true });
		const before = core.stat("d/f").inode;
		core.copyUp("d/f");
		expect(getxattr(core.inUpper("d/f"), "user.fuseoverlayfs.origin").toString()).toBe("d/f\0");
		core.reopen();
		expect(core.stat("d/f").inode).toBe(before);
	});
});

test("of one of several names the others keep the old content", () => {
	using core = openCore([{ a: "abc", b: hardLink("a"), c: hardLink("a") }]);
	core.write("b", "X");
	expect([core.read("a"), core.read("b"), core.read("c"), core.stat("b").links]).toEqual([
		"abc",
		"Xbc",
		"abc",
		1,
	]);
	expect(lstatSync(core.inUpper("b")).nlink).toBe(1);
});

describe("without space", () => {
	const large = Buffer.alloc(3_000_000, "x");

	test.each(cacheModes)("nothing is left, and the file stays as it was; with %s", (_, options) => {
		using core = openCore([{ "d/f": file(large, { mode: 0o640, time }), small: "small" }], {
			disk: smallDisk,
			options,
		});
		const before = core.stat("d/f");
		const node = core.node("d/f");
		for (let attempt = 0; attempt < 3; attempt++) {
			for (const action of [
				() => core.writeTo(node, "X"),
				() => core.change("d/f", { mode: 0o600 }),
				() => core.rename("d/f", "d/g"),
				() => core.link("d/f", "g"),
				() => core.setxattr("d/f", "user.x", "y"),
			]) {
				expect(errnoOf(action)).toBe("ENOSPC");
			}
		}
		expect([core.litter(), core.upperNames("d"), core.names("d")]).toEqual([[], [], ["f"]]);
		expect(core.stat("d/f")).toEqual(before);
		expect(core.readFrom(node) === large.toString("latin1")).toBeTrue();
		core.write("small", "S");
		core.unlink("d/f");
		expect([core.read("small"), core.names("d")]).toEqual(["Small", []]);
		expect(core.readFrom(node).length).toBe(large.length);
	});

	test("of an unlinked file neither", () => {
		using core = openCore([{ f: large }], { disk: smallDisk });
		const node = core.node("f");
		core.unlink("f");
		expect(errnoOf(() => core.writeTo(node, "X"))).toBe("ENOSPC");
		expect([core.litter(), core.readFrom(node).length]).toEqual([[], large.length]);
	});

	test("cut short it fits", () => {
		using core = openCore([{ f: large }], { disk: smallDisk });
		core.change("f", { size: 1000 });
		expect(core.read("f")).toBe("x".repeat(1000));
	});

	test("for new objects ENOSPC as well, without traces", () => {
		using core = openCore([{ "d/x": "x", hidden: "h" }], { disk: smallDisk });
		core.unlink("hidden");
		const filler = core.create("filler");
		expect(errnoOf(() => core.writeTo(filler, Buffer.alloc(4_000_000)))).toBe("ENOSPC");
		expect(errnoOf(() => core.write("d/x", "y"))).toBe("ENOSPC");
		expect([core.litter(), core.read("d/x"), core.names("d")]).toEqual([[], "x", ["x"]]);
		core.unlink("filler");
		core.forgetAll();
		core.write("d/x", "y");
		core.create("hidden", "new");
		expect([core.read("d/x"), core.read("hidden")]).toEqual(["y", "new"]);
	});
});
