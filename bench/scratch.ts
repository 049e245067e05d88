/** Everything a benchmark leaves on disk lies in one directory, which goes away with it, mounts included. */

import { mkdirSync, mkdtempSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { detachMountsUnder } from "../test/harness/mount-table.ts";
import { daemonsOf, endProcesses } from "./daemon.ts";

export class Scratch implements AsyncDisposable {
	/** Also what marks the daemons of this benchmark, see daemon.ts. */
	readonly path: string;

	constructor(base: string) {
		mkdirSync(base, { recursive: true });
		this.path = mkdtempSync(join(realpathSync(base), "fuse-overlayfs-bench-"));
	}

	/** A directory in it, made if need be. */
	directory(...names: string[]): string {
		const path = join(this.path, ...names);
		mkdirSync(path, { recursive: true });
		return path;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		// First the daemons: of a mount whose daemon hangs, nothing can be asked.
		await endProcesses(daemonsOf(this.path));
		detachMountsUnder(this.path);
		await removeTree(this.path);
	}
}

/** The caller sees to it that nothing is mounted below. */
export async function removeTree(path: string): Promise<void> {
	// The program is several times as fast as node:fs, and stays out of mounts.
	await Bun.spawn(["rm", "-rf", "--one-file-system", path], { stdio: ["ignore", "ignore", "inherit"] })
		.exited;
}
