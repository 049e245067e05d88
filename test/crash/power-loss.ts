/** The power fails while the load works: nothing that a rename made visible lacks its data, nothing synced is lost. */

import { fsyncSync, mkdirSync, writeSync } from "node:fs";
import { join } from "node:path";
import { open } from "../harness/descriptor.ts";
import type { TemporaryTree } from "../harness/layers.ts";
import { mountOverlay } from "../harness/mount.ts";
import { randomNumbers } from "../overlay/random.ts";
import { brokenFiles, lostContent, lostDirectories, rubbish } from "./check.ts";
import { startLoad } from "./kill.ts";
import { type FileSystem, type PowerLoss, powerLosses, RecordedDisk, run } from "./recording.ts";

/** Changes that a recording holds. */
const changes = 200;

export interface PowerLossSettings {
	readonly type: FileSystem;
	readonly seed: number;
	/** Moments at which the power fails, all in one recording. */
	readonly images: number;
	readonly options?: readonly string[];
	/** The lower layer lies on the disk too, so that copies can share its blocks. */
	readonly isShared?: boolean;
}

interface Trial {
	readonly tree: TemporaryTree;
	/** The layer of {@link import("./files.ts").lowerLayer}. */
	readonly lower: string;
	/** What {@link import("./recording.ts").compileRecorder} made. */
	readonly recorder: string;
}

/** What is wrong on each image, in words; one empty list for each image on which all is well. */
export async function losePower(trial: Trial, settings: PowerLossSettings): Promise<(readonly string[])[]> {
	const { tree, lower } = trial;
	const { type, seed, images, options = [] } = settings;
	const name = `${type}-${seed}`;
	const recorded = await record(trial, name, settings);
	const results: (readonly string[])[] = [];
	const found = tree.layer(`${name}/found`);
	const random = randomNumbers(seed);
	for (const loss of powerLosses(recorded, tree.layer(`${name}/images`), images, random)) {
		const merged = tree.layer(`${name}/merged-found`);
		results.push(await examine(loss, lower, found, merged, settings.type, options));
	}
	return results;
}

async function record({ tree, lower, recorder }: Trial, name: string, settings: PowerLossSettings) {
	await using disk = await RecordedDisk.create(tree, name, settings.type, recorder);
	const [upper, work] = [join(disk.path, "upper"), join(disk.path, "work")];
	mkdirSync(upper);
	mkdirSync(work);
	const { isShared = false } = settings;
	// btrfs may lose the whiteout that a rename left in its place, and both names then show the directory.
	const moves = settings.type !== "btrfs";
	const leavesData = settings.seed % 2 === 0;
	const options = ["redirect_dir=on", ...(leavesData ? ["metacopy=on"] : []), ...(settings.options ?? [])];
	if (isShared) run("cp", "--archive", lower, join(disk.path, "lower"));
	const request = {
		lower: [isShared ? join(disk.path, "lower") : lower],
		upper,
		work,
		mountpoint: tree.layer(`${name}/merged`),
		options,
	};
	// The first mark stands for the whole mount, so that every moment finds the directories.
	run("sync", "--file-system", disk.path);
	await using mount = await mountOverlay(request);
	const working = startLoad(mount.path, disk.marks, settings.seed, changes, moves);
	while (working.exitCode === null) {
		syncNeighbour(disk.path);
		await Bun.sleep(3);
	}
	const status = await working.exited;
	if (status !== 0) throw new Error(`the load ended with ${status}`);
	return { log: disk.log, base: disk.base };
}

/**
 * Another program syncs a file of its own: the file system then writes down all renames so far, but of the data only
 * that of this file. Whoever has not seen to their own data first, is found out.
 */
function syncNeighbour(path: string): void {
	using file = open(join(path, "neighbour"), "a");
	writeSync(file.fd, "x");
	fsyncSync(file.fd);
}

/** Mounting the image runs its journal; then the overlay is mounted on what is there. */
async function examine(
	{ image, marks }: PowerLoss,
	lower: string,
	path: string,
	mountpoint: string,
	type: FileSystem,
	options: readonly string[],
): Promise<string[]> {
	// Of the same file system another image may still be mounted, in a mount namespace that somebody else has made.
	run("mount", "-o", type === "xfs" ? "loop,nouuid" : "loop", image, path);
	try {
		const [upper, work] = [join(path, "upper"), join(path, "work")];
		const wrong = brokenFiles(upper);
		await using mount = await mountOverlay({ lower: [lower], upper, work, mountpoint, options });
		wrong.push(
			...rubbish(work).map((rest) => `left in the workdir: ${rest}`),
			...lostContent(mount.path, marks),
			...lostDirectories(mount.path),
		);
		return wrong;
	} finally {
		// The overlay's mount is gone by now.
		run("umount", path);
	}
}
