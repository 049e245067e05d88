/**
 * Which copied-up file shows the inode number of its origin. Whoever copies files of an upper layer with all their attributes
 * makes two that name one origin: with one number, diff(1), tar(1) and the like would take them for the same file.
 */

import type { NodeId, NodeTable } from "./node.ts";

export class OriginNumbers {
	private readonly nodes: NodeTable;
	private readonly shownBy = new Map<string, NodeId>();

	constructor(nodes: NodeTable) {
		this.nodes = nodes;
	}

	/** Takes a number for a node of the upper layer; false: another that the kernel knows shows it. */
	claim(node: NodeId, low: number, high: number): boolean {
		const number = `${high}:${low}`;
		const shownBy = this.shownBy.get(number) ?? node;
		if (shownBy !== node) return false;
		this.shownBy.set(number, node);
		return true;
	}

	forget(node: NodeId): void {
		// Only what is in the upper layer is a copy.
		if (this.shownBy.size === 0 || this.nodes.layer(node) !== 0) return;
		const number = `${this.nodes.inodeHigh(node)}:${this.nodes.inodeLow(node)}`;
		if (this.shownBy.get(number) === node) this.shownBy.delete(number);
	}
}
