/** The daemon is killed while it works: what it leaves is whole, and the next mount goes on from it. */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TemporaryTree } from "../harness/layers.ts";
import { mountOverlay } from "../harness/mount.ts";
import { randomNumbers } from "../overlay/random.ts";
import { brokenFiles, lostContent, lostDirectories, rubbish } from "./check.ts";

const load = join(import.meta.dir, "load.ts");
/** Milliseconds from the load's first mark; enough for hundreds of changes. */
const longestLife = 150;

/** @param moves whether directories are renamed, too */
export function startLoad(mountpoint: string, marks: string, seed: number, most: number, moves: boolean) {
	const args = [mountpoint, marks, String(seed), String(most), moves ? "moves" : ""];
	return Bun.spawn([process.execPath, load, ...args], {
		cwd: "/",
		stdio: ["ignore", "inherit", "inherit"],
	});
}

export interface KillResult {
	/** Changes that had been synced when it was killed. */
	readonly synced: number;
	/** Something was in the workdir when it was killed. */
	readonly wasInterrupted: boolean;
	readonly wrong: readonly string[];
}

/**
 * One mount, one load, one kill at a moment that the seed chooses; what is wrong afterwards.
 * @param lower the layer of {@link import("./files.ts").lowerLayer}
 */
export async function killUnderLoad(tree: TemporaryTree, lower: string, seed: number): Promise<KillResult> {
	const random = randomNumbers(seed);
	const at = (name: string) => tree.layer(`${seed}/${name}`);
	const request = { lower: [lower], upper: at("upper"), work: at("work"), mountpoint: at("merged") };
	const options = [
		"redirect_dir=on",
		...(random(2) === 0 ? [] : ["passthrough=off"]),
		...(random(2) === 0 ? [] : ["metacopy=on"]),
	];
	const marks = tree.join(`${seed}/marks`);
	writeFileSync(marks, "");
	const mount = await mountOverlay({ ...request, options });
	const working = startLoad(mount.path, marks, seed, 1_000_000, true);
	while (working.exitCode === null && readFileSync(marks).length === 0) await Bun.sleep(1);
	await Bun.sleep(random(longestLife));
	for (const pid of mount.daemons) process.kill(pid, "SIGKILL");
	const status = await working.exited;
	await mount.forget();
	const wrong = status === 0 ? [] : [`the load ended with ${status}`];
	wrong.push(...brokenFiles(request.upper));
	const wasInterrupted = rubbish(request.work).length > 0;
	const synced = readFileSync(marks, "latin1").split("\n").slice(0, -1);
	await using again = await mountOverlay({ ...request, options });
	wrong.push(...rubbish(request.work).map((name) => `left in the workdir: ${name}`));
	wrong.push(...lostContent(again.path, synced), ...lostDirectories(again.path));
	if (!existsSync(again.at("d0"))) wrong.push("d0 is missing");
	return { synced: synced.length, wasInterrupted, wrong };
}
