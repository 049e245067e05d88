import { describe, expect, test } from "bun:test";
import {
	constants,
	existsSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { open } from "../harness/descriptor.ts";
import { device, directory, file, symlink, whiteout } from "../harness/layers.ts";
import { asUser, codeOf, getxattr, mknod } from "../harness/native.ts";
import { mountLayers, type Overlay } from "../harness/overlay.ts";
import { lacks, overlayAttributes } from "../harness/setting.ts";

/** One of each kind that can be made, named after its kind, in `directory`. */
function makeEach(directory: string): void {
	writeFileSync(`${directory}/file`, "x");
	mkdirSync(`${directory}/dir`);
	symlinkSync("target", `${directory}/link`);
	mknod(`${directory}/pipe`, 0o010666);
	mknod(`${directory}/sock`, 0o140666);
}
const kinds = ["file", "dir", "link", "pipe", "sock"];

function withUmask<Result>(mask: number, action: () => Result): Result {
	const before = process.umask(mask);
	try {
		return action();
	} finally {
		process.umask(before);
	}
}

const modes = (overlay: Overlay, directory: string) =>
	Object.fromEntries(kinds.map((kind) => [kind, lstatSync(overlay.at(directory, kind)).mode & 0o7777]));

describe("create, mkdir, mknod, symlink", () => {
	test.skipIf(lacks("devices"))("what is made is there, in the upper layer, and lasts", async () => {
		await using overlay = await mountLayers([{ "d/x": "1" }]);
		makeEach(overlay.path);
		makeEach(overlay.at("d"));
		mknod(overlay.at("null"), 0o020660, 1, 3);
		mknod(overlay.at("disk"), 0o060660, 259, 70_000);
		expect(readdirSync(overlay.at("d")).sort()).toEqual([...kinds, "x"].sort());
		expect(lstatSync(overlay.at("disk"), { bigint: true }).rdev).toBe(
			(70_000n & 0xffn) | (259n << 8n) | (0x111n << 20n),
		);
		await overlay.expectLasting();
		expect(existsSync(overlay.inUpper("d/pipe"))).toBeTrue();
	});

	test.skipIf(lacks("other ids"))("the owner is the caller", async () => {
		await using overlay = await mountLayers([{ open: directory({ mode: 0o777 }) }]);
		asUser(1000, 1001, () => makeEach(overlay.at("open")));
		for (const kind of kinds) {
			const { uid, gid } = lstatSync(overlay.at("open", kind));
			expect({ kind, uid, gid }).toEqual({ kind, uid: 1000, gid: 1001 });
		}
		await overlay.expectLasting();
	});

	test("the caller's umask takes bits off", async () => {
		await using overlay = await mountLayers([{}]);
		withUmask(0o027, () => makeEach(overlay.path));
		expect(modes(overlay, ".")).toMatchObject({ file: 0o640, dir: 0o750, pipe: 0o640, sock: 0o640 });
		mkdirSync(overlay.at("open"));
		withUmask(0, () => makeEach(overlay.at("open")));
		expect(modes(overlay, "open")).toMatchObject({ file: 0o666, dir: 0o777, pipe: 0o666, sock: 0o666 });
		await overlay.expectLasting();
	});

	test.skipIf(lacks("other ids"))(
		"a directory with the setgid bit hands down its group, and the bit to directories",
		async () => {
			await using overlay = await mountLayers([{ shared: directory({ mode: 0o2777, gid: 555 }) }]);
			asUser(1000, 1000, () => makeEach(overlay.at("shared")));
			for (const kind of kinds) expect(lstatSync(overlay.at("shared", kind)).gid).toBe(555);
			expect(lstatSync(overlay.at("shared/dir")).mode & 0o2000).toBe(0o2000);
			expect(lstatSync(overlay.at("shared/file")).mode & 0o2000).toBe(0);
			await overlay.expectLasting();
		},
	);

	test.skipIf(lacks("ids in ACLs", "ACLs in the kernel"))(
		"a default ACL decides in place of the umask, and directories inherit it",
		async () => {
			await using overlay = await mountLayers([{ d: directory() }]);
			const acl = "user::rwx,user:1000:rwx,group::r-x,mask::rwx,other::---";
			Bun.spawnSync(["setfacl", "-d", "-m", acl, overlay.at("d")]);
			withUmask(0o077, () => makeEach(overlay.at("d")));
			expect(modes(overlay, "d")).toMatchObject({ file: 0o660, dir: 0o770, pipe: 0o660, sock: 0o660 });
			expect(getxattr(overlay.at("d/dir"), "system.posix_acl_default")).toEqual(
				getxattr(overlay.at("d"), "system.posix_acl_default"),
			);
			expect(getxattr(overlay.at("d/file"), "system.posix_acl_access").length).toBeGreaterThan(4);
			await overlay.expectLasting();
		},
	);

	test("existing names are respected, whichever layer has them", async () => {
		await using overlay = await mountLayers([{ lower: "lower", d: directory() }], {
			upper: { upper: "upper" },
		});
		for (const name of ["lower", "upper", "d"]) {
			expect(codeOf(() => open(overlay.at(name), "wx"))).toBe("EEXIST");
			expect(codeOf(() => mkdirSync(overlay.at(name)))).toBe("EEXIST");
			expect(codeOf(() => symlinkSync("x", overlay.at(name)))).toBe("EEXIST");
			expect(codeOf(() => mknod(overlay.at(name), 0o010666))).toBe("EEXIST");
		}
		expect(readFileSync(overlay.at("lower"), "utf8")).toBe("lower");
		expect(readdirSync(overlay.inUpper())).toEqual(["upper"]);
	});

	test.skipIf(lacks("other ids"))(
		"opening with O_CREAT what exists keeps its owner and mode; O_TRUNC empties it",
		async () => {
			await using overlay = await mountLayers([{ a: file("content", { mode: 0o604, uid: 3 }) }]);
			open(overlay.at("a"), constants.O_CREAT | constants.O_WRONLY).close();
			expect(readFileSync(overlay.at("a"), "utf8")).toBe("content");
			open(overlay.at("a"), "w").close();
			expect(readFileSync(overlay.at("a"), "utf8")).toBe("");
			const { mode, uid } = lstatSync(overlay.at("a"));
			expect([mode & 0o7777, uid]).toEqual([0o604, 3]);
			await overlay.expectLasting();
		},
	);

	test("a missing or unsuitable parent is an error", async () => {
		await using overlay = await mountLayers([{ file: "x" }]);
		for (const [parent, code] of [
			["missing", "ENOENT"],
			["file", "ENOTDIR"],
		] as const) {
			expect(codeOf(() => writeFileSync(overlay.at(parent, "x"), ""))).toBe(code);
			expect(codeOf(() => mkdirSync(overlay.at(parent, "x")))).toBe(code);
			expect(codeOf(() => symlinkSync("t", overlay.at(parent, "x")))).toBe(code);
		}
		expect(readdirSync(overlay.inUpper())).toEqual([]);
	});

	test.skipIf(lacks("other ids"))("the caller needs write permission on the directory", async () => {
		await using overlay = await mountLayers([{ d: directory({ mode: 0o755 }) }]);
		asUser(1000, 1000, () => {
			expect(codeOf(() => writeFileSync(overlay.at("d/x"), ""))).toBe("EACCES");
			expect(codeOf(() => mkdirSync(overlay.at("d/x")))).toBe("EACCES");
		});
		expect(readdirSync(overlay.at("d"))).toEqual([]);
	});

	test("over a whiteout, a file takes its place", async () => {
		await using overlay = await mountLayers([{ "d/gone": whiteout() }, { "d/gone": "old", kept: "x" }], {
			upper: { kept: whiteout() },
		});
		writeFileSync(overlay.at("d/gone"), "new");
		symlinkSync("new", overlay.at("kept"));
		expect(readFileSync(overlay.at("d/gone"), "utf8")).toBe("new");
		await overlay.expectLasting();
		expect(readlinkSync(overlay.inUpper("kept"))).toBe("new");
	});

	test("over a whiteout, a directory is opaque: the old content stays hidden", async () => {
		const old = { "a/old": "1", "a/deep/old": "1", "b/old": "1" };
		await using overlay = await mountLayers([{ b: whiteout() }, old], { upper: { a: whiteout() } });
		mkdirSync(overlay.at("a"));
		mkdirSync(overlay.at("b"));
		mkdirSync(overlay.at("a/deep"));
		expect(readdirSync(overlay.at("a"))).toEqual(["deep"]);
		expect(readdirSync(overlay.at("a/deep"))).toEqual([]);
		expect(readdirSync(overlay.at("b"))).toEqual([]);
		await overlay.expectLasting();
		expect(getxattr(overlay.inUpper("a"), `${overlayAttributes}.overlay.opaque`).toString()).toBe("y");
	});

	test.skipIf(lacks("other ids"))(
		"directories above come along with owner, mode, times and attributes",
		async () => {
			const time = 1_234_567_890_000_000_001n;
			await using overlay = await mountLayers([
				{
					a: directory({ mode: 0o710, uid: 1, gid: 2, time, xattrs: { "user.note": "a" } }),
					"a/b": directory({ mode: 0o1777, uid: 3, time }),
					"a/b/c": directory({ mode: 0o700, time }),
				},
			]);
			const mtime = (name: string) => lstatSync(overlay.at(name), { bigint: true }).mtimeNs;
			writeFileSync(overlay.at("a/b/c/new"), "x");
			expect([mtime("a"), mtime("a/b")]).toEqual([time, time]);
			expect(mtime("a/b/c")).toBeGreaterThan(time);
			await overlay.expectLasting();
			const { mode, uid, gid } = lstatSync(overlay.inUpper("a"));
			expect([mode & 0o7777, uid, gid]).toEqual([0o710, 1, 2]);
			expect(getxattr(overlay.inUpper("a"), "user.note").toString()).toBe("a");
		},
	);

	test("making a name moves the times of its directory", async () => {
		await using overlay = await mountLayers([{ d: directory({ time: 5n }), l: symlink("d") }]);
		for (const make of [() => mkdirSync(overlay.at("d/x")), () => writeFileSync(overlay.at("d/y"), "")]) {
			const before = lstatSync(overlay.at("d"), { bigint: true }).mtimeNs;
			await Bun.sleep(5);
			make();
			expect(lstatSync(overlay.at("d"), { bigint: true }).mtimeNs).toBeGreaterThan(before);
		}
	});

	test.skipIf(lacks("devices"))("a device 0:0 cannot be made: it would hide its own name", async () => {
		await using overlay = await mountLayers([{ null: device("char", 1, 3) }]);
		expect(codeOf(() => mknod(overlay.at("whiteout"), 0o020666, 0, 0))).toBe("EPERM");
		expect(readdirSync(overlay.at("."))).toEqual(["null"]);
	});
});
