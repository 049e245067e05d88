/** A node table to try things on. */
import { DT_REG } from "../../src/native/layout.ts";
import { type Name, release, store } from "../../src/native/memory.ts";
import type { ByteString } from "../../src/options.ts";
import { measure } from "../../src/overlay/nodes/name.ts";
import { type NodeId, NodeTable } from "../../src/overlay/nodes/node.ts";

export function named<Result>(text: string, action: (name: Name) => Result): Result {
	const name = store(text as ByteString);
	try {
		return action(name);
	} finally {
		release(name, text.length + 1);
	}
}

/** A table that remembers what it freed, with names as text. */
export class Table extends NodeTable {
	readonly freed: NodeId[];

	constructor() {
		const freed: NodeId[] = [];
		super((node) => freed.push(node));
		this.freed = freed;
	}

	findText(parent: NodeId, text: string): NodeId {
		return named(text, (name) => this.find(parent, name, measure(name)));
	}

	attachText(node: NodeId, parent: NodeId, text: string): void {
		named(text, (name) => this.attach(node, parent, name, measure(name)));
	}

	/** A new node with a name and one reference. */
	make(parent: NodeId, text: string, kind = DT_REG): NodeId {
		const node = this.add(kind, 0);
		this.attachText(node, parent, text);
		this.reference(node);
		return node;
	}
}
