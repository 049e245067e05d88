/** Options of kernel overlayfs that say where marks are kept and what is in them: layers go from one to the other and back. */

import { describe, expect, test } from "bun:test";
import { chmodSync, lstatSync, mkdirSync, readdirSync } from "node:fs";
import { changeable, changeMuch, expectChanged } from "../harness/changes.ts";
import { mountDisk } from "../harness/disk.ts";
import { fillLayer, type Layers, temporaryTree } from "../harness/layers.ts";
import { mountKernelOverlay, mountOverlay } from "../harness/mount.ts";
import { getxattr, listxattr } from "../harness/native.ts";
import { mountLayers } from "../harness/overlay.ts";
import { isKernel } from "../harness/program.ts";
import { lacks } from "../harness/setting.ts";
import { differences, snapshot } from "../harness/snapshot.ts";

const userxattr = ["userxattr"];
/** Kernel overlayfs does not know these, and so does not hide them. */
const withoutOurs = { ignoreAttributes: /^user\.fuseoverlayfs\./ };

/** The names of all attributes in a layer. */
function attributesIn(layer: string): string[] {
	const entries = readdirSync(layer, { recursive: true, withFileTypes: true });
	const paths = entries.filter((entry) => entry.isFile() || entry.isDirectory());
	return [layer, ...paths.map(({ parentPath, name }) => `${parentPath}/${name}`)].flatMap(listxattr);
}

/** What kernel overlayfs with that option, and a user's marks, makes of layers. */
function inKernel<Result>({ mountpoint, ...layers }: Layers, look: (path: string) => Result): Result {
	// In a user namespace it has the option anyway.
	const options = lacks("trusted attributes") ? [] : userxattr;
	using kernel = mountKernelOverlay({ ...layers, mountpoint }, ...options);
	return look(kernel.path);
}

describe.skipIf(isKernel)("with userxattr", () => {
	const isUnknown = lacks("kernel overlayfs", "attributes of users in kernel overlayfs");
	test("marks are those of users, and found again with the option and without", async () => {
		await using overlay = await mountLayers([changeable], { options: userxattr });
		changeMuch((name) => overlay.at(name));
		expectChanged((name) => overlay.at(name));
		const seen = snapshot(overlay.path);
		for (const options of [[], userxattr]) {
			await overlay.remount({ options });
			expect(differences(seen, snapshot(overlay.path))).toEqual([]);
		}
		await overlay.unmount();
		const attributes = attributesIn(overlay.layers.upper);
		expect(attributes).toContain("user.overlay.opaque");
		expect(attributes).toContain("user.overlay.impure");
		expect(attributes.filter((name) => name.startsWith("trusted."))).toEqual([]);
	});

	test.skipIf(isUnknown)("the kernel shows the same with the option", async () => {
		await using overlay = await mountLayers([changeable], { options: userxattr });
		changeMuch((name) => overlay.at(name));
		const seen = snapshot(overlay.path);
		await overlay.unmount();
		const shown = inKernel(overlay.layers, (path) => snapshot(path, withoutOurs));
		expect(differences(seen, shown)).toEqual([]);
	});

	test.skipIf(isUnknown)("what the kernel has written with the option is read", async () => {
		using tree = temporaryTree();
		const layers = tree.layers([changeable]);
		const seen = inKernel(layers, (path) => {
			changeMuch((name) => `${path}/${name}`);
			return snapshot(path);
		});
		await using mount = await mountOverlay({ ...layers, options: userxattr });
		expectChanged((name) => mount.at(name));
		expect(differences(seen, snapshot(mount.path))).toEqual([]);
		// In turns.
		mkdirSync(mount.at("removed"));
		await mount.unmount();
		expect(inKernel(layers, (path) => readdirSync(`${path}/removed`))).toEqual([]);
	});
});

describe.skipIf(isKernel || lacks("the machine's root"))("with uuid=off", () => {
	const off = ["uuid=off"];
	const numberOf = (path: string) => lstatSync(path, { bigint: true }).ino;
	const uuidIn = (upper: string) => getxattr(`${upper}/f`, "trusted.overlay.origin").subarray(5, 21);
	const none = Buffer.alloc(16);

	/** On a file system that has a uuid. */
	function onDisk(disk: string): Layers {
		const layers = { lower: [`${disk}/lower`], upper: `${disk}/upper`, work: `${disk}/work` };
		for (const path of [layers.upper, layers.work]) mkdirSync(path);
		fillLayer(layers.lower[0]!, { f: "f" });
		return { ...layers, mountpoint: `${disk}-merged` };
	}

	test("origins do not name their file system, and are found with the option only, by the kernel, too", async () => {
		using tree = temporaryTree();
		mountDisk("ext4", tree.join("disk"));
		const layers = onDisk(tree.join("disk"));
		tree.layer("disk-merged");
		await using mount = await mountOverlay({ ...layers, options: off });
		const number = numberOf(mount.at("f"));
		chmodSync(mount.at("f"), 0o600);
		await mount.remount();
		expect([numberOf(mount.at("f")), uuidIn(layers.upper)]).toEqual([number, none]);
		await mount.remount({ options: [] });
		expect(numberOf(mount.at("f"))).not.toBe(number);
		await mount.unmount();
		for (const [option, isFound] of [
			["uuid=off", true],
			["uuid=null", false],
		] as const) {
			using kernel = mountKernelOverlay(layers, option);
			expect(numberOf(`${kernel.path}/f`) === number).toBe(isFound);
		}
	});

	test("those of the kernel are found; without it they name the file system", async () => {
		using tree = temporaryTree();
		mountDisk("ext4", tree.join("disk"));
		const layers = onDisk(tree.join("disk"));
		tree.layer("disk-merged");
		let number: bigint;
		{
			using kernel = mountKernelOverlay(layers, "uuid=off");
			number = numberOf(`${kernel.path}/f`);
			chmodSync(`${kernel.path}/f`, 0o600);
		}
		await using mount = await mountOverlay({ ...layers, options: off });
		expect([numberOf(mount.at("f")), uuidIn(layers.upper)]).toEqual([number, none]);
		await mount.unmount();
		fillLayer(layers.lower[0]!, { g: "g" });
		await mount.remount({ options: ["uuid=null"] });
		chmodSync(mount.at("g"), 0o600);
		expect(getxattr(`${layers.upper}/g`, "trusted.overlay.origin").subarray(5, 21)).not.toEqual(none);
	});

	test("several file systems are told apart all the same, and told of", async () => {
		using tree = temporaryTree();
		mountDisk("ext4", tree.join("disk"));
		const layers = { ...onDisk(tree.join("disk")), mountpoint: tree.layer("merged") };
		const lower = [...layers.lower, tree.layer("elsewhere", { e: "e" })];
		const environment = { FUSE_OVERLAYFS_DEBUG_LOG: "" };
		await using mount = await mountOverlay({ ...layers, lower, options: off, environment });
		expect(mount.stderr).toBe(
			"fuse-overlayfs: uuid=off needs all layers on one file system: they are told apart by their uuids\n",
		);
		chmodSync(mount.at("f"), 0o600);
		expect(uuidIn(layers.upper)).not.toEqual(none);
	});
});
