/** Extended attributes: users' own are kept, overlays' own are hidden. */
import { describe, expect, test } from "bun:test";
import { XATTR_CREATE, XATTR_REPLACE } from "../../../src/native/layout.ts";
import { readAttribute } from "../../../src/overlay/reading/xattr.ts";
import { directory, file, symlink } from "../../harness/layers.ts";
import { getxattr, listxattr } from "../../harness/native.ts";
import { cacheModes, errnoOf, openCore } from "./core.ts";

const internal = [
	"trusted.overlay.opaque",
	"trusted.overlay.whiteout",
	"user.overlay.origin",
	"user.fuseoverlayfs.opaque",
];
/** user::rw-, user:1000:rw-, group::r--, mask::rw-, other::r--; as the kernel stores it. */
const acl = Buffer.from(
	"02000000 01000600ffffffff 02000600e8030000 04000400ffffffff 10000600ffffffff 20000400ffffffff".replaceAll(
		" ",
		"",
	),
	"hex",
);

describe.each(cacheModes)("with %s", (_, options) => {
	test("set, get, list and remove, of files and directories of either layer", () => {
		const lower = { f: file("f", { xattrs: { "user.old": "old" } }), "d/x": "x", l: symlink("x") };
		using core = openCore([lower], { upper: { own: "own" }, options });
		for (const path of ["f", "d", "own", ""]) {
			core.setxattr(path, "user.note", "value");
			core.setxattr(path, "user.binary", Buffer.from([0, 255, 0]));
			core.setxattr(path, "user.empty", "");
			core.setxattr(path, "trusted.mine", "t");
			expect(core.getxattr(path, "user.note").toString()).toBe("value");
			expect([...core.getxattr(path, "user.binary")]).toEqual([0, 255, 0]);
			expect(core.getxattr(path, "user.empty").length).toBe(0);
			const names = [
				"trusted.mine",
				"user.binary",
				"user.empty",
				"user.note",
				...(path === "f" ? ["user.old"] : []),
			];
			expect(core.listxattr(path)).toEqual(names);
			core.removexattr(path, "user.note");
			expect(errnoOf(() => core.getxattr(path, "user.note"))).toBe("ENODATA");
			expect(errnoOf(() => core.removexattr(path, "user.note"))).toBe("ENODATA");
			expect(getxattr(core.inUpper(path), "trusted.mine").toString()).toBe("t");
		}
		core.setxattr("l", "trusted.link", "t");
		expect(core.listxattr("l")).toEqual(["trusted.link"]);
		expect(errnoOf(() => core.setxattr("l", "user.note", "x"))).toBe("EPERM");
		core.reopen();
		expect(core.getxattr("d", "trusted.mine").toString()).toBe("t");
	});

	test("of a lower file are read without copying it up", () => {
		using core = openCore([{ f: file("f", { xattrs: { "user.note": "value" } }) }], { options });
		expect(core.getxattr("f", "user.note").toString()).toBe("value");
		expect(core.listxattr("f")).toEqual(["user.note"]);
		expect(errnoOf(() => core.removexattr("f", "user.other"))).toBe("ENODATA");
		expect(core.upperNames()).toEqual([]);
	});

	test("a removed one is gone, though the lower file has it", () => {
		using core = openCore([{ f: file("f", { xattrs: { "user.note": "value", "user.other": "x" } }) }], {
			options,
		});
		core.removexattr("f", "user.note");
		expect(core.listxattr("f")).toEqual(["user.other"]);
		core.reopen();
		expect(core.listxattr("f")).toEqual(["user.other"]);
	});
});

test("XATTR_CREATE and XATTR_REPLACE", () => {
	using core = openCore([{ f: file("f", { xattrs: { "user.old": "old" } }) }]);
	expect(errnoOf(() => core.setxattr("f", "user.old", "x", XATTR_CREATE))).toBe("EEXIST");
	expect(errnoOf(() => core.setxattr("f", "user.new", "x", XATTR_REPLACE))).toBe("ENODATA");
	core.setxattr("f", "user.old", "changed", XATTR_REPLACE);
	core.setxattr("f", "user.new", "made", XATTR_CREATE);
	expect([core.getxattr("f", "user.old").toString(), core.getxattr("f", "user.new").toString()]).toEqual([
		"changed",
		"made",
	]);
});

