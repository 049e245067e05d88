/** Whiteouts, opaque marks, origins and overrides that no overlay writes: garbage, endless, in circles, out of range. */

import { describe, expect, test } from "bun:test";
import {
	appendFileSync,
	chmodSync,
	existsSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import {
	type Attributes,
	type Description,
	device,
	directory,
	fifo,
	file,
	symlink,
	temporaryTree,
} from "../harness/layers.ts";
import { mountOverlay } from "../harness/mount.ts";
import { codeOf, getxattr, listxattr, mount, setxattr } from "../harness/native.ts";
import { mountLayers, type Overlay } from "../harness/overlay.ts";
import { lacks, overlayAttributes } from "../harness/setting.ts";
import { snapshot } from "../harness/snapshot.ts";

const largest = 65536;
/** Values for any attribute that an overlay keeps something in. */
const values: Readonly<Record<string, Buffer>> = {
	empty: Buffer.alloc(0),
	"a NUL": Buffer.alloc(1),
	"all bits": Buffer.alloc(64, 0xff),
	"a long word": Buffer.from("y".repeat(2000)),
	"the right letter and more": Buffer.from("yes"),
	"the right letter and a NUL": Buffer.from("y\0"),
	"a path out": Buffer.from("../../../../../../etc/passwd\0"),
	"an absolute path": Buffer.from("/etc/passwd\0"),
	"a path with NULs": Buffer.from("a\0b\0"),
	"a path without an end": Buffer.from("d/".repeat(1000)),
	"a header alone": Buffer.from([0, 0xfb]),
	"a header, and lengths that lie": Buffer.concat([
		Buffer.from([0, 0xfb, 0xff, 0, 0x81]),
		Buffer.alloc(144, 0x41),
	]),
};
const keptMarks = ["opaque", "origin", "impure", "upper", "nlink", "whiteout", "uuid"];
const attributes = [
	...keptMarks.map((mark) => `trusted.overlay.${mark}`),
	...keptMarks.map((mark) => `user.overlay.${mark}`),
	"user.fuseoverlayfs.opaque",
	"user.fuseoverlayfs.origin",
	"user.fuseoverlayfs.impure",
	"user.fuseoverlayfs.override_stat",
];
const all = (value: Buffer): Attributes => ({
	xattrs: Object.fromEntries(
		// A symlink or FIFO takes none of a user's; the directory and the file take both.
		attributes.map((name) => [name, value]),
	),
});

/** Every way to look at a tree and to change it. */
function use(overlay: Overlay): void {
	snapshot(overlay.path);
	appendFileSync(overlay.at("a"), " changed");
	chmodSync(overlay.at("d"), 0o750);
	renameSync(overlay.at("d/x"), overlay.at("moved"));
	unlinkSync(overlay.at("gone"));
	mkdirSync(overlay.at("gone"));
	expect(readdirSync(overlay.at("gone"))).toEqual([]);
	expect(readFileSync(overlay.at("moved"), "utf8")).toBe("x");
}

describe.skipIf(lacks("trusted attributes"))("attributes that overlays keep marks in", () => {
	test.each(Object.keys(values))(
		"with %s for a value hide nothing, redirect nothing, and are not seen",
		async (key) => {
			const value = values[key] as Buffer;
			const described: Description = {
				a: file("a", all(value)),
				d: directory(all(value)),
				"d/x": file("x", all(value)),
				gone: file("gone", all(value)),
			};
			const upper = { d: directory(all(value)), "d/own": file("own", all(value)), b: file("b", all(value)) };
			// Where there is room for all of them on one inode.
			using disk = temporaryTree();
			mount("tmpfs", disk.path, "tmpfs", 0, "size=16m");
			await using overlay = await mountLayers([described, { "d/below": "below" }], {
				upper,
				base: disk.path,
			});
			expect(readdirSync(overlay.at("d")).sort()).toEqual(["below", "own", "x"]);
			expect(readFileSync(overlay.at("d/below"), "utf8")).toBe("below");
			for (const name of [".", "a", "b", "d", "d/x", "d/own"])
				expect(listxattr(overlay.at(name))).toEqual([]);
			use(overlay);
			expect(readFileSync(overlay.at("a"), "utf8")).toBe("a changed");
			for (const name of ["a", "b", "d", "moved", "gone"]) expect(listxattr(overlay.at(name))).toEqual([]);
			const seen = snapshot(overlay.path);
			await overlay.remount();
			expect(snapshot(overlay.path)).toEqual(seen);
		},
	);

	test.each(Object.keys(values))(
		"that tell of content elsewhere keep what has them from being used, with %s for a value",
		async (key) => {
			const value = values[key] as Buffer;
			const of = (mark: string): Attributes => ({
				xattrs: { [`trusted.overlay.${mark}`]: value },
			});
			const described: Description = {
				a: file("a", of("metacopy")),
				d: directory(of("redirect")),
				"d/x": "x",
				passwd: "passwd",
			};
			using disk = temporaryTree();
			mount("tmpfs", disk.path, "tmpfs", 0, "size=16m");
			await using overlay = await mountLayers([described, { "d/below": "below" }], { base: disk.path });
			expect(readdirSync(overlay.path).sort()).toEqual(["a", "d", "passwd"]);
			for (const action of [() => readFileSync(overlay.at("a")), () => appendFileSync(overlay.at("a"), "+")])
				expect(codeOf(action)).toBe("EIO");
			// A word may be a name: of one that no layer has.
			const isName = /^[^/\0]{1,255}$/.test(value.toString("latin1"));
			for (const action of [
				() => readdirSync(overlay.at("d")),
				() => readFileSync(overlay.at("d/x")),
				() => writeFileSync(overlay.at("d/new"), ""),
			])
				expect(codeOf(action)).toBe(isName ? "EIO" : "EINVAL");
			expect(readFileSync(overlay.at("passwd"), "utf8")).toBe("passwd");
		},
	);

	test.skipIf(lacks("mounting"))("may have values of 64 KiB, where a file system takes them", async () => {
		using tree = temporaryTree();
		mount("tmpfs", tree.layer("disk"), "tmpfs", 0, "size=64m");
		const longest = Buffer.alloc(largest, "y");
		const marked = (name: string) => ({ xattrs: { [name]: longest } });
		const described: Description = Object.fromEntries(
			attributes.flatMap((name, index) => [
				[`d${index}`, directory(marked(name))],
				[`d${index}/x`, file("x", marked(name))],
			]),
		);
		const request = {
			lower: [
				tree.layer("disk/lower1", described),
				tree.layer("disk/lower2", { "d0/below": "", "d1/below": "" }),
			],
			upper: tree.layer("disk/upper", { "d1/own": file("own", marked("trusted.overlay.origin")) }),
			work: tree.layer("disk/work"),
			mountpoint: tree.layer("merged"),
		};
		await using merged = await mountOverlay(request);
		expect(readdirSync(merged.at("d0")).sort()).toEqual(["below", "x"]);
		for (const [index] of attributes.entries()) {
			expect(listxattr(merged.at(`d${index}/x`))).toEqual([]);
			appendFileSync(merged.at(`d${index}/x`), "+");
			expect(readFileSync(merged.at(`d${index}/x`), "utf8")).toBe("x+");
		}
		// A user's own of that size come along.
		setxattr(merged.at("d0/x"), "user.large", longest);
		expect(getxattr(merged.at("d0/x"), "user.large").equals(longest)).toBeTrue();
	});

	test("lists of 64 KiB of names are read, and copied up", async () => {
		using tree = temporaryTree();
		mount("tmpfs", tree.layer("disk"), "tmpfs", 0, "size=64m");
		const lower = tree.layer("disk/lower", { a: "a" });
		const names = Array.from(
			{ length: 255 },
			(_, index) => `user.${String(index).padStart(3, "0")}${"n".repeat(247)}`,
		);
		for (const name of names) setxattr(`${lower}/a`, name, "x");
		const request = {
			lower: [lower],
			upper: tree.layer("disk/upper"),
			work: tree.layer("disk/work"),
			mountpoint: tree.layer("merged"),
		};
		await using merged = await mountOverlay(request);
		appendFileSync(merged.at("a"), "+");
		expect(listxattr(merged.at("a"))).toEqual(names);
	});
});

describe("origins", () => {
	const numberOf = (overlay: Overlay, name: string) => lstatSync(overlay.at(name)).ino;
	const leadingTo = (path: string): Attributes => ({ xattrs: { "user.fuseoverlayfs.origin": `${path}\0` } });

	test("that lead to each other, to a parent, to itself, to a directory, or out make a number and nothing else", async () => {
		const lower = { "d/a": "lower a", "d/b": "lower b", link: symlink("/etc"), pipe: fifo() };
		const upper: Description = {
			d: directory({ xattrs: { [`${overlayAttributes}.overlay.impure`]: "y" } }),
			"d/a": file("a", leadingTo("d/b")),
			"d/b": file("b", leadingTo("d/a")),
			"d/parent": file("parent", leadingTo("d")),
			"d/root": file("root", leadingTo(".")),
			"d/dots": file("dots", leadingTo("../../../../../../../../etc/passwd")),
			"d/absolute": file("absolute", leadingTo("/etc/passwd")),
			"d/through": file("through", leadingTo("link/passwd")),
			"d/pipe": file("pipe", leadingTo("pipe")),
			"d/self": file("self", leadingTo("d/self")),
			"d/below": file("below", leadingTo("d/a/b/c")),
			"d/sub": directory(leadingTo("d/sub/sub")),
		};
		await using overlay = await mountLayers([lower], { upper });
		const outside = lstatSync("/etc/passwd").ino;
		const names = readdirSync(overlay.at("d")).sort();
		expect(names).toEqual(
			["a", "absolute", "below", "b", "dots", "parent", "pipe", "root", "self", "sub", "through"].sort(),
		);
		for (const name of names.filter((other) => other !== "sub")) {
			expect(readFileSync(overlay.at("d", name), "utf8")).toBe(name);
			expect(numberOf(overlay, `d/${name}`)).not.toBe(outside);
			appendFileSync(overlay.at("d", name), "+");
		}
		await overlay.expectLasting({ debian: false });
	});
});

describe("override_stat", () => {
	const broken = [
		"",
		"\0",
		"0:0:0644\0:file",
		"-1:-1:-1",
		"4294967296:0:0644",
		"99999999999999999999:0:0644",
		"0:0:99999999999999999999",
		"0:0:0888",
		"0:0:0644:char-4096-0",
		"0:0:0644:block-1-99999999999999999999",
		"0:0:0644:door",
		"0x0:0:0644",
		" 0:0:0644",
		"0:0:0644\n",
		"1e3:0:0644",
		`0:0:0644:${"file".repeat(1000)}`,
	];
	const named = (value: string): Attributes => ({
		mode: 0o640,
		uid: 7,
		xattrs: { "user.containers.override_stat": value },
	});

	test.skipIf(lacks("other ids"))(
		"that cannot be understood leaves the inode's own owner and mode",
		async () => {
			const described: Description = {
				...Object.fromEntries(broken.map((value, index) => [`f${index}`, file("x", named(value))])),
				"d/x": "x",
			};
			for (const options of [["xattr_permissions=2"], []]) {
				const upper = { own: file("own", named("99999999999:0:0644")) };
				using tree = temporaryTree();
				const layers = tree.layers([described], upper);
				setxattr(tree.join("lower1"), "user.containers.override_stat", "0:0:0755:dir");
				await using merged = await mountOverlay({ ...layers, options });
				for (const index of broken.keys()) {
					const { uid, mode } = lstatSync(merged.at(`f${index}`));
					expect({ index, uid, mode }).toEqual({ index, uid: 7, mode: 0o100640 });
					appendFileSync(merged.at(`f${index}`), "+");
					expect(readFileSync(merged.at(`f${index}`), "utf8")).toBe("x+");
				}
			}
		},
	);

	test.skipIf(lacks("other ids"))("that cannot be understood is reported, but not without end", async () => {
		await using overlay = await mountLayers([{ a: file("x", named("broken")) }], { options: ["timeout=0"] });
		setxattr(overlay.inLower(), "user.containers.override_stat", "0:0:0755:dir");
		await overlay.remount();
		for (let turn = 0; turn < 500; turn++) lstatSync(overlay.at("a"));
		const complaints = overlay.mount.log.split("\n").filter((line) => line.includes("broken override_stat"));
		expect(complaints).toHaveLength(100);
		expect(complaints.at(-1)).toEndWith("further ones are not reported");
	});

	test.skipIf(lacks("other ids"))("as large as it may be is shown, and copied up", async () => {
		const value = "4294967294:4294967294:7777:file";
		await using overlay = await mountLayers([{ a: file("x", named(value)) }], {
			options: ["xattr_permissions=2"],
			readOnly: false,
		});
		// Without a mark at its root the layer's attributes mean nothing.
		expect(lstatSync(overlay.at("a")).uid).toBe(7);
		setxattr(overlay.inLower(), "user.containers.override_stat", "0:0:0755:dir");
		await overlay.remount();
		const shown = () => {
			const { uid, gid, mode } = lstatSync(overlay.at("a"));
			return { uid, gid, mode: mode.toString(8) };
		};
		expect(shown()).toEqual({ uid: 4294967294, gid: 4294967294, mode: "107777" });
		chmodSync(overlay.at("a"), 0o600);
		expect(shown()).toEqual({ uid: 4294967294, gid: 4294967294, mode: "100600" });
	});

	test.skipIf(lacks("devices"))("of a device 0:0 is no whiteout, and copying it up makes none", async () => {
		const described = { a: file("", named("0:0:0600:char-0-0")), b: "b" };
		await using overlay = await mountLayers([described]);
		setxattr(overlay.inLower(), "user.containers.override_stat", "0:0:0755:dir");
		await overlay.remount();
		expect(lstatSync(overlay.at("a")).isCharacterDevice()).toBeTrue();
		expect(codeOf(() => chmodSync(overlay.at("a"), 0o644))).toBe("EPERM");
		expect(codeOf(() => renameSync(overlay.at("a"), overlay.at("c")))).toBe("EPERM");
		expect(readdirSync(overlay.path).sort()).toEqual(["a", "b"]);
		await overlay.remount();
		expect(readdirSync(overlay.path).sort()).toEqual(["a", "b"]);
		unlinkSync(overlay.at("a"));
		expect(readdirSync(overlay.path)).toEqual(["b"]);
	});
});

describe.skipIf(lacks("devices"))("whiteouts that are none", () => {
	test("devices of other numbers or kinds are shown, and are copied up as they are", async () => {
		const odd = {
			"char-0-1": device("char", 0, 1),
			"char-1-0": device("char", 1, 0),
			"block-0-0": device("block", 0, 0),
			"char-0-256": device("char", 0, 256),
			"char-256-0": device("char", 256, 0),
			pipe: fifo(),
		};
		const below = Object.fromEntries(Object.keys(odd).map((name) => [name, "below"]));
		await using overlay = await mountLayers([odd, below]);
		for (const turn of ["lower", "copied up"]) {
			const shown = readdirSync(overlay.path).sort();
			expect({ turn, shown }).toEqual({ turn, shown: Object.keys(odd).sort() });
			for (const name of Object.keys(odd)) expect(lstatSync(overlay.at(name)).isFile()).toBeFalse();
			for (const name of Object.keys(odd)) chmodSync(overlay.at(name), 0o640);
		}
		await overlay.expectLasting({ debian: false });
	});

	test("names `.wh..wh.*` are not seen, hide nothing, and do not keep a directory from being removed", async () => {
		const names = [
			".wh..wh.",
			".wh..wh.aufs",
			".wh..wh.plnk",
			".wh..wh.orph",
			".wh..wh..tmp",
			".wh..wh..wh.a",
			".wh..wh.+",
		];
		const marked = Object.fromEntries([
			...names.map((name) => [`d/${name}`, "x"]),
			...names.map((name) => [`e/${name}/deeper/x`, "x"]),
		]);
		await using overlay = await mountLayers(
			[
				{ ...marked, "d/own": "own" },
				{ "d/a": "a", "d/plnk": "plnk", "e/aufs": "aufs" },
			],
			{ upper: marked },
		);
		expect(
			readdirSync(overlay.at("d"))
				.filter((name) => name !== ".wh.")
				.sort(),
		).toEqual(["a", "own", "plnk"]);
		expect(existsSync(overlay.at("d/.wh..wh.plnk"))).toBeFalse();
		rmSync(overlay.at("d"), { recursive: true });
		rmSync(overlay.at("e"), { recursive: true });
		expect(readdirSync(overlay.path)).toEqual([]);
		await overlay.remount();
		expect(readdirSync(overlay.path)).toEqual([]);
	});

	test("a name `.wh.` alone, and `.wh...` of dots, hide nothing", async () => {
		const odd = { ".wh.": "x", ".wh..": "x", ".wh...": "x", "d/.wh.": "x", "d/.wh..": "x", "d/.wh...": "x" };
		await using overlay = await mountLayers([odd, { "d/a": "a", b: "b" }], { upper: odd });
		expect(readdirSync(overlay.path).sort()).toEqual(["b", "d"]);
		expect(readdirSync(overlay.at("d"))).toEqual(["a"]);
		writeFileSync(overlay.at("d/a"), "changed");
		rmSync(overlay.at("d"), { recursive: true });
		expect(readdirSync(overlay.path)).toEqual(["b"]);
	});
});
