/** Waiting for a job that works on a node. */

import type { NodeId } from "./node.ts";

/** Thrown by an operation that must wait: it changed nothing and is to be run again once `node` is idle. */
export class Deferred extends Error {
	override readonly name = "Deferred";
	readonly node: NodeId;

	constructor(node: NodeId) {
		super("waits for a job");
		this.node = node;
	}
}
