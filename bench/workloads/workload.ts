/** What a workload is: a declaration, which bench.ts carries out the same way for every peer. */

import type { Client, ClientCommand } from "../client.ts";

/** Sizes at scale 1 turned into those of this run. */
export class Scale {
	readonly factor: number;

	constructor(factor: number) {
		this.factor = factor;
	}

	/** At least 1. */
	count(full: number): number {
		return Math.max(1, Math.round(full * this.factor));
	}

	/** At least 1 MiB, and whole MiB. */
	mebibytes(full: number): number {
		return this.count(full) * 2 ** 20;
	}
}

/** Where the lower layers of a tree are built. */
export interface BuildSite {
	/** The tree's directory. Layers lie in it, and what else a workload needs. */
	readonly directory: string;
	/** The path of a layer, 0 being the topmost; the directory is there already. */
	layer(index: number): string;
	readonly scale: Scale;
	readonly client: Client;
	/** Runs a program within the tree's directory, its output dropped; throws StepFailed. */
	execute(...command: string[]): Promise<void>;
}

/** Thrown by a tree that cannot be built on this machine: its workloads are left out, and the message says why. */
export class Unavailable extends Error {
	override readonly name = "Unavailable";
}

/** Lower layers, built once per run; never changed, so that all peers share them. */
export interface Tree {
	readonly name: string;
	readonly layers: number;
	/** Throws StepFailed, or Unavailable. */
	build(site: BuildSite): Promise<void>;
}

/** What a workload finds when it runs. */
export interface Stage {
	/** The mountpoint. */
	readonly merged: string;
	/** The tree's directory, outside the mount. */
	readonly tree: string;
	readonly scale: Scale;
}

/** `baseline`: single operations. `daily`: programs that people run. `scale`: many layers, files, clients. */
export type Group = "baseline" | "daily" | "scale";

export interface Workload {
	readonly name: string;
	readonly group: Group;
	/** What it does, for people. */
	readonly what: string;
	readonly tree: Tree;
	/**
	 * State of the layers' own file system when it begins; the mount is always a fresh one. `warm`: all of the layers is in
	 * memory. `cold`: names and inodes were dropped from memory, the disk's blocks were not.
	 */
	readonly cache: "warm" | "cold";
	/** How many operations `run` makes: what time per operation is reckoned by. */
	operations(scale: Scale): number;
	/** Bytes of contents that it moves: what throughput is reckoned by, in place of operations. */
	bytes?(scale: Scale): number;
	/** Goes before, untimed, through the mount. */
	prepare?(stage: Stage): readonly ClientCommand[];
	/** The timed command; `mount`: mounting itself. */
	readonly run: "mount" | ((stage: Stage) => ClientCommand);
	/** Programs without which it is left out. */
	readonly needs?: readonly string[];
	/** Look at the daemon's memory once more after the kernel has dropped its caches. */
	readonly dropsAfterwards?: boolean;
	/** Takes so long that it runs only when named. */
	readonly onRequest?: boolean;
}
