/** Layers that another mount uses, be it of this program or of kernel overlayfs: told of, and never refused. */

import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { type TemporaryTree, temporaryTree } from "../harness/layers.ts";
import { type MountRequest, mountKernelOverlay, mountOverlay, until } from "../harness/mount.ts";
import { umount } from "../harness/native.ts";
import { isKernel } from "../harness/program.ts";
import { lacks } from "../harness/setting.ts";

const consequence = "what one of the two changes the other shows wrong or loses: unmount one of them";
const inUse = (what: string, by: string) => `fuse-overlayfs: ${what} is in use by ${by}: ${consequence}\n`;
/** Messages go to stderr, not to the log. */
const onStderr = { environment: { FUSE_OVERLAYFS_DEBUG_LOG: "" } };
const ours = "another mount of this program";

function layersIn(tree: TemporaryTree): MountRequest & { upper: string; work: string } {
	return tree.layers([{ lower: "lower" }]);
}

/** What is written to stderr by a mount with these layers in place of those that are in use. */
async function warnings(tree: TemporaryTree, layers: MountRequest, others: Partial<MountRequest> = {}) {
	const request = { ...layers, ...others, ...onStderr, mountpoint: tree.layer("second") };
	await using mount = await mountOverlay(request);
	expect(readFileSync(mount.at("lower"), "latin1")).toBe("lower");
	await mount.unmount();
	return mount.stderr;
}

describe.skipIf(isKernel)("another mount of this program", () => {
	test("with the same upper layer or workdir is told of as long as it is there", async () => {
		using tree = temporaryTree();
		const layers = layersIn(tree);
		const { upper, work } = layers;
		const [otherUpper, otherWork] = [tree.layer("otherUpper"), tree.layer("otherWork")];
		await using first = await mountOverlay({ ...layers, ...onStderr });
		expect(first.stderr).toBe("");
		expect(await warnings(tree, layers)).toBe(inUse(`upperdir ${upper}`, ours));
		expect(await warnings(tree, layers, { work: otherWork })).toBe(inUse(`upperdir ${upper}`, ours));
		expect(await warnings(tree, layers, { upper: otherUpper })).toBe(inUse(`workdir ${work}`, ours));
		expect(await warnings(tree, layers, { upper: otherUpper, work: otherWork })).toBe("");
		expect(await warnings(tree, layers, { options: ["ro"] })).toBe("");
		await first.unmount();
		expect(await warnings(tree, layers)).toBe("");
	});

	test("that was killed is not", async () => {
		using tree = temporaryTree();
		const layers = layersIn(tree);
		await using first = await mountOverlay(layers);
		for (const pid of first.daemons) process.kill(pid, "SIGKILL");
		await until(() => first.daemons.length === 0, "the daemon survives SIGKILL");
		expect(await warnings(tree, layers)).toBe("");
		await first.forget();
	});

	test("that failed is not", async () => {
		using tree = temporaryTree();
		const layers = layersIn(tree);
		writeFileSync(tree.join("file"), "");
		expect(mountOverlay({ ...layers, mountpoint: tree.join("file") })).rejects.toThrow();
		expect(await warnings(tree, layers)).toBe("");
	});

	test("shares lower layers, and may have one's upper layer below its own", async () => {
		using tree = temporaryTree();
		const layers = layersIn(tree);
		await using first = await mountOverlay(layers);
		const others = { upper: tree.layer("otherUpper"), work: tree.layer("otherWork") };
		const lower = [layers.upper, ...layers.lower];
		expect(await warnings(tree, layers, others)).toBe("");
		expect(await warnings(tree, layers, { ...others, lower })).toBe("");
		await first.unmount();
	});
});

describe.skipIf(isKernel || lacks("kernel overlayfs"))("kernel overlayfs", () => {
	const kernel = (mountpoint: string) => `kernel overlayfs, mounted on ${mountpoint}`;

	test.each(lacks("handles of overlays") ? (["absolute"] as const) : (["absolute", "relative"] as const))(
		"is told of, mounted with %s paths",
		async (kind) => {
			using tree = temporaryTree();
			const layers = layersIn(tree);
			const { upper, work } = layers;
			const mountpoint = tree.layer("kernel");
			const [otherUpper, otherWork] = [tree.layer("otherUpper"), tree.layer("otherWork")];
			if (kind === "absolute") mountKernelOverlay({ ...layers, mountpoint });
			else
				inDirectory(tree.path, () =>
					mountKernelOverlay({ lower: ["lower1"], upper: "upper", work: "work", mountpoint }),
				);
			// As the kernel has something in work.
			writeFileSync(`${work}/work/kept`, "");
			const by = kernel(mountpoint);
			expect(await warnings(tree, layers)).toBe(inUse(`upperdir ${upper}, with its workdir,`, by));
			expect(await warnings(tree, layers, { work: otherWork })).toBe(inUse(`upperdir ${upper}`, by));
			expect(await warnings(tree, layers, { upper: otherUpper })).toBe(inUse(`workdir ${work}`, by));
			expect(await warnings(tree, layers, { upper: otherUpper, work: otherWork })).toBe("");
			expect(existsSync(`${work}/work/kept`)).toBe(true);
			umount(mountpoint);
			expect(await warnings(tree, layers)).toBe("");
			expect(readdirSync(`${work}/work`)).toEqual([]);
		},
	);

	test.skipIf(lacks("handles of overlays"))(
		"is told of although its upper layer has another path by now",
		async () => {
			using tree = temporaryTree();
			const layers = layersIn(tree);
			const mountpoint = tree.layer("kernel");
			using _ = mountKernelOverlay({ ...layers, mountpoint });
			const upper = tree.join("moved");
			renameSync(layers.upper, upper);
			const work = tree.layer("otherWork");
			expect(await warnings(tree, layers, { upper, work })).toBe(
				inUse(`upperdir ${upper}`, kernel(mountpoint)),
			);
			expect(await warnings(tree, layers, { upper: tree.layer("upper"), work })).toContain(
				kernel(mountpoint),
			);
		},
	);

	test("is not told of for layers with the same names elsewhere, and below it may have the same", async () => {
		using tree = temporaryTree();
		using other = temporaryTree();
		const [layers, others] = [layersIn(tree), layersIn(other)];
		const mountpoint = tree.layer("kernel");
		inDirectory(tree.path, () =>
			mountKernelOverlay({ lower: ["lower1"], upper: "upper", work: "work", mountpoint }),
		);
		expect(await warnings(other, others)).toBe("");
		expect(await warnings(other, others, { lower: layers.lower })).toBe("");
		umount(mountpoint);
	});
});

function inDirectory(path: string, action: () => unknown): void {
	const before = process.cwd();
	process.chdir(path);
	try {
		action();
	} finally {
		process.chdir(before);
	}
}
