/** Waiting for a job that works on a node. */

import type { Jobs } from "../jobs/job.ts";
import { NO_NODE, type NodeId } from "./node.ts";

/**
 * Thrown by an operation that must wait: it changed nothing and is to be run again once `node` is idle; NO_NODE: once there may be
 * a further job.
 */
export class Deferred extends Error {
	override readonly name = "Deferred";
	readonly node: NodeId;

	constructor(node: NodeId) {
		super("waits for a job");
		this.node = node;
	}
}

/** To be called before anything is opened for a job. Throws {@link Deferred} while there may be no further one. */
export function awaitRoom(jobs: Jobs): void {
	if (!jobs.hasRoom) throw new Deferred(NO_NODE);
}
