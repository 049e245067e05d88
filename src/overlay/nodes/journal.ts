/**
 * The change in hand, for a successor of this daemon: the kernel then asks once more for what it has had no answer to, and that
 * may have been done. Whether it was can be seen in the layers by what is noted here before the one step that does it; then the
 * node table follows, and the request is not carried out twice (changes/take-over.ts).
 */

import { fuseInHeader, timespec } from "../../native/layout.ts";
import { copy, lengthOf, type Name, type Offset, words } from "../../native/memory.ts";
import { NO_NODE, type NodeId } from "./node.ts";
import type { State } from "./state.ts";
import { IS_AGAIN } from "./state-layout.ts";

export const change = {
	none: 0,
	/** A node's copy gets its name in the upper layer. */
	copying: 1,
	/** Something new gets a name there; a further name of a file does. */
	making: 2,
	/** A name goes. */
	removing: 3,
	/** `name` becomes `newName`, or the two change places. */
	moving: 4,
	exchanging: 5,
	/** An attribute that was not there is set, or one that was there is removed. */
	settingAttribute: 6,
	/** A file goes by this one of its names from now on; no step on disk. */
	goingByAnother: 7,
} as const;

/** The names that a change is about. */
export interface Names {
	readonly node: NodeId;
	readonly parent: NodeId;
	readonly name: Name;
}

const record = {
	kind: 0,
	uniqueLow: 4,
	uniqueHigh: 8,
	node: 12,
	parent: 16,
	newNode: 20,
	newParent: 24,
	inodeLow: 28,
	inodeHigh: 32,
	/** Access and modification time of the directory that a copy gets its name in, two `struct timespec`. */
	times: 40,
	name: 72,
	newName: 328,
	sizeof: 584,
} as const;
/** Requests that were found done, the oldest first: how many, and their numbers. */
const DONE = record.sizeof;
const MOST_DONE = 64;

export class Journal {
	private readonly at: Offset;
	/** The number of the request in hand. */
	private readonly unique: Offset;

	constructor(state: State) {
		this.at = state.journal;
		this.unique = state.message + fuseInHeader.unique;
	}

	/**
	 * Notes the change that the next step makes. `low`, `high`: the inode number, on disk, of what is moved, or of a copy that
	 * has one of its own; for removing: whether the name is one of the upper layer, 1 or 0.
	 */
	begin(kind: number, from: Names, to?: Names, low = 0, high = 0): void {
		const { at, unique } = this;
		words[(at + record.kind) >>> 2] = change.none;
		words[(at + record.uniqueLow) >>> 2] = words[unique >>> 2]!;
		words[(at + record.uniqueHigh) >>> 2] = words[(unique + 4) >>> 2]!;
		words[(at + record.inodeLow) >>> 2] = low;
		words[(at + record.inodeHigh) >>> 2] = high;
		words[(at + record.node) >>> 2] = from.node;
		words[(at + record.parent) >>> 2] = from.parent;
		copy(at + record.name, from.name, lengthOf(from.name) + 1);
		if (to !== undefined) {
			words[(at + record.newNode) >>> 2] = to.node;
			words[(at + record.newParent) >>> 2] = to.parent;
			copy(at + record.newName, to.name, lengthOf(to.name) + 1);
		}
		words[(at + record.kind) >>> 2] = kind;
	}

	/** Notes the times that a directory is to have again, two `struct timespec`, once the change begun next is made. */
	keepTimes(times: Offset): void {
		// Those of the change before are not needed any more.
		this.end();
		copy(this.at + record.times, times, 2 * timespec.sizeof);
	}

	get times(): Offset {
		return this.at + record.times;
	}

	/** The request in hand was answered: its change is done, with all that follows from it. */
	end(): void {
		this.set(record.kind, change.none);
	}

	/** The change in hand when the last daemon ended, `change.none` if there was none. */
	get kind(): number {
		return this.get(record.kind);
	}

	get from(): Names {
		return this.readNames(record.node, record.parent, record.name);
	}

	get to(): Names {
		return this.readNames(record.newNode, record.newParent, record.newName);
	}

	/** As given to {@link begin}. */
	get inode(): [number, number] {
		return [this.get(record.inodeLow), this.get(record.inodeHigh)];
	}

	/** The change in hand was found done. */
	noteDone(): void {
		const count = this.get(DONE);
		const at = DONE + 4 + (count % MOST_DONE) * 8;
		this.set(at, this.get(record.uniqueLow));
		this.set(at + 4, this.get(record.uniqueHigh) & ~IS_AGAIN);
		this.set(DONE, count + 1);
	}

	/** Whether the request in hand was carried out before, and only not answered. */
	get isDone(): boolean {
		const high = words[(this.unique + 4) >>> 2]!;
		if ((high & IS_AGAIN) === 0) return false;
		const low = words[this.unique >>> 2]!;
		for (let index = Math.min(this.get(DONE), MOST_DONE) - 1; index >= 0; index--) {
			const at = DONE + 4 + index * 8;
			if (this.get(at) === low && this.get(at + 4) === (high & ~IS_AGAIN)) return true;
		}
		return false;
	}

	private readNames(node: number, parent: number, name: number): Names {
		return {
			node: this.get(node) as NodeId,
			parent: this.get(parent) as NodeId,
			name: (this.at + name) as Name,
		};
	}

	private get(field: number): number {
		return words[(this.at + field) >>> 2]!;
	}

	private set(field: number, value: number): void {
		words[(this.at + field) >>> 2] = value;
	}
}

/** A name that nothing has yet. */
export function free(parent: NodeId, name: Name): Names {
	return { node: NO_NODE, parent, name };
}
