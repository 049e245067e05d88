import { describe, expect, test } from "bun:test";
import { chmodSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { open } from "../harness/descriptor.ts";
import { directory, file, symlink } from "../harness/layers.ts";
import {
	asUser,
	codeOf,
	fgetxattr,
	fsetxattr,
	getxattr,
	getxattrSized,
	listxattr,
	removexattr,
	setxattr,
	XATTR_CREATE,
	XATTR_REPLACE,
} from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";

const noted = () => file("x", { xattrs: { "user.note": "lower", "user.other": "kept" } });
const value = (path: string, name: string) => getxattr(path, name).toString("latin1");

describe("extended attributes", () => {
	test.skipIf(lacks("ACLs in the kernel"))(
		"an ACL that is not there can be removed from a file of the upper layer, as from a plain file",
		async () => {
			await using overlay = await mountLayers([{ lower: "x" }], { upper: { upper: "x" } });
			expect(codeOf(() => removexattr(overlay.at("upper"), "system.posix_acl_access"))).toBeUndefined();
		},
	);

	test.skipIf(lacks("trusted attributes"))("of the trusted namespace are listed for root only", async () => {
		await using overlay = await mountLayers([{ a: noted() }]);
		setxattr(overlay.at("a"), "trusted.note", "x");
		expect(listxattr(overlay.at("a"))).toEqual(["trusted.note", "user.note", "user.other"]);
		expect(asUser(1000, 1000, () => listxattr(overlay.at("a")))).toEqual(["user.note", "user.other"]);
	});

	test("are read from the layer that has the file", async () => {
		await using overlay = await mountLayers(
			[
				{ a: noted(), d: directory({ xattrs: { "user.d": "first" } }) },
				{ d: directory({ xattrs: { "user.d": "second" } }) },
			],
			{
				upper: { u: file("x", { xattrs: { "user.note": "upper" } }) },
			},
		);
		expect(listxattr(overlay.at("a"))).toEqual(["user.note", "user.other"]);
		expect(value(overlay.at("a"), "user.note")).toBe("lower");
		expect(value(overlay.at("u"), "user.note")).toBe("upper");
		expect(value(overlay.at("d"), "user.d")).toBe("first");
		expect(codeOf(() => getxattr(overlay.at("a"), "user.missing"))).toBe("ENODATA");
	});

	test.skipIf(lacks("trusted attributes"))(
		"set, replaced and removed, on files and directories of any layer, by path and by handle",
		async () => {
			await using overlay = await mountLayers([{ a: noted(), d: directory(), link: symlink("a") }], {
				upper: { u: "x" },
			});
			for (const name of ["a", "d", "u"]) {
				setxattr(overlay.at(name), "user.note", "new");
				setxattr(overlay.at(name), "user.gone", "x");
				removexattr(overlay.at(name), "user.gone");
				using handle = open(overlay.at(name));
				fsetxattr(handle.fd, "user.handle", name);
				expect(fgetxattr(handle.fd, "user.handle").toString()).toBe(name);
				expect(value(overlay.at(name), "user.note")).toBe("new");
				expect(codeOf(() => getxattr(overlay.at(name), "user.gone"))).toBe("ENODATA");
			}
			setxattr(overlay.at("link"), "trusted.link", "of the link itself");
			expect(listxattr(overlay.at("a"))).toEqual(["user.handle", "user.note", "user.other"]);
			expect(value(overlay.at("a"), "user.other")).toBe("kept");
			expect(readFileSync(overlay.at("a"), "utf8")).toBe("x");
			await overlay.expectLasting();
			expect(value(overlay.inLower("a"), "user.note")).toBe("lower");
		},
	);

	test("values are bytes: empty, with NUL and newline, and large", async () => {
		await using overlay = await mountLayers([{ a: "x" }]);
		const values = {
			"user.empty": "",
			"user.bytes": Buffer.from([0, 10, 255, 0]),
			"user.large": "v".repeat(3000),
		};
		for (const [name, content] of Object.entries(values)) {
			setxattr(overlay.at("a"), name, content);
			expect(getxattr(overlay.at("a"), name)).toEqual(Buffer.from(content));
		}
		await overlay.expectLasting();
	});

	test("XATTR_CREATE and XATTR_REPLACE, ENODATA and ERANGE", async () => {
		await using overlay = await mountLayers([{ a: noted() }], { upper: { u: noted() } });
		for (const name of ["a", "u"]) {
			const path = overlay.at(name);
			expect(codeOf(() => setxattr(path, "user.note", "x", XATTR_CREATE))).toBe("EEXIST");
			expect(codeOf(() => setxattr(path, "user.missing", "x", XATTR_REPLACE))).toBe("ENODATA");
			expect(codeOf(() => removexattr(path, "user.missing"))).toBe("ENODATA");
			expect(getxattrSized(path, "user.note", 0)).toBe(5);
			expect(codeOf(() => getxattrSized(path, "user.note", 4))).toBe("ERANGE");
			setxattr(path, "user.note", "x", XATTR_REPLACE);
			setxattr(path, "user.new", "x", XATTR_CREATE);
			expect(value(path, "user.note")).toBe("x");
		}
		await overlay.expectLasting();
	});

	test("a refused removal copies nothing up", async () => {
		await using overlay = await mountLayers([{ a: noted() }]);
		expect(codeOf(() => removexattr(overlay.at("a"), "user.missing"))).toBe("ENODATA");
		expect(codeOf(() => lstatSync(overlay.inUpper("a")))).toBe("ENOENT");
	});

	test.skipIf(lacks("trusted attributes"))("the overlay's own are not shown", async () => {
		const internal = {
			"trusted.overlay.origin": "x",
			"user.overlay.origin": "x",
			"user.fuseoverlayfs.origin": "x",
		};
		await using overlay = await mountLayers([
			{
				a: file("x", { xattrs: { "user.mine": "shown", ...internal } }),
				d: directory({ opaque: "trusted" }),
			},
		]);
		writeFileSync(overlay.at("a"), "copied up");
		expect(listxattr(overlay.at("a"))).toEqual(["user.mine"]);
		expect(listxattr(overlay.at("d"))).toEqual([]);
		for (const name of Object.keys(internal)) {
			expect({ name, got: codeOf(() => getxattr(overlay.at("a"), name)) }).toEqual({ name, got: "ENODATA" });
		}
	});

	test.skipIf(lacks("trusted attributes"))(
		"users may set user.* on their own files only, trusted.* is root's",
		async () => {
			await using overlay = await mountLayers([{ mine: file("x", { uid: 1000 }), other: file("x") }]);
			asUser(1000, 1000, () => {
				expect(codeOf(() => setxattr(overlay.at("mine"), "user.a", "x"))).toBeUndefined();
				expect(codeOf(() => setxattr(overlay.at("other"), "user.a", "x"))).toBe("EACCES");
				expect(value(overlay.at("mine"), "user.a")).toBe("x");
			});
			setxattr(overlay.at("mine"), "trusted.a", "y");
			expect(value(overlay.at("mine"), "trusted.a")).toBe("y");
		},
	);

	test("with noxattrs=1 every call answers ENOTSUP", async () => {
		await using overlay = await mountLayers([{ a: noted() }], { options: ["noxattrs=1"] });
		expect(codeOf(() => setxattr(overlay.at("a"), "user.a", "x"))).toBe("ENOTSUP");
		expect(codeOf(() => getxattr(overlay.at("a"), "user.note"))).toBe("ENOTSUP");
		expect(codeOf(() => removexattr(overlay.at("a"), "user.note"))).toBe("ENOTSUP");
		writeFileSync(overlay.at("a"), "other things work");
		expect(readFileSync(overlay.at("a"), "utf8")).toBe("other things work");
	});
});

describe.skipIf(lacks("ACLs in the kernel"))("POSIX ACLs", () => {
	const setfacl = (...args: string[]) => Bun.spawnSync(["setfacl", ...args]);
	const getfacl = (path: string) =>
		Bun.spawnSync(["getfacl", "--numeric", "--omit-header", "--absolute-names", path]).stdout.toString();

	test.skipIf(lacks("other ids"))("grant and refuse access, and survive copy-up", async () => {
		await using overlay = await mountLayers([
			{ a: file("secret", { mode: 0o600 }), b: file("public", { mode: 0o644 }) },
		]);
		setfacl("-m", "u:1000:r", overlay.at("a"));
		setfacl("-m", "u:1000:-", overlay.at("b"));
		asUser(1000, 1000, () => {
			expect(codeOf(() => readFileSync(overlay.at("a")))).toBeUndefined();
			expect(codeOf(() => readFileSync(overlay.at("b")))).toBe("EACCES");
		});
		expect(asUser(2000, 2000, () => codeOf(() => readFileSync(overlay.at("a"))))).toBe("EACCES");
		writeFileSync(overlay.at("a"), "changed");
		expect(getfacl(overlay.at("a"))).toContain("user:1000:r--");
		await overlay.expectLasting();
	});

	test.skipIf(lacks("other ids"))("of a lower file decide before copy-up", async () => {
		// user::rw-, user:1000:r--, group::---, mask::r--, other::---, as the kernel stores them.
		const acl =
			"02000000 01000600ffffffff 02000400e8030000 04000000ffffffff 10000400ffffffff 20000000ffffffff";
		const xattrs = { "system.posix_acl_access": Buffer.from(acl.replaceAll(" ", ""), "hex") };
		await using overlay = await mountLayers([{ a: file("secret", { xattrs }) }]);
		expect(asUser(1000, 1000, () => codeOf(() => readFileSync(overlay.at("a"))))).toBeUndefined();
		expect(asUser(2000, 2000, () => codeOf(() => readFileSync(overlay.at("a"))))).toBe("EACCES");
		expect(codeOf(() => lstatSync(overlay.inUpper("a")))).toBe("ENOENT");
	});

	test.skipIf(lacks("ids in ACLs"))(
		"chmod changes the mask, an ACL that says no more than the mode vanishes",
		async () => {
			await using overlay = await mountLayers([{ a: file("x", { mode: 0o640 }) }]);
			setfacl("-m", "u:1000:rw", overlay.at("a"));
			expect(lstatSync(overlay.at("a")).mode & 0o777).toBe(0o660);
			chmodSync(overlay.at("a"), 0o600);
			expect(getfacl(overlay.at("a"))).toContain("mask::---");
			await overlay.expectLasting();
			await overlay.remount();
			setfacl("-b", overlay.at("a"));
			expect(listxattr(overlay.at("a"))).toEqual([]);
			await overlay.expectLasting();
		},
	);

	test.skipIf(lacks("ids in ACLs"))("default ACLs are handed down", async () => {
		await using overlay = await mountLayers([{ "d/x": "" }]);
		setfacl("-d", "-m", "u:1000:rwx", overlay.at("d"));
		mkdirSync(overlay.at("d/sub"));
		writeFileSync(overlay.at("d/sub/file"), "x");
		expect(getfacl(overlay.at("d/sub"))).toContain("default:user:1000:rwx");
		expect(getfacl(overlay.at("d/sub/file"))).toContain("user:1000:rwx");
		await overlay.expectLasting();
	});

	test.skipIf(lacks("other ids"))(
		"set by a user outside the group, the access ACL takes the setgid bit away, the default ACL does not",
		async () => {
			const shared = () => directory({ mode: 0o2775, uid: 1000, gid: 555 });
			await using overlay = await mountLayers([{ access: shared(), default: shared() }]);
			const acl = Buffer.from("0200000001000700ffffffff04000500ffffffff20000500ffffffff", "hex");
			for (const kind of ["access", "default"]) {
				asUser(1000, 1000, () => setxattr(overlay.at(kind), `system.posix_acl_${kind}`, acl));
			}
			const modes = ["access", "default"].map((kind) => lstatSync(overlay.at(kind)).mode & 0o7777);
			expect(modes).toEqual([0o755, 0o2775]);
			await overlay.expectLasting();
		},
	);

	test.skipIf(lacks("other ids"))("with noacl modes alone decide", async () => {
		await using overlay = await mountLayers([{ a: file("x", { mode: 0o600 }) }], { options: ["noacl"] });
		setfacl("-m", "u:1000:r", overlay.at("a"));
		expect(asUser(1000, 1000, () => codeOf(() => readFileSync(overlay.at("a"))))).toBe("EACCES");
	});
});
