/** New objects: whose they are, what they may do, and what they are made over. */
import { describe, expect, test } from "bun:test";
import { chmodSync, chownSync, lstatSync, readFileSync, readlinkSync } from "node:fs";
import { S_IFCHR, S_IFDIR, S_IFIFO, S_IFREG, S_IFSOCK } from "../../../src/native/layout.ts";
import type { Caller } from "../../../src/overlay/changes/maker.ts";
import { directory, type Layers, symlink, whiteout } from "../../harness/layers.ts";
import { getxattr, listxattr, makeDevice, setxattr } from "../../harness/native.ts";
import { type CoreSettings, cacheModes, errnoOf, openCore, root } from "./core.ts";

const alice: Caller = { uid: 1000, gid: 1000, umask: 0o027 };
/** user::rwx, user:1000:r-x, group::r-x, mask::rwx, other::---; as the kernel stores it. */
const defaultAcl = Buffer.from(
	"02000000 01000700ffffffff 02000500e8030000 04000500ffffffff 10000700ffffffff 20000000ffffffff".replaceAll(
		" ",
		"",
	),
	"hex",
);

describe.each(cacheModes)("with %s", (_, options) => {
	test("objects of every kind, in directories of every layer", () => {
		using core = openCore([{ "lower/x": "x" }], { upper: { "upper/x": "x" }, options });
		for (const parent of ["lower", "upper"]) {
			core.create(`${parent}/file`, "content");
			core.mkdir(`${parent}/dir`);
			core.symlink("some/target", `${parent}/link`);
			core.make(`${parent}/pipe`, S_IFIFO | 0o640);
			core.make(`${parent}/sock`, S_IFSOCK | 0o600);
			core.make(`${parent}/null`, S_IFCHR | 0o666, root, makeDevice(1, 3));
			expect(core.names(parent)).toEqual(["dir", "file", "link", "null", "pipe", "sock", "x"]);
			expect(core.read(`${parent}/file`)).toBe("content");
			expect(readFileSync(core.inUpper(parent, "file"), "utf8")).toBe("content");
			expect(readlinkSync(core.inUpper(parent, "link"))).toBe("some/target");
			expect(lstatSync(core.inUpper(parent, "pipe")).isFIFO()).toBeTrue();
			expect(lstatSync(core.inUpper(parent, "sock")).isSocket()).toBeTrue();
			expect(lstatSync(core.inUpper(parent, "null")).rdev).toBe(makeDevice(1, 3));
			expect(core.names(`${parent}/dir`)).toEqual([]);
		}
	});

	test("a name that any layer has is EEXIST", () => {
		using core = openCore([{ lower: "", d: directory(), l: symlink("nowhere") }], {
			upper: { upper: "" },
			options,
		});
		for (const name of ["lower", "upper", "d", "l"]) {
			expect(errnoOf(() => core.create(name))).toBe("EEXIST");
			expect(errnoOf(() => core.mkdir(name))).toBe("EEXIST");
			expect(errnoOf(() => core.symlink("x", name))).toBe("EEXIST");
		}
		expect(core.upperNames()).toEqual(["upper"]);
	});

	test("`.wh.` names are not taken, nor are whiteouts made by hand", () => {
		using core = openCore([{ a: "a" }], { options });
		for (const name of [".wh.a", ".wh..wh..opq", ".wh."]) {
			expect(errnoOf(() => core.create(name))).toBe("EINVAL");
			expect(errnoOf(() => core.mkdir(name))).toBe("EINVAL");
			expect(errnoOf(() => core.rename("a", name))).toBe("EINVAL");
			expect(errnoOf(() => core.link("a", name))).toBe("EINVAL");
		}
		expect(errnoOf(() => core.make("b", S_IFCHR | 0o666, root, 0))).toBe("EPERM");
		expect(core.names()).toEqual(["a"]);
		expect(core.upperNames()).toEqual([]);
	});

	test("over a whiteout a file takes its place, and a directory hides what is below", () => {
		const lower = { f: "lower", d: "lower", "e/x": "x", "e/y/z": "z" };
		using core = openCore([lower], { options });
		core.unlink("f");
		core.unlink("d");
		core.unlink("e/x");
		core.unlink("e/y/z");
		core.rmdir("e/y");
		core.rmdir("e");
		core.create("f", "new");
		core.mkdir("d");
		core.mkdir("e");
		core.create("e/own", "own");
		expect([core.read("f"), core.names("d"), core.names("e")]).toEqual(["new", [], ["own"]]);
		expect(getxattr(core.inUpper("e"), "trusted.overlay.opaque").toString()).toBe("y");
		core.reopen();
		expect([core.read("f"), core.names("d"), core.names("e")]).toEqual(["new", [], ["own"]]);
	});

	test.each([
		["device", {}],
		["file", { fileWhiteouts: true }],
	] as const)("over whiteouts of a former mount, made as a %s", (format, settings) => {
		const upper = { f: whiteout(format), d: whiteout(format) };
		using core = openCore([{ f: "f", "d/x": "x", g: "g" }], { ...settings, upper, options });
		expect(core.names()).toEqual(["g"]);
		core.create("f", "new");
		core.mkdir("d");
		expect([core.read("f"), core.names("d"), core.upperNames()]).toEqual(["new", [], ["d", "f"]]);
		core.reopen();
		expect([core.read("f"), core.names("d"), core.names()]).toEqual(["new", [], ["d", "f", "g"]]);
	});

	test("in a directory that was removed, ENOENT", () => {
		using core = openCore([{ "lower/x": "x" }], { upper: { upper: directory() }, options });
		core.unlink("lower/x");
		for (const name of ["lower", "upper"]) {
			const node = core.node(name);
			core.rmdir(name);
			for (const action of [
				() => core.makeIn(node, "new", S_IFREG | 0o644),
				() => core.makeIn(node, "new", S_IFDIR | 0o755),
			]) {
				expect(errnoOf(action)).toBe("ENOENT");
			}
			expect(core.entries(node)).toEqual([]);
		}
	});
});

