/** Overlays whose layers lie in another mount of ours, as with containers in containers. */
import { describe, expect, test } from "bun:test";
import {
	existsSync,
	linkSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmdirSync,
	rmSync,
	symlinkSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { changeable, changeMuch, expectChanged } from "../harness/changes.ts";
import { directory, file, fillLayer, temporaryTree } from "../harness/layers.ts";
import { mountKernelOverlay, mountOverlay, type OverlayMount } from "../harness/mount.ts";
import { codeOf, getxattr, listxattr, mknod, removexattr, setxattr } from "../harness/native.ts";
import { mountLayers, type Overlay } from "../harness/overlay.ts";
import { lacks, overlayAttributes } from "../harness/setting.ts";
import { differences, type Snapshot, snapshot } from "../harness/snapshot.ts";

const read = (path: string) => readFileSync(path, "utf8");

/** The formats in which an overlay in a mount of ours may keep its whiteouts and marks: what users of ours can make. */
const environments = { devices: {}, files: { FUSE_OVERLAYFS_DISABLE_OVL_WHITEOUT: "1" } };

/** An overlay, and above it others, each with its upper layer and workdir in the mount of the one before. */
class Nested implements AsyncDisposable {
	readonly base: Overlay;
	readonly mounts: readonly OverlayMount[];

	private constructor(base: Overlay, mounts: readonly OverlayMount[]) {
		this.base = base;
		this.mounts = mounts;
	}

	static async of(depth: number, format: keyof typeof environments, options: string[] = []): Promise<Nested> {
		const environment = environments[format];
		const base = await mountLayers([{ below: "below" }], { environment, options });
		const mounts: OverlayMount[] = [];
		let under = base.path;
		for (let level = 2; level <= depth; level++) {
			for (const name of ["upper", "work"]) mkdirSync(`${under}/${name}`);
			const request = {
				lower: [base.tree.layer(`lower-of-${level}`, changeable)],
				upper: `${under}/upper`,
				work: `${under}/work`,
				mountpoint: base.tree.layer(`merged-${level}`),
				options,
			};
			const mount = await mountOverlay(request);
			mounts.push(mount);
			under = mount.path;
		}
		return new Nested(base, mounts);
	}

	get outermost(): OverlayMount {
		return this.mounts.at(-1) as OverlayMount;
	}

	/** What every mount shows, but for the workdirs, from the innermost outwards. */
	snapshots(): Snapshot[] {
		return [this.base.path, ...this.mounts.map(({ path }) => path)].map((path) => {
			const entries = Object.entries(snapshot(path));
			return Object.fromEntries(entries.filter(([name]) => !name.endsWith("work/work")));
		});
	}

	/** From the outermost inwards, and back. */
	async remount(): Promise<void> {
		for (const mount of [...this.mounts].reverse()) await mount.unmount();
		await this.base.remount();
		for (const mount of this.mounts) await mount.remount();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const mount of [...this.mounts].reverse()) await mount[Symbol.asyncDispose]();
		await this.base[Symbol.asyncDispose]();
	}
}

describe.each([
	["two deep", 2, "devices"],
	["three deep", 3, "devices"],
	["two deep, the innermost with `.wh.` files", 2, "files"],
	["three deep, the innermost with `.wh.` files", 3, "files"],
] as const)("%s", (_, depth, format) => {
	test("all that is changed in the outermost is there after all were mounted anew", async () => {
		await using nested = await Nested.of(depth, format);
		const at = (name: string) => nested.outermost.at(name);
		changeMuch(at);
		expectChanged(at);
		const before = nested.snapshots();
		await nested.remount();
		expectChanged(at);
		const after = nested.snapshots();
		expect(before.map((tree, index) => differences(tree, after[index] ?? {}))).toEqual(before.map(() => []));
	});

	test("what was changed in one mount is changed back in the next", async () => {
		await using nested = await Nested.of(depth, format);
		const at = (name: string) => nested.outermost.at(name);
		changeMuch(at);
		await nested.remount();
		rmdirSync(at("gone"));
		writeFileSync(at("gone"), "back");
		writeFileSync(at("moved"), "back");
		mkdirSync(at("removed"));
		rmSync(at("replaced"), { recursive: true });
		rmSync(at("merged"), { recursive: true });
		renameSync(at("elsewhere"), at("replaced"));
		await nested.remount();
		expect(readdirSync(nested.outermost.path).sort()).toEqual([
			"changed",
			"gone",
			"link",
			"moved",
			"removed",
			"replaced",
			"second",
		]);
		expect([readdirSync(at("removed")), read(at("gone")), read(at("replaced"))]).toEqual([
			[],
			"back",
			"moved",
		]);
	});
});

