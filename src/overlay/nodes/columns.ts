/** Where the node table keeps what a node is: in arrays of one entry each, and its name. */

import { allocate, type Offset, release } from "../../native/memory.ts";

/** The kind of what is no node. */
export const FREE = 0;
/** Generations begin again after as many, so that one stands in the upper half of a safe integer. */
export const GENERATIONS = 2 ** 20;

export interface Columns {
	/** Nodes there is room for. */
	readonly capacity: number;
	/** The largest id ever given out. */
	highest: number;
	readonly parents: Uint32Array;
	readonly names: Uint32Array;
	readonly lengths: Uint8Array;
	readonly lookups: Float64Array;
	readonly layers: Uint16Array;
	readonly kinds: Uint8Array;
	readonly flags: Uint8Array;
	readonly inodesLow: Uint32Array;
	readonly inodesHigh: Uint32Array;
	readonly generations: Uint32Array;
	/** Whether they can be made smaller. */
	readonly shrinks: boolean;
	/** The same with room for as many and more; undefined: there cannot be as many. `used`: the entries to keep; all, if undefined. */
	resized(capacity: number, used?: readonly number[]): Columns | undefined;
	/** A block for a name of so many bytes, its NUL counted. Throws ENOMEM. */
	allocate(size: number): Offset;
	release(block: Offset, size: number): void;
}

const INITIAL_CAPACITY = 256;
const LARGEST_CAPACITY = 2 ** 28;

/** Of this process alone. */
export class OwnColumns implements Columns {
	readonly capacity: number;
	highest = 0;
	readonly parents: Uint32Array;
	readonly names: Uint32Array;
	readonly lengths: Uint8Array;
	readonly lookups: Float64Array;
	readonly layers: Uint16Array;
	readonly kinds: Uint8Array;
	readonly flags: Uint8Array;
	readonly inodesLow: Uint32Array;
	readonly inodesHigh: Uint32Array;
	readonly generations: Uint32Array;

	constructor(capacity = INITIAL_CAPACITY) {
		this.capacity = capacity;
		this.parents = new Uint32Array(capacity);
		this.names = new Uint32Array(capacity);
		this.lengths = new Uint8Array(capacity);
		this.lookups = new Float64Array(capacity);
		this.layers = new Uint16Array(capacity);
		this.kinds = new Uint8Array(capacity);
		this.flags = new Uint8Array(capacity);
		this.inodesLow = new Uint32Array(capacity);
		this.inodesHigh = new Uint32Array(capacity);
		this.generations = new Uint32Array(capacity);
	}

	get shrinks(): boolean {
		return this.capacity > INITIAL_CAPACITY;
	}

	resized(least: number, used?: readonly number[]): Columns | undefined {
		let capacity = INITIAL_CAPACITY;
		while (capacity < least) capacity *= 2;
		if (capacity > LARGEST_CAPACITY) return undefined;
		const other = new OwnColumns(capacity);
		other.highest = this.highest;
		moved(this.parents, other.parents, used);
		moved(this.names, other.names, used);
		moved(this.lengths, other.lengths, used);
		moved(this.lookups, other.lookups, used);
		moved(this.layers, other.layers, used);
		moved(this.kinds, other.kinds, used);
		moved(this.flags, other.flags, used);
		moved(this.inodesLow, other.inodesLow, used);
		moved(this.inodesHigh, other.inodesHigh, used);
		moved(this.generations, other.generations, used);
		return other;
	}

	allocate(size: number): Offset {
		return allocate(size);
	}

	release(block: Offset, size: number): void {
		release(block, size);
	}
}

/** `to`, with what `from` has, or, where `used` says so, some of that. */
export function moved<Column extends Uint8Array | Uint16Array | Uint32Array | Float64Array>(
	from: Column,
	to: Column,
	used: readonly number[] | undefined,
): Column {
	if (used === undefined) to.set(from);
	else for (const index of used) to[index] = from[index]!;
	return to;
}
