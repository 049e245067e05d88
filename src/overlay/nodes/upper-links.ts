/**
 * The files of the upper layer that have several names, which are one node under any of them; and by which other names
 * the kernel or our own changes have lately met them, for when a node loses the one it goes by.
 */

import { fileSystemOf, inodeHigh, inodeLow } from "../../native/libc/stat.ts";
import type { Offset } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import { NO_NODE, type NodeId } from "./node.ts";

/** A file may have any number of names: so many are remembered beside the one it goes by. */
const MOST_NAMES = 8;

/** A name a file had when it was last met by it. */
export interface OtherName {
	readonly parent: NodeId;
	/** The parent's generation: with another the id stands for another directory. */
	readonly generation: number;
	readonly name: ByteString;
}

interface LinkedFile {
	readonly key: string;
	/** The latest last. */
	readonly names: OtherName[];
}

export class UpperLinks {
	private readonly nodes = new Map<string, NodeId>();
	private readonly files = new Map<NodeId, LinkedFile>();

	/** The node of the file a `struct statx` describes, or NO_NODE. */
	find(stat: Offset): NodeId {
		return this.nodes.size === 0 ? NO_NODE : (this.nodes.get(keyOf(stat)) ?? NO_NODE);
	}

	add(node: NodeId, stat: Offset): void {
		const key = keyOf(stat);
		this.nodes.set(key, node);
		this.files.set(node, { key, names: [] });
	}

	remove(node: NodeId): void {
		const file = this.files.get(node);
		if (file === undefined) return;
		this.files.delete(node);
		this.nodes.delete(file.key);
	}

	/** The node, which goes by another, was met by this name. */
	addName(node: NodeId, met: OtherName): void {
		const names = this.files.get(node)?.names;
		if (names === undefined) return;
		const known = names.findIndex(({ parent, name }) => parent === met.parent && name === met.name);
		if (known !== -1) names.splice(known, 1);
		else if (names.length === MOST_NAMES) names.shift();
		names.push(met);
	}

	hasNames(node: NodeId): boolean {
		return (this.files.get(node)?.names.length ?? 0) > 0;
	}

	/** Takes the latest of the other names, which may lead elsewhere by now; undefined: none is known. */
	takeName(node: NodeId): OtherName | undefined {
		return this.files.get(node)?.names.pop();
	}
}

/** Device and inode number; text, because an inode number may use all 64 bits. */
function keyOf(stat: Offset): string {
	return `${fileSystemOf(stat)}:${inodeHigh(stat)}:${inodeLow(stat)}`;
}
