/** The files of the upper layer that have several names, which are one node under any of them. */

import { fileSystemOf, inodeHigh, inodeLow } from "../native/libc/stat.ts";
import type { Offset } from "../native/memory.ts";
import { NO_NODE, type NodeId } from "./node.ts";

/** Nodes by the inode of their file in the upper layer, for files with several names. */
export class UpperLinks {
	private readonly nodes = new Map<string, NodeId>();
	private readonly keys = new Map<NodeId, string>();

	/** The node of the file a `struct statx` describes, or NO_NODE. */
	find(stat: Offset): NodeId {
		return this.nodes.size === 0 ? NO_NODE : (this.nodes.get(keyOf(stat)) ?? NO_NODE);
	}

	add(node: NodeId, stat: Offset): void {
		const key = keyOf(stat);
		this.nodes.set(key, node);
		this.keys.set(node, key);
	}

	remove(node: NodeId): void {
		const key = this.keys.get(node);
		if (key === undefined) return;
		this.keys.delete(node);
		this.nodes.delete(key);
	}
}

/** Device and inode number; text, because an inode number may use all 64 bits. */
function keyOf(stat: Offset): string {
	return `${fileSystemOf(stat)}:${inodeHigh(stat)}:${inodeLow(stat)}`;
}