test("the length alone, and too little room", () => {
	using core = openCore([{ f: file("f", { xattrs: { "user.note": "0123456789" } }) }]);
	const node = core.node("f");
	const read = (size: number) =>
		core.named("user.note", (name) => readAttribute(core.overlay, node, name, core.scratch, size));
	expect(read(0)).toBe(10);
	expect(errnoOf(() => read(9))).toBe("ERANGE");
	expect(read(10)).toBe(10);
});

test.each(internal)(
	"%s of a layer is not shown or read, and what users set of that name is another",
	(name) => {
		const marked = { xattrs: { [name]: "y", "user.note": "n" } };
		using core = openCore([{ f: file("f", marked) }], {
			upper: { own: file("own", marked), d: directory() },
		});
		for (const path of ["f", "own"]) {
			expect(core.listxattr(path)).toEqual(["user.note"]);
			expect(errnoOf(() => core.getxattr(path, name))).toBe("ENODATA");
			expect(errnoOf(() => core.removexattr(path, name))).toBe("ENODATA");
		}
		expect(core.upperNames()).toEqual(["d", "own"]);
		for (const path of ["f", "own"]) {
			core.setxattr(path, name, "x");
			expect([core.listxattr(path), core.getxattr(path, name).toString()]).toEqual([
				[name, "user.note"].sort(),
				"x",
			]);
		}
		expect(getxattr(core.inUpper("own"), name).toString()).toBe("y");
	},
);

describe("ACLs", () => {
	test("are set with the mode they mean, and got back", () => {
		using core = openCore([{ f: file("f", { mode: 0o644 }) }]);
		core.setxattr("f", "system.posix_acl_access", acl);
		expect(core.stat("f").mode).toBe(0o664);
		expect(core.getxattr("f", "system.posix_acl_access")).toEqual(acl);
		core.removexattr("f", "system.posix_acl_access");
		expect(listxattr(core.inUpper("f")).filter((name) => name.startsWith("system."))).toEqual([]);
	});

	test("without them every call is EOPNOTSUPP, and none is shown", () => {
		const described = { f: file("f", { xattrs: { "system.posix_acl_access": acl } }) };
		using core = openCore([described], { options: { acl: false } });
		expect(errnoOf(() => core.getxattr("f", "system.posix_acl_access"))).toBe("EOPNOTSUPP");
		expect(errnoOf(() => core.setxattr("f", "system.posix_acl_access", acl))).toBe("EOPNOTSUPP");
		expect(errnoOf(() => core.removexattr("f", "system.posix_acl_access"))).toBe("EOPNOTSUPP");
		expect(core.listxattr("f")).toEqual([]);
	});
});

test("without extended attributes every call is EOPNOTSUPP", () => {
	using core = openCore([{ f: file("f", { xattrs: { "user.note": "n" } }) }], { options: { xattrs: false } });
	for (const action of [
		() => core.getxattr("f", "user.note"),
		() => core.listxattr("f"),
		() => core.setxattr("f", "user.note", "x"),
		() => core.removexattr("f", "user.note"),
	]) {
		expect(errnoOf(action)).toBe("EOPNOTSUPP");
	}
});

test("with xattr_permissions=2 the `security` namespace is kept under another name", () => {
	using core = openCore([{}], { identity: { xattrPermissions: 2 } });
	core.create("f");
	core.setxattr("f", "security.mine", "s");
	expect(core.getxattr("f", "security.mine").toString()).toBe("s");
	expect(core.listxattr("f")).toEqual(["security.mine"]);
	expect(getxattr(core.inUpper("f"), "user.containers.override_security.mine").toString()).toBe("s");
	core.removexattr("f", "security.mine");
	expect(core.listxattr("f")).toEqual([]);
});