describe("layers of another overlay in a mount of ours", () => {
	test("its upper layer may have content in our lower one: its directories are emptied and replaced", async () => {
		await using inner = await mountLayers([
			{ "upper/d/.wh..wh.+hidden": "", "upper/d/sub/own": "own", "upper/target/.wh..wh.+x": "" },
		]);
		mkdirSync(inner.at("work"));
		const below = inner.tree.layer("below", { "d/hidden": "x", "d/shown": "x", "target/x": "x" });
		const request = {
			lower: [below],
			upper: inner.at("upper"),
			work: inner.at("work"),
			mountpoint: inner.tree.layer("outer"),
		};
		await using outer = await mountOverlay(request);
		expect([readdirSync(outer.at("d")).sort(), readdirSync(outer.at("target"))]).toEqual([
			["shown", "sub"],
			[],
		]);
		rmSync(outer.at("d"), { recursive: true });
		mkdirSync(outer.at("from"));
		writeFileSync(outer.at("from/y"), "y");
		renameSync(outer.at("from"), outer.at("target"));
		expect(readdirSync(outer.path)).toEqual(["target"]);
		await outer.unmount();
		await inner.remount();
		await outer.remount();
		expect([readdirSync(outer.path), readdirSync(outer.at("target"))]).toEqual([["target"], ["y"]]);
	});

	test.skipIf(lacks("trusted attributes"))("may lie in kernel overlayfs, too", async () => {
		using tree = temporaryTree();
		const inner = tree.layers([{ "upper/d/sub/own": "own", "upper/d/.wh.hidden": "", "work/.keep": "" }]);
		const kernel = mountKernelOverlay(inner);
		try {
			const request = {
				lower: [tree.layer("below", { ...changeable, "d/hidden": "x" })],
				upper: `${kernel.path}/upper`,
				work: `${kernel.path}/work`,
				mountpoint: tree.layer("outer"),
			};
			await using outer = await mountOverlay(request);
			expect(readdirSync(outer.at("d"))).toEqual(["sub"]);
			rmSync(outer.at("d"), { recursive: true });
			changeMuch((name) => outer.at(name));
			await outer.remount();
			expectChanged((name) => outer.at(name));
			await outer.unmount();
		} finally {
			kernel[Symbol.dispose]();
		}
	});

	test("may be lower ones of several, and whiteouts in them count", async () => {
		await using inner = await mountLayers([{}]);
		fillLayer(inner.at("one"), { ".wh.a": "", "d/.wh..wh..opq": "", "d/one": "one" });
		fillLayer(inner.at("two"), { a: "a", b: "b", "d/two": "two" });
		await inner.remount();
		const request = {
			lower: [inner.at("one"), inner.at("two")],
			mountpoint: inner.tree.layer("outer"),
		};
		await using outer = await mountOverlay(request);
		expect([readdirSync(outer.path).sort(), readdirSync(outer.at("d"))]).toEqual([["b", "d"], ["one"]]);
	});

	test("files copied up from them keep their inode numbers when all is mounted anew", async () => {
		await using inner = await mountLayers([{}]);
		const names = Array.from({ length: 20 }, (_, index) => `f${index}`);
		fillLayer(inner.at("layer"), Object.fromEntries(names.map((name) => [name, name])));
		await using outer = await mountLayers([{}]);
		await outer.remount({ lower: [inner.at("layer")] });
		for (const name of names.slice(0, 10)) writeFileSync(outer.at(name), "changed");
		const numbers = () => names.map((name) => lstatSync(outer.at(name), { bigint: true }).ino);
		const before = numbers();
		expect(new Set(before).size).toBe(names.length);
		await outer.unmount();
		await inner.remount();
		// In another order, so that the daemon gives its files other ids.
		for (const name of [...names].reverse()) lstatSync(inner.at("layer", name));
		await outer.remount();
		expect(numbers()).toEqual(before);
		await outer.unmount();
	});
});

