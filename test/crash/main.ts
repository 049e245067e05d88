/**
 * `bun run crash`: kills, power losses, and daemons that others go on for, in numbers.
 *
 * --kills N    how often the daemon is killed under load (default: 500)
 * --images N   on how many images of each file system the power fails (default: 200)
 * --outlive N  how often daemons are killed, or replaced, whose mount goes on (default: 1000)
 * --seed N     the first seed (default: one from the clock)
 */

import { parseArgs } from "node:util";
import { temporaryTree } from "../harness/layers.ts";
import { differences, snapshot } from "../harness/snapshot.ts";
import { killAtEach, operations, ways } from "./each-call.ts";
import { lowerLayer } from "./files.ts";
import { killUnderLoad } from "./kill.ts";
import { outlive } from "./outlive.ts";
import { losePower } from "./power-loss.ts";
import { compileRecorder, type FileSystem, fileSystems, sharing } from "./recording.ts";

const { values } = parseArgs({
	args: Bun.argv.slice(2),
	options: {
		kills: { type: "string", default: "500" },
		images: { type: "string", default: "200" },
		outlive: { type: "string", default: "1000" },
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

const settings = [
	[],
	["passthrough=off"],
	["redirect_dir=on,metacopy=on"],
	["passthrough=off,writeback=0"],
	["timeout=0"],
];

/** At places of each operation, at all of them from a count of 4000 on, then at any moment under load, and with every fourth load by SIGUSR2. */
async function endDaemons(count: number): Promise<void> {
	if (count === 0) return;
	const stride = Math.max(1, Math.round(4000 / count));
	for (const kind of Object.keys(ways) as (keyof typeof ways)[]) {
		for (const [index, options] of settings.entries()) {
			let kills = 0;
			for (const name of Object.keys(operations)) {
				try {
					kills += await killAtEach(kind, name, options, 1 + (index % stride), stride);
				} catch (error) {
					complain(`${kind}, ${options}, ${name}`, [String(error)]);
				}
			}
			console.log(`${kills} kills, each at another ${kind}, with ${options.join() || "the defaults"}`);
		}
	}
	const ends = { kill: 0, replace: 0 };
	let longestWait = 0;
	for (let load = 0; ends.kill + ends.replace < count; load++, seed++) {
		const end = load % 4 === 3 ? "replace" : "kill";
		const options = settings[load % settings.length]!;
		const result = await outlive(tree, seed, options, end);
		ends[end] += result.kills;
		longestWait = Math.max(longestWait, result.longestWait);
		complain(`${end}, ${options}, seed ${seed}`, result.wrong);
	}
	console.log(
		`${ends.kill} kills under load, ${ends.replace} replacements; nobody waited longer than ${Math.round(longestWait)} ms`,
	);
}

await endDaemons(Number(values.outlive));
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
