/** Layers on btrfs, which tells its uuid in a way of its own. */

import { describe, expect, test } from "bun:test";
import { lstatSync, writeFileSync } from "node:fs";
import { mountDisk } from "../harness/disk.ts";
import { type Layers, type TemporaryTree, temporaryTree } from "../harness/layers.ts";
import { mountKernelOverlay, mountOverlay } from "../harness/mount.ts";
import { getxattr } from "../harness/native.ts";
import { isKernel } from "../harness/program.ts";
import { lacks } from "../harness/setting.ts";

const isMissing = Bun.which("mkfs.btrfs") === null;

function layersIn(tree: TemporaryTree): Layers {
	mountDisk("btrfs", tree.join("disk"));
	return {
		lower: [tree.layer("disk/lower", { a: "a", "d/b": "b" })],
		upper: tree.layer("disk/upper"),
		work: tree.layer("disk/work"),
		mountpoint: tree.layer("merged"),
	};
}

const numbers = (path: string) => ["a", "d/b"].map((name) => lstatSync(`${path}/${name}`).ino);
const append = (path: string) => {
	for (const name of ["a", "d/b"]) writeFileSync(`${path}/${name}`, "+", { flag: "a" });
};
const origin = ({ upper }: Layers, name: string) => getxattr(`${upper}/${name}`, "trusted.overlay.origin");

describe.skipIf(isKernel || isMissing || lacks("the machine's root"))("inode numbers on btrfs", () => {
	test("of what kernel overlayfs copied up stay, and are kept as it does", async () => {
		using tree = temporaryTree();
		const layers = layersIn(tree);
		const before = numbers(layers.lower[0]!);
		{
			using kernels = mountKernelOverlay(layers);
			writeFileSync(`${kernels.path}/a`, "+", { flag: "a" });
		}
		const kernelsOrigin = origin(layers, "a");
		await using mount = await mountOverlay(layers);
		expect(numbers(mount.path)).toEqual(before);
		append(mount.path);
		await mount.remount();
		expect(numbers(mount.path)).toEqual(before);
		await mount.unmount();
		// But for the handle, which is the last part.
		const header = 21;
		expect(origin(layers, "d/b").subarray(0, header)).toEqual(kernelsOrigin.subarray(0, header));
		using kernels = mountKernelOverlay(layers);
		expect(numbers(kernels.path)).toEqual(before);
	});
});