describe("names that users of a mount make", () => {
	const names = [
		".wh.a",
		".wh..wh..opq",
		".wh..opq",
		".wh.",
		".wh..wh.a",
		".wh..wh.+a",
		".wh..wh..wh.+a",
		".wh.+a",
	];

	test.each(["devices", "files"] as const)(
		"`.wh.*` are names like others; with whiteouts as %s",
		async (format) => {
			const environment = environments[format];
			await using overlay = await mountLayers([{ a: "a", "+a": "a", "d/lower": "x" }], { environment });
			for (const directory of [".", "d"]) {
				for (const name of names) writeFileSync(overlay.at(directory, name), name);
			}
			const expectAll = () => {
				expect(readdirSync(overlay.path).sort()).toEqual(["a", "+a", "d", ...names].sort());
				expect(readdirSync(overlay.at("d")).sort()).toEqual(["lower", ...names].sort());
				for (const name of names) expect(read(overlay.at("d", name))).toBe(name);
			};
			expectAll();
			await overlay.remount();
			expectAll();
			// The layers become lower ones, and the names are removed from there.
			const [base = ""] = overlay.layers.lower;
			const [upper, work] = [overlay.tree.layer("upper2"), overlay.tree.layer("work2")];
			await overlay.remount({ lower: [overlay.layers.upper, base], upper, work });
			expectAll();
			for (const name of names) unlinkSync(overlay.at("d", name));
			expect(readdirSync(overlay.at("d"))).toEqual(["lower"]);
			renameSync(overlay.at(".wh.a"), overlay.at("d/.wh.moved"));
			linkSync(overlay.at("d/.wh.moved"), overlay.at(".wh.linked"));
			mkdirSync(overlay.at(".wh.directory"));
			symlinkSync(".wh.linked", overlay.at(".wh.link"));
			await overlay.remount();
			expect(readdirSync(overlay.at("d")).sort()).toEqual([".wh.moved", "lower"]);
			expect([read(overlay.at(".wh.link")), lstatSync(overlay.at(".wh.directory")).isDirectory()]).toEqual([
				".wh.a",
				true,
			]);
			expect(existsSync(overlay.at(".wh.a"))).toBeFalse();
		},
	);

	test("`.wh.*` hide nothing in other programs' eyes", async () => {
		await using overlay = await mountLayers([{ a: "a", "d/b": "b" }]);
		for (const name of [".wh.a", "d/.wh.b", "d/.wh..wh..opq"]) writeFileSync(overlay.at(name), "");
		await overlay.unmount();
		const peers = await overlay.snapshotsOfPeers();
		expect(Object.keys(peers)).not.toEqual([]);
		for (const [peer, tree] of Object.entries(peers)) {
			const seen = Object.keys(tree).filter((name) => !name.includes(".wh."));
			expect({ peer, seen: seen.sort() }).toEqual({ peer, seen: [".", "a", "d", "d/b"] });
		}
	});

	test("`.wh.*` may be as long as leaves room for five bytes", async () => {
		await using overlay = await mountLayers([{}]);
		const longest = `.wh.${"n".repeat(246)}`;
		writeFileSync(overlay.at(longest), "x");
		expect(codeOf(() => writeFileSync(overlay.at(`${longest}n`), "x"))).toBe("ENAMETOOLONG");
		expect(existsSync(overlay.at(`.wh.${"n".repeat(251)}`))).toBeFalse();
		await overlay.remount();
		expect(readdirSync(overlay.path)).toEqual([longest]);
	});

	test("devices 0:0 cannot be made: an overlay above sees that it needs another form", async () => {
		await using overlay = await mountLayers([{}]);
		expect(codeOf(() => mknod(overlay.at("whiteout"), 0o020000, 0, 0))).toBe("EPERM");
	});
});

