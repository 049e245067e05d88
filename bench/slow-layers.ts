/** Layers that answer each request after some time: the file system of slow-layer.c over each layer of a tree. */

import { join } from "node:path";
import { detachMountsUnder } from "../test/harness/mount-table.ts";
import { slowLayer } from "../test/harness/slow-layer.ts";
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
	static open(scratch: Scratch, tree: string, layers: number, delay: number): SlowLayers {
		const slow = new SlowLayers(scratch.directory("slow"));
		for (let index = 0; index < layers; index++) {
			const target = scratch.directory("slow", String(index));
			slowLayer(join(tree, String(index)), target, { milliseconds: String(delay), timeout: TIMEOUT });
		}
		return slow;
	}

	/** Their daemons end with them. */
	async [Symbol.asyncDispose](): Promise<void> {
		detachMountsUnder(this.path);
	}
}
