/** Layers that `index=on` cannot be had with, and indexes that somebody has tampered with. */

import { describe, expect, test } from "bun:test";
import {
	appendFileSync,
	existsSync,
	linkSync,
	lstatSync,
	mkdirSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { all, entries, entryPath, inode, layersIn, lower, seen } from "../harness/hard-links.ts";
import { type Layers, type TemporaryTree, temporaryTree } from "../harness/layers.ts";
import { mountKernelOverlay, mountOverlay } from "../harness/mount.ts";
import { codeOf, getxattr, mknod, setxattr } from "../harness/native.ts";
import { isKernel } from "../harness/program.ts";
import { lacks } from "../harness/setting.ts";

const isRefused = lacks("the machine's root") || lacks("trusted attributes");
const indexed = { options: ["index=on"] };

const onStderr = { environment: { FUSE_OVERLAYFS_DEBUG_LOG: "" } };
const mounting = (request: Parameters<typeof mountOverlay>[0]) =>
	mountOverlay({ ...indexed, ...onStderr, ...request });

describe.skipIf(isKernel || isRefused)("index=on is refused", () => {
	/** Layers with a file in the index. */
	async function used(tree: TemporaryTree): Promise<Layers> {
		const layers = layersIn(tree, [lower, { below: "below" }]);
		await using mount = await mountOverlay({ ...layers, ...indexed });
		appendFileSync(mount.at("a"), "+");
		return layers;
	}

	test("over other lower layers than before, and with a copy of the upper layer", async () => {
		using tree = temporaryTree();
		const layers = await used(tree);
		const other = tree.layer("other", { a: "other" });
		await expect(mounting({ ...layers, lower: [other] })).rejects.toThrow(
			/was made over another lowerdir than .*\/other.*index=off/s,
		);
		const copy = tree.join("copy");
		Bun.spawnSync(["cp", "-a", layers.upper, copy]);
		await expect(mounting({ ...layers, upper: copy })).rejects.toThrow(
			/the index in workdir .* was made for another upperdir/s,
		);
		const before = entries(layers);
		await using mount = await mountOverlay({ ...layers, lower: [...layers.lower, other], ...indexed });
		expect(seen(mount.path)).toEqual(all("lower+", inode(layers), 3));
		expect(entries(layers)).toEqual(before);
	});

	test("while another mount has the layers", async () => {
		using tree = temporaryTree();
		const layers = layersIn(tree);
		const second = { ...layers, mountpoint: tree.layer("second") };
		{
			await using _first = await mountOverlay(layers);
			await expect(mounting(second)).rejects.toThrow(
				/is in use by another mount of this program, and with index=on/,
			);
		}
		using _kernels = mountKernelOverlay(layers);
		await expect(mounting(second)).rejects.toThrow(/is in use by kernel overlayfs, mounted on .*index=on/);
	});

	test.each([
		["timeout=1", /with a timeout others may change the layers/],
		["userxattr", /cannot have trusted attributes/],
	])("with %s", async (option, message) => {
		using tree = temporaryTree();
		await expect(mounting({ ...layersIn(tree), options: ["index=on", option] })).rejects.toThrow(message);
	});

	test("where lower layers cannot be told apart, or have no handles that last", async () => {
		using tree = temporaryTree();
		const layers = layersIn(tree);
		const below = {
			...layers,
			upper: tree.layer("u2"),
			work: tree.layer("w2"),
			mountpoint: tree.layer("m2"),
		};
		await using stacked = await mountOverlay(below);
		await expect(mounting({ ...layers, lower: [stacked.path] })).rejects.toThrow(
			/without file handles that last/,
		);
	});

	test("without an upper layer it is without effect, which is told", async () => {
		using tree = temporaryTree();
		const { lower: lowers, mountpoint } = layersIn(tree);
		await using mount = await mounting({ lower: lowers, mountpoint });
		expect(mount.stderr).toContain("index=on is without effect where nothing can be changed");
	});

	test.each([
		["a name that is none", ({ work }: Layers) => writeFileSync(`${work}/index/what`, "")],
		["a short one", ({ work }: Layers) => writeFileSync(`${work}/index/00fb`, "")],
		[
			"a file without an origin",
			(layers: Layers) => {
				rmSync(entryPath(layers));
			},
		],
	])("where the index has %s", async (_, spoil) => {
		using tree = temporaryTree();
		const layers = await used(tree);
		const path = entryPath(layers);
		spoil(layers);
		if (!existsSync(path)) writeFileSync(path, "");
		await expect(mounting(layers)).rejects.toThrow(/which is no entry of an index: move it away/);
		expect(entries(layers)).toContain(path.split("/").at(-1)!);
	});
});

describe.skipIf(isKernel || !lacks("the machine's root"))("without the machine's root", () => {
	test("index=on is refused", async () => {
		using tree = temporaryTree();
		// Without the devices among the others' files, which need privilege.
		const layers = layersIn(tree, [{ a: "a" }]);
		await expect(mounting(layers)).rejects.toThrow(/index=on: .*use index=off|index=on: .*or index=off/);
	});
});

describe.skipIf(isKernel || isRefused)("an index that was tampered with", () => {
	/** Unmounted, with `a` in the index. */
	async function tampered(
		tree: TemporaryTree,
		tamper: (layers: Layers, entry: string) => void,
	): Promise<Layers> {
		const layers = layersIn(tree);
		await using mount = await mountOverlay({ ...layers, ...indexed });
		appendFileSync(mount.at("a"), "+");
		await mount.unmount();
		tamper(layers, entryPath(layers));
		return layers;
	}

	test("an entry with another file's origin is removed, and its names are as without an index", async () => {
		using tree = temporaryTree();
		const layers = await tampered(tree, (itsLayers, entry) => {
			const origin = getxattr(entry, "trusted.overlay.origin");
			origin[origin.length - 1]! ^= 1;
			setxattr(`${itsLayers.upper}/a`, "trusted.overlay.origin", origin);
		});
		await using mount = await mountOverlay({ ...layers, ...indexed });
		expect(entries(layers)).toEqual([]);
		expect(seen(mount.path).map((line) => line.split(" ")[0])).toEqual(["lower+", "lower", "lower"]);
	});

	test.each([
		["a directory", (entry: string) => mkdirSync(entry)],
		["a whiteout", (entry: string) => mknod(entry, 0o020000, 0, 0)],
	])("%s in place of an entry: the names that need it are refused, and logged", async (_, make) => {
		using tree = temporaryTree();
		const layers = await tampered(tree, (_itsLayers, entry) => {
			rmSync(entry);
			make(entry);
		});
		await using mount = await mountOverlay({ ...layers, ...indexed });
		expect(codeOf(() => readFileSync(mount.at("b")))).toBe("EIO");
		expect(readFileSync(mount.at("a"), "latin1")).toBe("lower+");
		expect(mount.log).toMatch(
			/refused \/b: the workdir's index\/[0-9a-f]+, .* is of another kind: remove that entry/,
		);
	});

	test.each(["", "U", "U+x", "L-9", "U+99999999999", "nonsense".repeat(20)])(
		"a count of %j is none: the upper file's link count shows",
		async (value) => {
			using tree = temporaryTree();
			const layers = await tampered(tree, (_, entry) => setxattr(entry, "trusted.overlay.nlink", value));
			await using mount = await mountOverlay({ ...layers, ...indexed });
			expect(seen(mount.path)).toEqual(all("lower+", inode(layers), 2, 3));
			await mount.unmount();
			using kernels = mountKernelOverlay(layers, "index=on");
			expect(seen(kernels.path)).toEqual(all("lower+", inode(layers), 2, 3));
		},
	);

	test("an upper file with a forged origin is not the indexed one", async () => {
		using tree = temporaryTree();
		const layers = await tampered(tree, ({ upper }, entry) => {
			writeFileSync(`${upper}/forged`, "forged");
			linkSync(`${upper}/forged`, `${upper}/forged2`);
			setxattr(`${upper}/forged`, "trusted.overlay.origin", getxattr(entry, "trusted.overlay.origin"));
		});
		await using mount = await mountOverlay({ ...layers, ...indexed });
		expect(seen(mount.path, ["forged", "forged2"]).map((line) => line.split(" ")[0])).toEqual([
			"forged",
			"forged",
		]);
		expect(lstatSync(mount.at("forged")).ino).not.toBe(inode(layers));
		expect(seen(mount.path)).toEqual(all("lower+", inode(layers), 3));
	});

	test("leftovers are cleared: temporary names, what nobody sees, what the layers below have no more", async () => {
		using tree = temporaryTree();
		const layers = await tampered(tree, (itsLayers, entry) => {
			mkdirSync(`${itsLayers.work}/index/#1/x`, { recursive: true });
			rmSync(`${itsLayers.upper}/a`);
			setxattr(entry, "trusted.overlay.nlink", "U-1");
		});
		await using mount = await mountOverlay({ ...layers, ...indexed });
		expect(entries(layers)).toEqual([]);
		await mount.unmount();
	});
});
