/** Where nodes are on disk: known to the overlay, and asked by what keeps descriptors of them. */

import type { Fd } from "../../native/libc/file.ts";
import type { Place } from "../layers/layer.ts";
import type { NodeId } from "./node.ts";

/** How many descriptors a cache keeps open. */
export interface DescriptorLimits {
	/** At most so many between requests. */
	readonly largest: number;
	/** So many may be held of what has no name, until it is forgotten. */
	readonly mostHeld: number;
}

export interface Places {
	/** The node's place on disk, in a record that the next call overwrites. */
	locate(node: NodeId): Place;
	/** Opens an object without a name by what leads to it still. Throws ESTALE where nothing does, and what opening may. */
	openNameless(node: NodeId, flags: number): Fd;
	/** Whether something leads to a node without a name that is not kept open for it. */
	isReachable(node: NodeId): boolean;
	/** Whether the node's object is in the upper layer. */
	isUpper(node: NodeId): boolean;
	/** Whether `layer` is the upper one. */
	isUpperLayer(layer: number): boolean;
	/** Throws ESTALE for a descriptor, just opened by a node's name, of what is another object by now. */
	checkOpened(node: NodeId, fd: Fd): void;
}
