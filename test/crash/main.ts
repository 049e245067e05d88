/**
 * `bun run crash`: kills and power losses in numbers.
 *
 * --kills N    how often the daemon is killed under load (default: 500)
 * --images N   on how many images of each file system the power fails (default: 200)
 * --seed N     the first seed (default: one from the clock)
 */

import { parseArgs } from "node:util";
import { temporaryTree } from "../harness/layers.ts";
import { differences, snapshot } from "../harness/snapshot.ts";
import { lowerLayer } from "./files.ts";
import { killUnderLoad } from "./kill.ts";
import { losePower } from "./power-loss.ts";
import { compileRecorder, type FileSystem, fileSystems, sharing } from "./recording.ts";

const { values } = parseArgs({
	args: Bun.argv.slice(2),
	options: {
		kills: { type: "string", default: "500" },
		images: { type: "string", default: "200" },
		seed: { type: "string", default: String((Date.now() % 1_000_000_000) + 1) },
	},
});
const imagesPerRecording = 25;

using tree = temporaryTree();
const lower = tree.layer("lower", lowerLayer());
const before = snapshot(lower);
let seed = Number(values.seed);
let failures = 0;

function complain(title: string, wrong: readonly string[]): void {
	if (wrong.length === 0) return;
	failures++;
	console.log(`${title}:\n  ${wrong.join("\n  ")}`);
}

async function kill(count: number): Promise<void> {
	let interrupted = 0;
	let synced = 0;
	for (let index = 0; index < count; index++, seed++) {
		const result = await killUnderLoad(tree, lower, seed);
		if (result.wasInterrupted) interrupted++;
		synced += result.synced;
		complain(`kill, seed ${seed}`, result.wrong);
	}
	console.log(`${count} kills, ${interrupted} of them during a change, after ${synced} syncs`);
}

async function cutPower(type: FileSystem, recorder: string, count: number, isShared: boolean): Promise<void> {
	for (let done = 0; done < count; done += imagesPerRecording, seed++) {
		const images = Math.min(imagesPerRecording, count - done);
		const results = await losePower({ tree, lower, recorder }, { type, seed, images, isShared });
		for (const [index, wrong] of results.entries()) complain(`${type}, seed ${seed}, image ${index}`, wrong);
	}
	console.log(`${count} power losses on ${type}${isShared ? ", with copies that share blocks" : ""}`);
}

await kill(Number(values.kills));
if (Number(values.images) > 0) {
	const recorder = compileRecorder(tree);
	for (const type of Object.keys(fileSystems) as FileSystem[]) {
		await cutPower(type, recorder, Number(values.images), false);
		if (sharing.includes(type)) await cutPower(type, recorder, Number(values.images), true);
	}
}
complain("the lower layer has changed", differences(before, snapshot(lower)));
console.log(failures === 0 ? "nothing lost" : `${failures} failures`);
process.exitCode = failures === 0 ? 0 : 1;
