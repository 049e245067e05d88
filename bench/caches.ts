/**
 * What the kernel holds in memory of the layers when a workload begins. Nothing of it is ours alone: whoever empties
 * the caches of this machine does so for all, and takes them from the mounts being measured too.
 */

import { readFileSync } from "node:fs";
import type { Client } from "./client.ts";

export class Caches {
	private readonly client: Client;
	/** Whether this machine lets us empty them. */
	readonly canDrop: boolean;
	private readonly countBefore: number;
	private ownCount = 0;

	private constructor(client: Client, canDrop: boolean) {
		this.client = client;
		this.canDrop = canDrop;
		this.countBefore = countDrops();
	}

	/** Tries to empty them; fails only when `signal` says so. */
	static async open(client: Client, signal: AbortSignal): Promise<Caches> {
		try {
			await client.run(["drop"]);
			return new Caches(client, true);
		} catch {
			signal.throwIfAborted();
			return new Caches(client, false);
		}
	}

	/**
	 * Brings the layers in `tree` into the state `cache` of a workload, see there. Nothing is left to be written to the file
	 * system of `directory`.
	 */
	async prepare(cache: "warm" | "cold", tree: string, directory: string): Promise<void> {
		await this.client.run([cache === "warm" ? "warm" : "walk", tree]);
		await this.client.run(["settle", directory]);
		if (cache === "cold") await this.drop();
	}

	/** Names and inodes that nobody uses. Does nothing where it cannot be done. */
	async drop(): Promise<void> {
		if (!this.canDrop) return;
		this.ownCount++;
		await this.client.run(["drop"]);
	}

	/** How often somebody else has emptied them since the beginning. */
	get droppedByOthers(): number {
		return countDrops() - this.countBefore - this.ownCount;
	}
}

function countDrops(): number {
	return Number(/^drop_slab (\d+)$/m.exec(readFileSync("/proc/vmstat", "latin1"))?.[1] ?? 0);
}
