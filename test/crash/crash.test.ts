/** A few crashes of each kind; `bun run crash` does hundreds. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type TemporaryTree, temporaryTree } from "../harness/layers.ts";
import { snapshot } from "../harness/snapshot.ts";
import { lowerLayer } from "./files.ts";
import { killUnderLoad } from "./kill.ts";
import { outlive } from "./outlive.ts";
import { losePower } from "./power-loss.ts";
import { compileRecorder, type FileSystem, fileSystems, sharing } from "./recording.ts";
import { readStamps, stampedBlock, stampedFile } from "./stamp.ts";

const types = Object.keys(fileSystems) as FileSystem[];
const freshSeed = (Date.now() % 1_000_000_000) + 1;
const images = 5;

let tree: TemporaryTree;
let lower: string;
beforeAll(() => {
	tree = temporaryTree();
	lower = tree.layer("lower", lowerLayer());
});
afterAll(() => tree[Symbol.dispose]());

test("killed under load, the daemon leaves whole files, all that was synced, and lower layers as they were", async () => {
	const before = snapshot(lower);
	for (let seed = freshSeed; seed < freshSeed + 8; seed++) {
		const { wrong } = await killUnderLoad(tree, lower, seed);
		expect({ seed, wrong }).toEqual({ seed, wrong: [] });
	}
	expect(snapshot(lower)).toEqual(before);
});

test.each(["kill", "replace"] as const)(
	"who works in a mount does not notice that its daemon ends: %s",
	async (end) => {
		const { kills, wrong } = await outlive(tree, freshSeed, [], end);
		expect({ freshSeed, wrong }).toEqual({ freshSeed, wrong: [] });
		expect(kills).toBeGreaterThan(2);
	},
);

describe("after a loss of power", () => {
	test.each(types)("on %s, files in the upper layer are whole and what was synced is there", async (type) => {
		const trial = { tree, lower, recorder: compileRecorder(tree) };
		const results = await losePower(trial, { type, seed: freshSeed, images });
		expect({ freshSeed, results }).toEqual({ freshSeed, results: results.map(() => []) });
	});

	test.each(sharing)("on %s, so are copies that share their blocks with the lower layer", async (type) => {
		const trial = { tree, lower, recorder: compileRecorder(tree) };
		const results = await losePower(trial, { type, seed: freshSeed + 2, images, isShared: true });
		expect({ freshSeed, results }).toEqual({ freshSeed, results: results.map(() => []) });
	});

	test("with fsync=0, they are not: what the other tests see, this one must", async () => {
		const trial = { tree, lower, recorder: compileRecorder(tree) };
		const options = ["fsync=0"];
		const results = await losePower(trial, { type: "ext4", seed: freshSeed + 1, images: 15, options });
		expect(results.flat().filter((wrong) => /without a stamp|bytes of|not whole/.test(wrong))).not.toEqual(
			[],
		);
	});
});

describe("a stamped file", () => {
	const whole = stampedFile({ id: 3, version: 7, blocks: 4 });
	const other = stampedBlock({ id: 3, version: 8, blocks: 4 }, 2);

	test("tells its versions", () => {
		expect(readStamps(whole)).toEqual({ id: 3, versions: [7, 7, 7, 7] });
	});

	test.each([
		["a part of it", whole.subarray(0, 8192), "8192 bytes of 16384"],
		["an empty one", Buffer.alloc(0), "0 bytes without a stamp"],
		[
			"zeros at the end",
			Buffer.concat([whole.subarray(0, 12288), Buffer.alloc(4096)]),
			"block 3 is not whole",
		],
		["zeros throughout", Buffer.alloc(16384), "16384 bytes without a stamp"],
		[
			"a mix",
			Buffer.concat([whole.subarray(0, 8192), other, whole.subarray(12288)]),
			"mixed of versions 7,8",
		],
	])("tells that it is not whole: %s", (_, content, complaint) => {
		expect(readStamps(content)).toBe(complaint);
	});
});
