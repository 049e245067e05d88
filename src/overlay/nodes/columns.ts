/** Where the node table keeps what a node is: in arrays of one entry each, and its name. */

import { allocate, type Offset, release } from "../../native/memory.ts";

/** The kind of what is no node. */
export const FREE = 0;
/** Generations begin again after as many, so that one stands in the upper half of a safe integer. */
export const GENERATIONS = 2 ** 20;

/**
 * What is noted of each node, and in arrays of what kind. In this order they lie in memory that outlives a process (state-layout.ts):
 * its layout is another one with any change here.
 */
export const COLUMNS = {
	parents: Uint32Array,
	names: Uint32Array,
	lengths: Uint8Array,
	lookups: Float64Array,
	layers: Uint16Array,
	kinds: Uint8Array,
	flags: Uint8Array,
	inodesLow: Uint32Array,
	inodesHigh: Uint32Array,
	generations: Uint32Array,
} as const;

type ColumnKind = (typeof COLUMNS)[keyof typeof COLUMNS];
type Column = Uint8Array | Uint16Array | Uint32Array | Float64Array;
export type ColumnArrays = { readonly [Name in keyof typeof COLUMNS]: InstanceType<(typeof COLUMNS)[Name]> };

/** An array for each column, as `make` has it. */
export function arraysBy(make: (kind: ColumnKind) => Column): ColumnArrays {
	const arrays: Record<string, Column> = {};
	for (const [name, kind] of Object.entries(COLUMNS)) arrays[name] = make(kind);
	return arrays as unknown as ColumnArrays;
}

export interface Columns {
	/** Nodes there is room for. */
	readonly capacity: number;
	/** The largest id ever given out. */
	highest: number;
	readonly arrays: ColumnArrays;
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
	readonly arrays: ColumnArrays;
	highest = 0;

	constructor(capacity = INITIAL_CAPACITY) {
		this.capacity = capacity;
		this.arrays = arraysBy((kind) => new kind(capacity));
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
		for (const name of Object.keys(COLUMNS) as (keyof ColumnArrays)[])
			moved<Column>(this.arrays[name], other.arrays[name], used);
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
export function moved<Kept extends Column>(from: Kept, to: Kept, used: readonly number[] | undefined): Kept {
	if (used === undefined) to.set(from);
	else for (const index of used) to[index] = from[index]!;
	return to;
}
