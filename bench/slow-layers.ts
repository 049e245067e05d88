/** Layers that answer each request after some time: the file system of slow-layer.c over each layer of a tree. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { detachMountsUnder } from "../test/harness/mount-table.ts";
import { runStep } from "./client.ts";
import type { Scratch } from "./scratch.ts";

/** Seconds that the kernel may keep their names and attributes. */
const TIMEOUT = 3600;

export class SlowLayers implements AsyncDisposable {
	/** Holds the layers, 0 being the topmost. */
	readonly path: string;

	private constructor(path: string) {
		this.path = path;
	}

	/**
	 * Mounts them anew, so that the kernel knows nothing of them.
	 * @param delay in milliseconds
	 */
	static async open(
		scratch: Scratch,
		tree: string,
		layers: number,
		delay: number,
		signal: AbortSignal,
	): Promise<SlowLayers> {
		const log = join(scratch.path, "slow-layer.log");
		const program = join(scratch.path, "slow-layer");
		const source = join(import.meta.dir, "slow-layer.c");
		if (!existsSync(program)) await runStep(["cc", "-O2", "-pthread", "-o", program, source], log, signal);
		const slow = new SlowLayers(scratch.directory("slow"));
		for (let index = 0; index < layers; index++) {
			const target = scratch.directory("slow", String(index));
			const command = [program, join(tree, String(index)), target, String(delay), String(TIMEOUT)];
			await runStep(command, log, signal);
		}
		return slow;
	}

	/** Their daemons end with them. */
	async [Symbol.asyncDispose](): Promise<void> {
		detachMountsUnder(this.path);
	}
}
