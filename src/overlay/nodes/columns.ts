/** Where the node table keeps what a node is: in arrays of one entry each, and its name. */

import { allocate, type Offset, release } from "../../native/memory.ts";

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
	/** The same with room for twice as many; undefined: there cannot be more. */
	enlarge(): Columns | undefined;
	/** The same with room for no more than is needed for those in use, in order; undefined: it cannot be had with less. */
	shrink(used: readonly number[]): Columns | undefined;
	/** A block for a name of so many bytes, its NUL counted. Throws ENOMEM. */
	allocate(size: number): Offset;
	release(block: Offset, size: number): void;
}

export const INITIAL_CAPACITY = 1024;
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

	enlarge(): Columns | undefined {
		if (this.capacity === LARGEST_CAPACITY) return undefined;
		return this.moveTo(new OwnColumns(this.capacity * 2), this.highest);
	}

	shrink(used: readonly number[]): Columns {
		const highest = used.at(-1)!;
		let capacity = INITIAL_CAPACITY;
		while (capacity <= highest) capacity *= 2;
		return this.moveTo(new OwnColumns(capacity), highest, used);
	}

	private moveTo(other: OwnColumns, highest: number, used?: readonly number[]): OwnColumns {
		other.highest = highest;
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
	used?: readonly number[],
): Column {
	if (used === undefined) to.set(from);
	else for (const index of used) to[index] = from[index]!;
	return to;
}
