/**
 * With `index=on`: the files with several names in lower layers, which stay one file when they are copied up. Such a file is one
 * node under any of its names, before and after. Its copy has a name in `WORKDIR/index` (marks/index-entry.ts), by which the
 * node goes from then on: it does not matter which of its names the upper layer has by then.
 */

import { type Fd, NO_FD } from "../../native/libc/file.ts";
import { fileSystemOf, inodeHigh, inodeLow } from "../../native/libc/stat.ts";
import { type Name, type Offset, reserve, writeString } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import { NO_NODE, type NodeId } from "./node.ts";

/** Longest name of an entry: twice the longest handle and what stands before it. */
const NAME = reserve(512) as Name;

export interface IndexedFile {
	/** Its name in the index, whether it has been copied up or not. */
	readonly entry: ByteString;
	/** The lower file's link count. */
	readonly lowerLinks: number;
	/** How many names users see. */
	links: number;
	isCopied: boolean;
	/** The difference to the upper file's link count that its attribute says; undefined: none, or one to the lower file's. */
	noted: number | undefined;
}

export class Indexed {
	/** `WORKDIR/index`, once it is open. */
	fd: Fd = NO_FD;
	private readonly files = new Map<NodeId, IndexedFile & { readonly key: string }>();
	private readonly byLower = new Map<string, NodeId>();

	/** The node of the lower file that a `struct statx` describes, or NO_NODE. */
	find(lower: Offset): NodeId {
		return this.byLower.get(keyOf(lower)) ?? NO_NODE;
	}

	/** A node stands for a lower file, whose `struct statx` is at `lower`, under all its names. */
	add(node: NodeId, lower: Offset, file: IndexedFile): void {
		const key = keyOf(lower);
		this.files.set(node, { ...file, key });
		this.byLower.set(key, node);
	}

	get(node: NodeId): IndexedFile | undefined {
		return this.files.get(node);
	}

	/** Whether the node goes by its name in the index. */
	isCopied(node: NodeId): boolean {
		return this.files.get(node)?.isCopied === true;
	}

	/** The name in the index, which the next call overwrites. */
	name({ entry }: Pick<IndexedFile, "entry">): Name {
		writeString(NAME, entry);
		return NAME;
	}

	/** The node is as any other from now on, or freed. */
	forget(node: NodeId): void {
		const file = this.files.get(node);
		if (file === undefined) return;
		this.files.delete(node);
		this.byLower.delete(file.key);
	}
}

/** Device and inode number; text, because an inode number may use all 64 bits. */
function keyOf(stat: Offset): string {
	return `${fileSystemOf(stat)}:${inodeHigh(stat)}:${inodeLow(stat)}`;
}
