/** A few seeds of the fuzzer, always the same ones and fresh ones, and scripts of what once failed. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setting } from "../harness/setting.ts";
import { Actors } from "./actors.ts";
import { explain } from "./explained.ts";
import { type Report, runScript, runSeed, type Script } from "./run.ts";
import { variantCount } from "./variant.ts";

/** Most is root's: in the other settings as much as finds what is wrong there alone. */
const [steps, share] = setting === "root" ? [200, 1] : [100, 4];
const directory = join(import.meta.dir, "scripts");
const scripts = readdirSync(directory)
	.map((name) => ({ name, script: JSON.parse(readFileSync(join(directory, name), "utf8")) as Script }))
	.filter(({ script }) => script.setting === setting);
const count = Math.ceil(variantCount / share);
/** One of each variant. */
const fixedSeeds = Array.from({ length: count }, (_, index) => variantCount * 100 + index * share);
const freshSeeds = Array.from({ length: count / 2 }, (_, index) => (Date.now() % 1_000_000_000) + index);

let actors: Actors;
beforeAll(() => {
	actors = new Actors();
});
afterAll(() => actors[Symbol.asyncDispose]());

/** A difference is told with what finds it again, and makes it small. */
function expectNothing({ script, failure }: Report): void {
	if (failure === undefined) return;
	const command = `bun run fuzz --as "${setting}" --seed ${script.seed} --steps ${steps}`;
	const found = {
		command,
		variant: script.variant.title,
		steps: script.steps.map((step) => JSON.stringify(step)),
	};
	expect({ ...found, failure }).toEqual({ ...found, failure: undefined as never });
}

test.each([...fixedSeeds, ...freshSeeds])("random steps as in kernel overlayfs, seed %i", async (seed) => {
	expectNothing(await runSeed(actors, seed, steps));
});

test.each(scripts)("$name", async ({ script }) => {
	expectNothing(await runScript(actors, script));
});

/** Kernel overlayfs is root's to mount, so the fuzzer as a whole cannot be the ordinary user's. */
describe.skipIf(setting !== "root")("where an ordinary user mounts", () => {
	const run = (...args: string[]) => {
		const main = join(import.meta.dir, "main.ts");
		const { exitCode, stdout } = Bun.spawnSync([process.execPath, main, "--as", "fusermount", ...args]);
		expect({ exitCode, stdout: exitCode === 0 ? "" : stdout.toString() }).toEqual({
			exitCode: 0,
			stdout: "",
		});
	};

	test("random steps are as in kernel overlayfs", () => {
		run("--seed", "1400", "--seeds", "6", "--steps", "100", "--no-shrink");
		run("--seeds", "3", "--steps", "100", "--no-shrink");
	});

	test("what once failed does not", () => run("--replay", directory));
});

test("another answer on one side is a difference", () => {
	const step = { actor: 0, operation: "stat", args: { path: "a" } };
	const plain = { answer: "done" };
	expect(explain({ step, ours: { error: "EIO" }, kernels: { answer: "done" }, plain })).toBeUndefined();
	expect(explain({ step, ours: { answer: "done" }, kernels: { error: "ENOENT" }, plain })).toBeUndefined();
});