describe("an overlay's attributes that users of a mount set", () => {
	const names = [
		"trusted.overlay.opaque",
		"trusted.overlay.overlay.opaque",
		"trusted.overlay.origin",
		"user.overlay.opaque",
		"user.fuseoverlayfs.opaque",
		"user.fuseoverlayfs.origin",
		"user.containers.override_stat",
	].filter((name) => overlayAttributes === "trusted" || !name.startsWith("trusted."));

	// Only root may keep owners in the security namespace.
	const modes = lacks("trusted attributes") ? ["0", "2"] : ["0", "1", "2"];

	test.each(modes)("are theirs and mean nothing here; xattr_permissions=%s", async (mode) => {
		const options = [`xattr_permissions=${mode}`];
		await using overlay = await mountLayers([{ "d/lower": "x" }], { options });
		for (const name of names) setxattr(overlay.at("d"), name, name.endsWith("stat") ? "7:7:0700" : "y");
		const expectAll = () => {
			expect(listxattr(overlay.at("d"))).toEqual([...names].sort());
			expect(getxattr(overlay.at("d"), `${overlayAttributes}.overlay.opaque`).toString()).toBe("y");
			expect([readdirSync(overlay.at("d")), lstatSync(overlay.at("d")).uid]).toEqual([
				["lower"],
				process.getuid?.() ?? 0,
			]);
		};
		expectAll();
		await overlay.remount();
		expectAll();
		for (const name of names) removexattr(overlay.at("d"), name);
		expect(listxattr(overlay.at("d"))).toEqual([]);
	});

	test.skipIf(lacks("trusted attributes"))("are kept as kernel overlayfs keeps and reads them", async () => {
		await using overlay = await mountLayers([{ "d/lower": "x" }]);
		setxattr(overlay.at("d"), "trusted.overlay.opaque", "y");
		await overlay.expectLasting({ debian: false });
	});

	test.skipIf(lacks("trusted attributes", "devices"))(
		"are so beside those of its own users' namespace, as composefs writes both",
		async () => {
			const kept = (word: string, value: string) => ({
				[`trusted.overlay.overlay.${word}`]: value,
				[`user.overlay.${word}`]: value,
			});
			const lower = {
				layer: directory({ xattrs: kept("opaque", "x") }),
				"layer/gone": file("", { xattrs: kept("whiteout", "") }),
			};
			await using overlay = await mountLayers([lower, { "layer/below": "below" }]);
			expect(readdirSync(overlay.at("layer")).sort()).toEqual(["below", "gone"]);
			expect(listxattr(overlay.at("layer/gone"))).toEqual(["trusted.overlay.whiteout"]);
			expect(getxattr(overlay.at("layer"), "trusted.overlay.opaque").toString()).toBe("x");
		},
	);

	test("come along with a copied-up file", async () => {
		await using overlay = await mountLayers([{ f: "lower" }]);
		const name = `${overlayAttributes}.overlay.metacopy`;
		setxattr(overlay.at("f"), name, "x");
		const [base = ""] = overlay.layers.lower;
		const [upper, work] = [overlay.tree.layer("upper2"), overlay.tree.layer("work2")];
		await overlay.remount({ lower: [overlay.layers.upper, base], upper, work });
		writeFileSync(overlay.at("f"), "changed");
		expect(listxattr(overlay.at("f"))).toEqual([name]);
	});
});
