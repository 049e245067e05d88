/** Columns of the node table that others see, too, and go on with (state.ts). */

import { ENOMEM } from "../../native/layout.ts";
import { fail } from "../../native/libc/errno.ts";
import { blockSize, bytes, type Offset, words } from "../../native/memory.ts";
import { arraysBy, type ColumnArrays, type Columns, FREE, GENERATIONS } from "./columns.ts";
import { COLUMNS_AT, field, NAMES_AT, NODES, SIZE } from "./state-layout.ts";

/** What another process has left cannot be gone on with. */
export class StateUnusable extends Error {
	override readonly name = "StateUnusable";
}

const LARGEST_NAME = 256;
const CLASS_SHIFT = 3;

/** The columns, as far as they are in use: others see the same memory. */
export class SharedColumns implements Columns {
	readonly capacity: number;
	readonly arrays: ColumnArrays;
	private readonly at: Offset;
	private readonly heap: NameHeap;

	constructor(at: Offset, highest: number, heap = new NameHeap(at + NAMES_AT, at + SIZE)) {
		this.at = at;
		this.heap = heap;
		let capacity = 1024;
		while (capacity <= highest && capacity < NODES) capacity *= 2;
		this.capacity = capacity;
		const { buffer } = bytes;
		let next = at + COLUMNS_AT;
		this.arrays = arraysBy((kind) => {
			const start = next;
			next += kind.BYTES_PER_ELEMENT * NODES;
			return new kind(buffer, start, capacity);
		});
	}

	get highest(): number {
		return words[(this.at + field.highestNode) >>> 2]!;
	}

	set highest(node: number) {
		words[(this.at + field.highestNode) >>> 2] = node;
	}

	/** It is as large as it ever can be, and takes the memory that is in use. */
	readonly shrinks = false;

	resized(capacity: number): Columns | undefined {
		return capacity > NODES ? undefined : new SharedColumns(this.at, capacity - 1, this.heap);
	}

	allocate(size: number): Offset {
		return this.heap.allocate(size);
	}

	release(block: Offset, size: number): void {
		this.heap.release(block, size);
	}

	/** Throws StateUnusable where a node has a name that is none, or parents that have no end. */
	check(): void {
		if (this.highest >= this.capacity) throw new StateUnusable("its nodes are damaged");
		const { names, parents } = this.arrays;
		const isSound = new Uint8Array(this.highest + 1);
		/** By which node's way each was met last. */
		const metBy = new Uint32Array(this.highest + 1);
		for (let first = 2; first <= this.highest; first++) {
			for (let node = first; names[node] !== 0 && isSound[node] === 0; node = parents[node]!) {
				if (metBy[node] === first || !this.isWhole(node)) throw new StateUnusable("its nodes are damaged");
				metBy[node] = first;
			}
			for (let node = first; metBy[node] === first && isSound[node] === 0; node = parents[node]!)
				isSound[node] = 1;
		}
	}

	/** Whether what has a name has one that can be, and a parent that can be. */
	private isWhole(node: number): boolean {
		const { names, lengths, parents } = this.arrays;
		const [name, length, parent] = [names[node]!, lengths[node]!, parents[node]!];
		const isWithin = name >= this.at + NAMES_AT && name + length < this.at + SIZE;
		if (!isWithin || length === 0 || bytes[name + length] !== 0 || parent === 0 || parent > this.highest)
			return false;
		return !bytes.subarray(name, name + length).includes(0);
	}

	/**
	 * Keeps what the kernel holds, and what leads there: whoever filled the columns may have ended at any moment. All else is
	 * free, as is the memory of its names.
	 */
	keepHeld(): void {
		const { lookups, lengths, names, parents } = this.arrays;
		const isKept = new Uint8Array(this.highest + 1);
		for (let held = 2; held <= this.highest; held++) {
			if (lookups[held] === 0) continue;
			for (let node = held; node > 1 && isKept[node] === 0; node = names[node] === 0 ? 0 : parents[node]!)
				isKept[node] = 1;
		}
		const used: [Offset, number][] = [];
		for (let node = 2; node <= this.highest; node++) {
			if (isKept[node] === 0) this.clear(node);
			else if (names[node] !== 0) used.push([names[node]!, lengths[node]! + 1]);
		}
		this.heap.restore(used);
	}

	/** The kernel may know the id by the generation it had. */
	private clear(node: number): void {
		const { generations, kinds, lookups, names } = this.arrays;
		names[node] = 0;
		lookups[node] = 0;
		kinds[node] = FREE;
		generations[node] = (generations[node]! + 1) % GENERATIONS;
	}
}

/** Names of nodes, in blocks of multiples of 8 bytes. */
class NameHeap {
	private readonly free: Offset[][] = Array.from({ length: (LARGEST_NAME >> CLASS_SHIFT) + 1 }, () => []);
	private readonly end: Offset;
	private next: Offset;

	constructor(first: Offset, end: Offset) {
		this.end = end;
		this.next = first;
	}

	/** Throws ENOMEM. */
	allocate(size: number): Offset {
		const rounded = blockSize(size);
		const free = this.free[rounded >> CLASS_SHIFT]!.pop();
		if (free !== undefined) return free;
		const block = this.next;
		if (block + rounded > this.end) fail(ENOMEM);
		this.next += rounded;
		return block;
	}

	release(block: Offset, size: number): void {
		this.free[blockSize(size) >> CLASS_SHIFT]!.push(block);
	}

	/** `used`: the blocks in use, and their sizes. */
	restore(used: [Offset, number][]): void {
		used.sort(([one], [other]) => one - other);
		for (const [block, size] of used) {
			this.freeUpTo(block);
			this.next = block + blockSize(size);
		}
	}

	private freeUpTo(end: Offset): void {
		while (this.next < end) {
			const size = Math.min(end - this.next, LARGEST_NAME);
			this.release(this.next, size);
			this.next += size;
		}
	}
}
