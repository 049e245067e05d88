/**
 * What nodes without a name in the mount have in the workdir instead: a name by which their object is reached. It goes when
 * the node is forgotten, and at the latest when the workdir is emptied.
 */

import { moveName } from "../../native/libc/directory.ts";
import { check } from "../../native/libc/errno.ts";
import { type Name, reserve, writeString } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import type { Workdir } from "../layers/workdir.ts";
import { NO_NODE, type NodeId } from "./node.ts";
import type { RemovedDirectories } from "./removed-directories.ts";

const NAME = reserve(40) as Name;

export class Parked {
	/** Directories that have nothing there, while this process holds them; undefined: nobody goes on after it. */
	removedDirectories: RemovedDirectories | undefined;
	private readonly work: Workdir | undefined;
	private readonly nodes = new Set<NodeId>();

	/** @param work undefined: nothing is ever parked */
	constructor(work: Workdir | undefined) {
		this.work = work;
	}

	/** The name in the workdir that is the node's, whether it is in use or not. The next call overwrites it. */
	name(node: NodeId): Name {
		const owner = this.work?.isShared ? `${process.pid.toString(16)}-` : "";
		writeString(NAME, `#${owner}n${node.toString(16)}` as ByteString);
		return NAME;
	}

	/** The node whose name in a workdir of one's own this is, if that is one; else NO_NODE. */
	nodeOf(name: ByteString): NodeId {
		const [, node] = /^#n([0-9a-f]+)$/.exec(name) ?? [];
		return node === undefined ? NO_NODE : (Number.parseInt(node, 16) as NodeId);
	}

	has(node: NodeId): boolean {
		return this.nodes.has(node);
	}

	/** The node's object has its {@link name} now. */
	add(node: NodeId): void {
		this.nodes.add(node);
	}

	/** What is in the workdir under a temporary name is the node's object from now on. Throws what renaming may. */
	moveIn(work: Workdir, node: NodeId, temporary: Name): void {
		check(moveName(work.fd, temporary, work.fd, this.name(node), 0));
		this.add(node);
	}

	/** Takes away what the node has in the workdir, if it has anything. */
	remove(node: NodeId): void {
		this.removedDirectories?.forget(node);
		if (this.nodes.delete(node)) this.work?.discard(this.name(node));
	}

	/** Takes all of them away. */
	clear(): void {
		for (const node of this.nodes) this.remove(node);
	}
}
