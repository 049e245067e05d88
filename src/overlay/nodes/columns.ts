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
	/** A block for a name of so many bytes, its NUL counted. Throws ENOMEM. */
	allocate(size: number): Offset;
	release(block: Offset, size: number): void;
}

const INITIAL_CAPACITY = 1024;
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
		const larger = new OwnColumns(this.capacity * 2);
		larger.highest = this.highest;
		larger.parents.set(this.parents);
		larger.names.set(this.names);
		larger.lengths.set(this.lengths);
		larger.lookups.set(this.lookups);
		larger.layers.set(this.layers);
		larger.kinds.set(this.kinds);
		larger.flags.set(this.flags);
		larger.inodesLow.set(this.inodesLow);
		larger.inodesHigh.set(this.inodesHigh);
		larger.generations.set(this.generations);
		return larger;
	}

	allocate(size: number): Offset {
		return allocate(size);
	}

	release(block: Offset, size: number): void {
		release(block, size);
	}
}
