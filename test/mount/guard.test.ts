import { expect, test } from "bun:test";
import { readFileSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { temporaryTree } from "../harness/layers.ts";
import { layerOptions, runProgram, until } from "../harness/mount.ts";
import { findMount } from "../harness/mount-table.ts";
import { codeOf } from "../harness/native.ts";

test("a bug in one operation answers EIO to its caller, leaves a line in the log, and stops nothing else", async () => {
	using tree = temporaryTree();
	const layers = tree.layers([{ bug: "b", sound: "s" }]);
	const log = tree.join("log");
	const script = join(import.meta.dir, "../harness/faulty-program.ts");
	const { exitCode, stderr } = await runProgram([script, "-o", layerOptions(layers), layers.mountpoint], {
		program: process.execPath,
		environment: { FUSE_OVERLAYFS_DEBUG_LOG: log },
	});
	expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
	try {
		for (let attempt = 0; attempt < 2; attempt++) {
			expect(codeOf(() => truncateSync(`${layers.mountpoint}/bug`))).toBe("EIO");
			expect(readFileSync(`${layers.mountpoint}/sound`, "latin1")).toBe("s");
		}
		expect(readFileSync(log, "utf8")).toMatch(/^fuse-overlayfs: setattr node \d+.*TypeError: a bug/m);
	} finally {
		Bun.spawnSync(["umount", layers.mountpoint]);
	}
	await until(() => findMount(layers.mountpoint) === undefined, "the mount stays");
});
