/** What a workload is: a declaration, which bench.ts carries out the same way for every peer. */

import type { Client, ClientCommand, Timing } from "../client.ts";
import type { Memory } from "../daemon.ts";
import type { Peer } from "../peers.ts";
import type { Placement } from "../placement.ts";

/** How long a mount is left alone, at scale 1, where a workload looks at what its daemon takes then. */
export const IDLE_SECONDS = 60;

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

/**
 * `baseline`: single operations. `daily`: programs that people run. `scale`: many layers, files, clients. `podman`: what
 * it does as root, `podman_rootless`: as an ordinary user. `own_disk`: on the machine's own file system, `busy_disk`: there
 * beside a process that writes. `slow`: layers that take their time. `small`: small files, one after the other.
 */
export type Group =
	| "baseline"
	| "daily"
	| "scale"
	| "podman"
	| "podman_rootless"
	| "own_disk"
	| "busy_disk"
	| "slow"
	| "small";

export function isOfPodman({ group }: { readonly group: Group }): boolean {
	return group === "podman" || group === "podman_rootless";
}

interface AnyWorkload {
	readonly name: string;
	readonly group: Group;
	/** What it does, for people. */
	readonly what: string;
	/** How many operations it makes: what time per operation is reckoned by. */
	operations(scale: Scale): number;
	/** Bytes of contents that it moves: what throughput is reckoned by, in place of operations. */
	bytes?(scale: Scale): number;
	/** Programs without which it is left out. */
	readonly needs?: readonly string[];
	/** It mounts something itself, and calls chroot. */
	readonly mounts?: boolean;
	/** Takes so long that it runs only when named. */
	readonly onRequest?: boolean;
}

/** Runs in a mount that the benchmark makes for it. */
export interface MountedWorkload extends AnyWorkload {
	readonly tree: Tree;
	/** Where tree and upper layer lie; missing: where the benchmark has them. */
	readonly disk?: "own";
	/** Milliseconds after which the layers answer each request, see slow-layer.c; missing: they are plain directories. */
	readonly delay?: number;
	/**
	 * State of the layers' own file system when it begins; the mount is always a fresh one. `warm`: all of the layers is in
	 * memory. `cold`: names and inodes were dropped from memory, the disk's blocks were not.
	 */
	readonly cache: "warm" | "cold";
	/** Goes before, untimed, through the mount. */
	prepare?(stage: Stage): readonly ClientCommand[];
	/** The timed command; `mount`: mounting itself. */
	readonly run: "mount" | ((stage: Stage) => ClientCommand);
	/** Look at the daemon's memory once more after nobody has used the mount for a minute, then the kernel has dropped its caches. */
	readonly restsAfterwards?: boolean;
}

/** What a workload finds that does without such a mount. */
export interface Place {
	readonly peer: Peer;
	/** For what is kept until the benchmark ends. */
	readonly directory: string;
	/** Holds that directory, and the programs that the benchmark has built. */
	readonly scratch: string;
	readonly placement: Placement;
	/** The root of a system whose podman is measured; missing: this one's. */
	readonly podmanRoot?: string | undefined;
	readonly scale: Scale;
	/** Does what is measured. */
	readonly client: Client;
	/** Runs a program within the directory and returns what it wrote; throws StepFailed. */
	execute(command: readonly string[], environment?: Readonly<Record<string, string>>): Promise<string>;
	/**
	 * What is made once in a benchmark, when it is first asked for, and disposed of at its end. What failed fails each time.
	 */
	keep<Kept>(name: string, make: () => Promise<Kept>): Promise<Kept>;
}

/** Does by itself what is to be measured. */
export interface DirectWorkload extends AnyWorkload {
	/** Whether a peer runs it; missing: all do. */
	suits?(peer: Peer): boolean;
	/** One sample, with the processor time of all that was started, and memory if daemons are left. Throws StepFailed, or Unavailable. */
	measure(place: Place): Promise<Timing & { readonly memory?: Memory }>;
}

export type Workload = MountedWorkload | DirectWorkload;
