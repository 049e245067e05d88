/** The binary as packagers treat it. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TemporaryTree, temporaryTree } from "../harness/layers.ts";
import { mountLayers } from "../harness/overlay.ts";
import { projectDirectory } from "../harness/program.ts";

/** Tools that rewrite programs, as strip(1), rpm, debhelper and Nix call them. */
const tools = [
	["strip"],
	["strip", "-g"],
	["strip", "--strip-unneeded", "--remove-section=.comment", "--remove-section=.note"],
	["objcopy", "--strip-debug"],
	["llvm-strip"],
	["eu-strip"],
	["patchelf", "--set-rpath", "/usr/lib/fuse-overlayfs"],
];

let tree: TemporaryTree;
let binary: string;
beforeAll(() => {
	tree = temporaryTree();
	binary = tree.join("fuse-overlayfs");
	const build = Bun.spawnSync([process.execPath, join(projectDirectory, "packaging/build.ts"), binary]);
	expect(build.stderr.toString()).toBe("");
}, 60_000);
afterAll(() => tree[Symbol.dispose]());

describe("the binary is still this program after", () => {
	for (const [tool = "", ...options] of tools) {
		test.skipIf(Bun.which(tool) === null)(`${tool} ${options.join(" ")}`, () => {
			const treated = tree.join("treated");
			copyFileSync(binary, treated);
			const treatment = Bun.spawnSync([tool, ...options, treated]);
			expect(treatment.stderr.toString()).toBe("");
			const { stdout } = Bun.spawnSync([treated, "--version"]);
			expect(stdout.toString()).toContain("fuse-overlayfs: version");
		});
	}
});

test("stripped, it is smaller, mounts, and copies large files up on its threads", async () => {
	const stripped = tree.join("stripped");
	copyFileSync(binary, stripped);
	expect(Bun.spawnSync(["strip", stripped]).exitCode).toBe(0);
	expect(statSync(stripped).size).toBeLessThan(statSync(binary).size);
	const large = Buffer.alloc(4 << 20, "large");
	await using overlay = await mountLayers([{ large }], { program: stripped });
	writeFileSync(overlay.at("large"), "more", { flag: "a" });
	expect(readFileSync(overlay.at("large")).equals(Buffer.concat([large, Buffer.from("more")]))).toBe(true);
	await overlay.unmount();
});
