/** A few seeds of the fuzzer, always the same ones and fresh ones, and scripts of what once failed. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Actors } from "./actors.ts";
import { explain } from "./explained.ts";
import { type Report, runScript, runSeed } from "./run.ts";
import { shrink } from "./shrink.ts";

const steps = 300;
const scripts = join(import.meta.dir, "scripts");
const fixedSeeds = Array.from({ length: 8 }, (_, index) => 1000 + index);
const freshSeeds = Array.from({ length: 8 }, (_, index) => (Date.now() % 1_000_000_000) + index);

let actors: Actors;
beforeAll(() => {
	actors = new Actors();
});
afterAll(() => actors[Symbol.asyncDispose]());

async function expectNothing(report: Report): Promise<void> {
	if (report.failure === undefined) return;
	const shrunk = await shrink(actors, report, () => {});
	expect({ failure: shrunk.failure, script: shrunk.script }).toEqual({
		failure: undefined,
		script: shrunk.script,
	});
}

test.each([...fixedSeeds, ...freshSeeds])("random steps as in kernel overlayfs, seed %i", async (seed) => {
	await expectNothing(await runSeed(actors, seed, steps));
});

test.each(readdirSync(scripts))("%s", async (name) => {
	await expectNothing(await runScript(actors, JSON.parse(readFileSync(join(scripts, name), "utf8"))));
});

test("another answer on one side is a difference", () => {
	const step = { actor: 0, operation: "stat", args: { path: "a" } };
	const plain = { answer: "done" };
	expect(explain({ step, ours: { error: "EIO" }, kernels: { answer: "done" }, plain })).toBeUndefined();
	expect(explain({ step, ours: { answer: "done" }, kernels: { error: "ENOENT" }, plain })).toBeUndefined();
});