describe("owner and mode", () => {
	/** Once by the direct way, once by way of the workdir. */
	const ways: readonly (readonly [string, string, CoreSettings])[] = [
		["in place", "new", {}],
		["over a whiteout", "hidden", { upper: { hidden: whiteout() } }],
	];

	test.each(ways)("%s: the caller's, less the umask", (_, name, settings) => {
		using core = openCore([{ hidden: "x" }], settings);
		core.create(name, "", 0o666, alice);
		const { uid, gid, mode } = lstatSync(core.inUpper(name));
		expect([uid, gid, mode]).toEqual([1000, 1000, S_IFREG | 0o640]);
		expect(core.stat(name)).toMatchObject({ uid: 1000, gid: 1000, mode: 0o640 });
	});

	test.each(ways)("%s: suid, sgid and sticky bits", (_, name, settings) => {
		using core = openCore([{ hidden: "x" }], settings);
		core.create(name, "", 0o6755, alice);
		expect(core.stat(name).mode).toBe(0o6750);
	});

	test.each(ways)("%s: a directory and a symlink", (_, name, settings) => {
		using core = openCore([{ hidden: "x" }], settings);
		core.mkdir(name, 0o1777, alice);
		expect(core.stat(name)).toMatchObject({ uid: 1000, gid: 1000, mode: 0o1750 });
		core.rmdir(name);
		core.symlink("x", name, alice);
		expect(core.stat(name)).toMatchObject({ uid: 1000, gid: 1000 });
	});

	test.each(ways)(
		"%s: a setgid directory hands down its group, to directories the bit too",
		(_, name, settings) => {
			const upper = { d: directory({ mode: 0o2777, gid: 50 }), ...prefixed("d/", settings.upper) };
			using core = openCore([{ "d/hidden": "x" }], { upper });
			core.create(`d/${name}`, "", 0o666, alice);
			expect(core.stat(`d/${name}`)).toMatchObject({ uid: 1000, gid: 50, mode: 0o640 });
			core.unlink(`d/${name}`);
			core.mkdir(`d/${name}`, 0o777, alice);
			expect(core.stat(`d/${name}`)).toMatchObject({ uid: 1000, gid: 50, mode: 0o2750 });
		},
	);

	test.each(ways)("%s: a default ACL in place of the umask", (_, name, settings) => {
		const acl = directory({ mode: 0o777, xattrs: { "system.posix_acl_default": defaultAcl } });
		const upper = { d: acl, ...prefixed("d/", settings.upper) };
		using core = openCore([{ "d/hidden": "x" }], { upper });
		core.create(`d/${name}`, "", 0o666, { ...alice, umask: 0o077 });
		expect(core.stat(`d/${name}`).mode).toBe(0o660);
		expect(listxattr(core.inUpper("d", name))).toContain("system.posix_acl_access");
		core.unlink(`d/${name}`);
		core.mkdir(`d/${name}`, 0o777, alice);
		expect(core.stat(`d/${name}`).mode).toBe(0o770);
		expect(getxattr(core.inUpper("d", name), "system.posix_acl_default")).toEqual(defaultAcl);
	});

	test("a lower directory's setgid bit and default ACL count as well", () => {
		const parent = { mode: 0o2777, gid: 50, xattrs: { "system.posix_acl_default": defaultAcl } };
		using core = openCore([{ d: directory(parent) }]);
		core.create("d/new", "", 0o666, alice);
		expect(core.stat("d/new")).toMatchObject({ uid: 1000, gid: 50, mode: 0o660 });
	});

	test.each(ways)("%s: nothing of the workdir's own ACL, group and mode", (_, name, settings) => {
		const prepare = ({ work }: Layers) => {
			setxattr(work, "system.posix_acl_default", defaultAcl);
			chownSync(work, 0, 77);
			chmodSync(work, 0o2777);
		};
		using core = openCore([{ hidden: "x" }], { ...settings, prepare });
		core.create(name, "", 0o666);
		expect(core.stat(name)).toMatchObject({ uid: 0, gid: 0, mode: 0o644 });
		expect(listxattr(core.inUpper(name))).toEqual([]);
		core.unlink(name);
		core.mkdir(name);
		expect(core.stat(name)).toMatchObject({ uid: 0, gid: 0, mode: 0o755 });
		expect(listxattr(core.inUpper(name)).filter((attribute) => attribute.startsWith("system."))).toEqual([]);
	});

	test("the process has its own identity and umask again afterwards", () => {
		using core = openCore([{ hidden: "x" }], { upper: { hidden: whiteout() } });
		core.create("new", "", 0o666, alice);
		core.create("hidden", "", 0o666, alice);
		expect(errnoOf(() => core.create("new", "", 0o666, alice))).toBe("EEXIST");
		expect(process.umask()).toBe(0);
		expect(readFileSync("/proc/self/status", "latin1")).toMatch(/^Uid:\t0\t0\t0\t0$/m);
		expect(readFileSync("/proc/thread-self/status", "latin1")).toMatch(/^Gid:\t0\t0\t0\t0$/m);
	});

	test("an unwritable directory does not stop a caller that was let in", () => {
		using core = openCore([{ d: directory({ mode: 0o755 }) }]);
		core.create("d/new", "", 0o644, alice);
		expect(core.stat("d/new")).toMatchObject({ uid: 1000, gid: 1000 });
	});
});

test("a file without a name can be written, and linked to one", () => {
	using core = openCore([{ "d/x": "x" }]);
	const node = core.createNameless("d", 0o666, alice);
	core.writeTo(node, "content");
	expect(core.attributes(node)).toMatchObject({ uid: 1000, gid: 1000, mode: 0o640, size: 7, links: 0 });
	expect(core.names("d")).toEqual(["x"]);
	core.linkNode(node, "d/named");
	expect([core.read("d/named"), core.node("d/named"), core.stat("d/named").links]).toEqual([
		"content",
		node,
		1,
	]);
});

test("a file without a name that is forgotten leaves nothing", () => {
	using core = openCore([{}]);
	core.forget(core.createNameless(""));
	expect(core.upperNames()).toEqual([]);
});

function prefixed(prefix: string, description: CoreSettings["upper"] = {}): CoreSettings["upper"] {
	return Object.fromEntries(Object.entries(description).map(([name, entry]) => [prefix + name, entry]));
}
