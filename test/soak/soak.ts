/**
 * Eight processes work on one mount for as long as is asked, in rounds. After each the kernel forgets all it can, and the
 * daemon must hold what it held after the first, by which Workers have started and what is kept for good is filled.
 */

import { join } from "node:path";
import { temporaryTree } from "../harness/layers.ts";
import { mountOverlay, type OverlayMount } from "../harness/mount.ts";
import { type Held, measureForgotten } from "./gauge.ts";
import { describeLayers, processes } from "./layers.ts";

const load = join(import.meta.dir, "load.ts");
/** What the daemon may have more in memory than after the first round, in MiB. */
const largestGrowth = 48;
/** They start when they are first needed, and stay. */
const largestWorkers = 2;

export interface Soak {
	readonly rounds: number;
	/** The length of each, in seconds. */
	readonly seconds: number;
	readonly options: readonly string[];
	/** Told after each round. */
	readonly onRound?: (round: number, held: Held, actions: number) => void;
}

/** What is wrong at the end; nothing if the soak ends where it began. */
export async function soak({ rounds, seconds, options, onRound }: Soak): Promise<string[]> {
	using tree = temporaryTree();
	await using mount = await mountOverlay({ ...tree.layers(describeLayers()), options });
	const held: Held[] = [];
	const wrong: string[] = [];
	for (let round = 0; round < rounds; round++) {
		const { actions, failures } = await work(mount, round, seconds);
		wrong.push(...failures);
		held.push(await measureForgotten(mount));
		onRound?.(round, held.at(-1) as Held, actions);
		if (mount.daemons.length !== 1) return [...wrong, `the daemon is gone: ${mount.log}`];
	}
	const [first, last] = [held[0] as Held, held.at(-1) as Held];
	wrong.push(...unequal(first, last));
	const complaints = mount.log.split("\n").filter((line) => line !== "" && !/# [A-Z ]+: \d+$/.test(line));
	return [...wrong, ...complaints.slice(0, 20)];
}

/** One round of the load; how much was done, and what those processes complained of that failed. */
async function work(mount: OverlayMount, round: number, seconds: number) {
	const children = Array.from({ length: processes }, (_, index) => {
		const seed = round * processes + index + 1;
		return Bun.spawn([process.execPath, load, mount.path, String(index), String(seed), String(seconds)], {
			cwd: "/",
			stdio: ["ignore", "pipe", "pipe"],
		});
	});
	let actions = 0;
	const failures: string[] = [];
	for (const [index, child] of children.entries()) {
		const [done, complaint] = await Promise.all([
			new Response(child.stdout).text(),
			new Response(child.stderr).text(),
		]);
		const status = await child.exited;
		actions += Number(done);
		if (status !== 0) failures.push(`round ${round}, process ${index} ended with ${status}: ${complaint}`);
	}
	return { actions, failures };
}

function unequal(first: Held, last: Held): string[] {
	const wrong: string[] = [];
	if (last.nodes !== 1) wrong.push(`${last.nodes} nodes, of which only the root should remain`);
	if (last.descriptors !== first.descriptors)
		wrong.push(`${last.descriptors} descriptors, ${first.descriptors} after the first round`);
	if (last.workers > largestWorkers) wrong.push(`${last.workers} Workers`);
	if (last.memory > first.memory + largestGrowth)
		wrong.push(`${last.memory} MiB, ${first.memory} after the first round`);
	return wrong;
}
