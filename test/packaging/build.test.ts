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

describe.skipIf(process.arch !== "x64")(
	"a processor without SSE4.2 is named in one line, not by SIGILL",
	() => {
		const emulator = Bun.which("qemu-x86_64-static") ?? Bun.which("qemu-x86_64");

		test("the loader is told what the binary needs", () => {
			const { stdout } = Bun.spawnSync(["readelf", "-nW", binary]);
			expect(stdout.toString()).toContain("x86 ISA needed: x86-64-v2");
		});

		test.skipIf(emulator === null).each(["Conroe", "Nehalem"])("the binary on %s", (model) => {
			const { stdout, stderr } = Bun.spawnSync([emulator!, "-cpu", model, binary, "--version"]);
			if (model === "Nehalem") expect(stdout.toString()).toContain("fuse-overlayfs: version");
			else expect(stderr.toString()).toMatch(/^\S+: CPU ISA level is lower than required\n$/);
		});

		test("the package's launcher", () => {
			const described = tree.join("cpuinfo");
			writeFileSync(described, readFileSync("/proc/cpuinfo", "utf8").replaceAll("sse4_2", ""));
			const launcher = join(projectDirectory, "src/fuse-overlayfs");
			const script = `mount --bind ${described} /proc/cpuinfo && exec ${launcher} --version`;
			const { exitCode, stderr } = Bun.spawnSync(["unshare", "--mount", "sh", "-c", script]);
			expect(stderr.toString()).toMatch(/^fuse-overlayfs: this processor has no SSE4\.2.*\n$/);
			expect(exitCode).toBe(1);
		});
	},
);

test("what is built twice is the same, whatever it is called, and is not taken for Bun", () => {
	const again = tree.join("under-another-name");
	Bun.spawnSync([process.execPath, join(projectDirectory, "packaging/build.ts"), again]);
	expect(readFileSync(again).equals(readFileSync(binary))).toBe(true);
	const buildId = (path: string) =>
		/Build ID: (\w+)/.exec(String(Bun.spawnSync(["readelf", "-nW", path]).stdout))?.[1];
	expect(buildId(binary)).toMatch(/^[0-9a-f]{32,40}$/);
	expect(buildId(binary)).not.toBe(buildId(process.execPath));
});
