/**
 * Files and directories whose mode keeps their own owner out. The owner may change their attributes, remove and replace
 * them all the same, and so an ordinary user's daemon must be able to, which mode bits bind as they bind its user.
 */
import { describe, expect, test } from "bun:test";
import {
	chmodSync,
	closeSync,
	fstatSync,
	fsyncSync,
	linkSync,
	lstatSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmdirSync,
	unlinkSync,
	utimesSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { open } from "../harness/descriptor.ts";
import { directory, fifo, file, fillLayer, temporaryTree } from "../harness/layers.ts";
import { mountOverlay } from "../harness/mount.ts";
import { codeOf, getxattr, RENAME_EXCHANGE, renameat2 } from "../harness/native.ts";
import { mountLayers, type Overlay } from "../harness/overlay.ts";
import { lacks } from "../harness/setting.ts";

const modeOf = (path: string) => (lstatSync(path).mode & 0o7777).toString(8);
const modes = (overlay: Overlay, ...names: string[]) => names.map((name) => modeOf(overlay.at(name)));
const attributed = { "user.x": "value" };
/** user::r--, user:0:r--, group::r--, mask::r--, other::r--. */
const closedAcl = Buffer.from(
	"02000000 01000400ffffffff 0200040000000000 04000400ffffffff 10000400ffffffff 20000400ffffffff".replaceAll(
		" ",
		"",
	),
	"hex",
);
/** user::rwx, group::r-x, other::---. */
const handedDown = Buffer.from(
	"02000000 01000700ffffffff 04000500ffffffff 20000000ffffffff".replaceAll(" ", ""),
	"hex",
);

describe("copying up", () => {
	test("a file that its owner may not write to keeps attributes, and its inode number for good", async () => {
		await using overlay = await mountLayers([{ f: file("x", { mode: 0o444, xattrs: attributed }) }]);
		const { ino } = lstatSync(overlay.at("f"));
		chmodSync(overlay.at("f"), 0o400);
		await overlay.remount();
		expect(getxattr(overlay.at("f"), "user.x").toString()).toBe("value");
		expect([lstatSync(overlay.at("f")).ino, modeOf(overlay.at("f"))]).toEqual([ino, "400"]);
		chmodSync(overlay.at("f"), 0o600);
		writeFileSync(overlay.at("f"), "y");
		expect(readFileSync(overlay.at("f"), "utf8")).toBe("y");
	});

	test.skipIf(lacks("ACLs in the kernel"))(
		"a file whose ACL keeps its owner from writing keeps the ACL and other attributes",
		async () => {
			const acl = { "system.posix_acl_access": closedAcl };
			await using overlay = await mountLayers([{ f: file("x", { xattrs: { ...acl, ...attributed } }) }]);
			utimesSync(overlay.at("f"), 1, 1);
			await overlay.remount();
			expect(getxattr(overlay.at("f"), "system.posix_acl_access")).toEqual(closedAcl);
			expect(getxattr(overlay.at("f"), "user.x").toString()).toBe("value");
			expect(modes(overlay, "f")).toEqual(["444"]);
		},
	);

	test.each(["555", "333", "111", "0"])("a directory of mode %s keeps it", async (mode) => {
		const d = directory({ mode: Number.parseInt(mode, 8) });
		await using overlay = await mountLayers([{ d, "d/f": "x" }]);
		utimesSync(overlay.at("d"), 1, 1);
		expect(modes(overlay, "d")).toEqual([mode]);
		await overlay.remount();
		expect(modes(overlay, "d")).toEqual([mode]);
	});

	test("a directory that takes no new names keeps mode, attributes and content", async () => {
		const d = directory({ mode: 0o555, xattrs: attributed });
		await using overlay = await mountLayers([{ d, "d/f": "x" }]);
		utimesSync(overlay.at("d"), 1, 1);
		await overlay.remount();
		expect([modeOf(overlay.at("d")), readdirSync(overlay.at("d"))]).toEqual(["555", ["f"]]);
		expect(getxattr(overlay.at("d"), "user.x").toString()).toBe("value");
	});

	test("what is in directories that take no new names leaves these as they were", async () => {
		const closed = { mode: 0o555, time: 10n ** 18n };
		const described = {
			d: directory(closed),
			"d/e": directory(closed),
			"d/e/f": file("x", { mode: 0o444, xattrs: attributed }),
			"d/e/open": file("x", { mode: 0o644 }),
			"d/e/pipe": fifo({ mode: 0o444 }),
		};
		await using overlay = await mountLayers([described]);
		const inode = lstatSync(overlay.at("d/e/open")).ino;
		chmodSync(overlay.at("d/e/f"), 0o644);
		writeFileSync(overlay.at("d/e/open"), "written");
		chmodSync(overlay.at("d/e/pipe"), 0o600);
		const expectRight = () => {
			expect(modes(overlay, "d", "d/e", "d/e/f", "d/e/pipe")).toEqual(["555", "555", "644", "600"]);
			expect(["d", "d/e"].map((name) => lstatSync(overlay.at(name)).mtimeMs)).toEqual([10 ** 12, 10 ** 12]);
			expect(readFileSync(overlay.at("d/e/open"), "utf8")).toBe("written");
			expect(lstatSync(overlay.at("d/e/open")).ino).toBe(inode);
			const listed = readdirSync(overlay.at("d/e"), { withFileTypes: true }).map(({ name }) => name);
			expect(listed.sort()).toEqual(["f", "open", "pipe"]);
		};
		expectRight();
		await overlay.remount();
		expectRight();
	});
});

describe("making", () => {
	test.each(["555", "311", "111", "0"])(
		"a directory of mode %s over a lower one hides that",
		async (mode) => {
			await using overlay = await mountLayers([{ "d/f": "x" }]);
			unlinkSync(overlay.at("d/f"));
			rmdirSync(overlay.at("d"));
			mkdirSync(overlay.at("d"), Number.parseInt(mode, 8));
			expect(modes(overlay, "d")).toEqual([mode]);
			await overlay.remount();
			expect(modes(overlay, "d")).toEqual([mode]);
			chmodSync(overlay.at("d"), 0o700);
			expect(readdirSync(overlay.at("d"))).toEqual([]);
		},
	);

	test("a file of mode 0444 can be written by whom it is made for, over a removed one, too", async () => {
		await using overlay = await mountLayers([{ f: "x", d: directory() }]);
		unlinkSync(overlay.at("f"));
		for (const name of ["f", "d/new"]) {
			using made = open(overlay.at(name), "wx", 0o444);
			writeSync(made.fd, "content");
			fsyncSync(made.fd);
		}
		await overlay.remount();
		for (const name of ["f", "d/new"])
			expect([readFileSync(overlay.at(name), "utf8"), modeOf(overlay.at(name))]).toEqual(["content", "444"]);
	});

	test.skipIf(lacks("ACLs in the kernel"))(
		"a directory that its owner may not list hands down its default ACL",
		async () => {
			const acl = { "system.posix_acl_default": handedDown };
			const d = directory({ mode: 0o311, xattrs: acl });
			await using overlay = await mountLayers([{ "d/made": "removed" }], { upper: { d } });
			unlinkSync(overlay.at("d/made"));
			mkdirSync(overlay.at("d/made"), 0o777);
			expect(modes(overlay, "d", "d/made")).toEqual(["311", "750"]);
			expect(getxattr(overlay.at("d/made"), "system.posix_acl_default")).toEqual(handedDown);
		},
	);

	test("with xattr_permissions=2, whatever of closed modes", async () => {
		const lower = {
			d: directory({ mode: 0o555 }),
			"d/f": file("x", { mode: 0o444, xattrs: attributed }),
			gone: "x",
		};
		await using overlay = await mountLayers([lower], { options: ["xattr_permissions=2"] });
		unlinkSync(overlay.at("gone"));
		mkdirSync(overlay.at("gone"), 0o555);
		mkdirSync(overlay.at("new"), 0);
		closeSync(openSync(overlay.at("file"), "wx", 0o444));
		chmodSync(overlay.at("d/f"), 0o400);
		const expected = ["555", "400", "555", "0", "444"];
		expect(modes(overlay, "d", "d/f", "gone", "new", "file")).toEqual(expected);
		await overlay.remount();
		expect(modes(overlay, "d", "d/f", "gone", "new", "file")).toEqual(expected);
		expect(getxattr(overlay.at("d/f"), "user.x").toString()).toBe("value");
	});
});

describe("removing and renaming", () => {
	test("a removed directory that is open keeps the mode that it had", async () => {
		await using overlay = await mountLayers([{ "d/f": "x" }]);
		using handle = open(overlay.at("d"));
		unlinkSync(overlay.at("d/f"));
		chmodSync(overlay.at("d"), 0o600);
		rmdirSync(overlay.at("d"));
		expect(fstatSync(handle.fd).mode & 0o7777).toBe(0o600);
	});

	test("a directory whose attributes its owner may not read is replaced by another", async () => {
		const closed = directory({ mode: 0o311, xattrs: attributed });
		await using overlay = await mountLayers([{ a: "a" }], { upper: { closed, other: directory() } });
		renameSync(overlay.at("other"), overlay.at("closed"));
		expect(readdirSync(overlay.path).sort()).toEqual(["a", "closed"]);
		await overlay.remount();
		expect(modes(overlay, "closed")).toEqual(["755"]);
		expect(readdirSync(overlay.at("closed"))).toEqual([]);
	});

	/** Directories that hold nothing but whiteouts, of which `both` is copied up, `upper` new, all closed. */
	async function mountClosed(mode: number, options: readonly string[] = []): Promise<Overlay> {
		const lower = { "both/f": "x", "both/d/f": "x", gone: "x", "under/f": "x" };
		const overlay = await mountLayers([lower], { options });
		unlinkSync(overlay.at("both/f"));
		unlinkSync(overlay.at("both/d/f"));
		rmdirSync(overlay.at("both/d"));
		unlinkSync(overlay.at("under/f"));
		rmdirSync(overlay.at("under"));
		mkdirSync(overlay.at("upper"));
		for (const name of ["both", "upper"]) chmodSync(overlay.at(name), mode);
		return overlay;
	}

	test.each(["555", "333"])(
		"directories of mode %s that look empty are removed, and leave nothing",
		async (mode) => {
			await using overlay = await mountClosed(Number.parseInt(mode, 8));
			for (const name of ["both", "upper"]) rmdirSync(overlay.at(name));
			expect(readdirSync(overlay.path)).toEqual(["gone"]);
			await overlay.remount();
			expect(readdirSync(overlay.path)).toEqual(["gone"]);
			expect(readdirSync(`${overlay.layers.work}/work`).filter((name) => name !== "#whiteout")).toEqual([]);
			mkdirSync(overlay.at("both"));
			expect(readdirSync(overlay.at("both"))).toEqual([]);
		},
	);

	test("closed directories that a crash has left in the workdir are no obstacle to mounting", async () => {
		using tree = temporaryTree();
		const layers = tree.layers([{ f: "x" }]);
		const closed = { mode: 0o555 };
		const left = {
			"#1": directory(closed),
			"#1/d": directory(closed),
			"#1/d/f": "x",
			"#2": directory({ mode: 0 }),
		};
		fillLayer(`${layers.work}/work`, { ...left, "#2/f": "x" });
		await using overlay = await mountOverlay(layers);
		expect(readdirSync(overlay.path)).toEqual(["f"]);
		expect(readdirSync(`${layers.work}/work`).filter((name) => name !== "#whiteout")).toEqual([]);
	});

	test("a closed directory takes the name of a removed one, which stays hidden", async () => {
		await using overlay = await mountClosed(0o555);
		renameSync(overlay.at("upper"), overlay.at("under"));
		await overlay.remount();
		expect(modes(overlay, "under")).toEqual(["555"]);
		expect(readdirSync(overlay.at("under"))).toEqual([]);
	});

	test("a closed directory is replaced by another", async () => {
		await using overlay = await mountClosed(0o555);
		mkdirSync(overlay.at("other"), 0o555);
		renameSync(overlay.at("upper"), overlay.at("both"));
		renameSync(overlay.at("other"), overlay.at("both"));
		await overlay.remount();
		expect(readdirSync(overlay.path).sort()).toEqual(["both", "gone"]);
		expect(readdirSync(overlay.at("both"))).toEqual([]);
		expect(modes(overlay, "both")).toEqual(["555"]);
	});

	test("closed directories change places", async () => {
		await using overlay = await mountClosed(0o555);
		mkdirSync(overlay.at("under"), 0o511);
		renameat2(overlay.at("upper"), overlay.at("under"), RENAME_EXCHANGE);
		await overlay.remount();
		expect(modes(overlay, "upper", "under")).toEqual(["511", "555"]);
		expect(readdirSync(overlay.at("under"))).toEqual([]);
	});

	test("a file of a closed directory can be linked elsewhere", async () => {
		await using overlay = await mountLayers([
			{ d: directory({ mode: 0o555 }), "d/f": file("x", { mode: 0o444 }) },
		]);
		linkSync(overlay.at("d/f"), overlay.at("g"));
		expect(codeOf(() => readFileSync(overlay.at("g")))).toBeUndefined();
		expect(modes(overlay, "d", "g")).toEqual(["555", "444"]);
	});
});
