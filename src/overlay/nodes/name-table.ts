/**
 * Names in memory, each with a record of its own: found by name, and walked in the order of a hash of the name.
 *
 * All lies in the memory of native/memory.ts. Leaves hold up to 15 records each, in order; a directory of leaves is looked
 * up by the first bits of the hash (extendible hashing, by which neighbours in order are neighbours there). A full leaf is
 * cut in two, and the directory doubled where it has no place for both. So nothing is moved but a leaf at a time, however
 * many names there are, and finding one touches a leaf and its record.
 */
import { ENOMEM } from "../../native/layout.ts";
import { fail } from "../../native/libc/errno.ts";
import {
	allocate,
	blockSize,
	copy,
	hasRoom,
	type Name,
	type Offset,
	release,
	sameBytes,
	words,
} from "../../native/memory.ts";
import type { Measure } from "./name.ts";

/** An entry: the place of its record, for as long as it is not taken out. */
export type Slot = number;
/** No entry. */
export const NO_SLOT: Slot = 0;

/** The fields of a record, in words of four bytes from its place on; then the owner's, then the name with its NUL. */
const HASH = 0;
const SPREAD = 1;
const LENGTH = 2;
/** The first of the owner's fields. */
export const OWN_FIELDS = 3;
const NAME = (OWN_FIELDS + 4) * 4;
/** Of a record taken out: the next one of its size. */
const NEXT_FREE = 0;

/** A leaf, in words: how many records it has, and by how many bits of the hash it is reached; hashes; records. */
const LEAF_RECORDS = 15;
const LEAF_SIZE = 32 * 4;
const COUNT_MASK = 0xff;
const DEPTH_SHIFT = 8;
/** As many names as there is memory for never need more. */
const LARGEST_DEPTH = 24;

/** Offsets 1 and 2 stand for the places after "." and "..". */
const FIRST_COOKIE = 3;
const SPREAD_BITS = 20;
const FIRST_BLOCK = 512;
const LARGEST_BLOCK = 1 << 18;
/** As much may stand for names that are gone before it is weighed against what is there. */
const LEAST_WASTE = 1 << 16;

/** What tables take together, in bytes. */
export interface TableMemory {
	bytes: number;
}

export class NameTable {
	/** Memory it takes, in bytes. */
	size = 0;
	/** Bytes in use, and of records taken out. */
	private used = 0;
	private free = 0;
	/** The first of the records taken out, by size. */
	private readonly freeRecords = new Map<number, Slot>();
	private readonly memory: TableMemory;
	private readonly blocks: { at: Offset; size: number }[] = [];
	private blockNext = 0;
	private blockEnd = 0;
	/** The directory, of 2 to the power of `depth` leaves. */
	private directory: Offset;
	private depth = 0;

	/** Throws ENOMEM, as do all that add to it. */
	constructor(memory: TableMemory) {
		this.memory = memory;
		this.directory = this.take(directorySize(0));
		words[this.directory >>> 2] = this.makeLeaf(0);
	}

	/** Whether most of it stands for names that are gone: then reading it anew is better than keeping it. */
	get isStale(): boolean {
		return this.free > LEAST_WASTE && this.free > this.used;
	}

	/** Gives its memory back; it must not be used again. */
	release(): void {
		for (const block of this.blocks.splice(0)) this.giveBack(block.at, block.size);
		this.giveBack(this.directory, directorySize(this.depth));
	}

	/** The entry of a name, or NO_SLOT. */
	find(name: Name, { hash, length }: Measure): Slot {
		const leaf = this.leafOf(hash);
		const end = leaf + countOf(leaf);
		for (let at = leaf + 1; at <= end; at++) {
			const own = words[at]!;
			if (own < hash) continue;
			if (own > hash) break;
			const slot = words[at + LEAF_RECORDS]!;
			if (field(slot, LENGTH) === length && sameBytes(slot + NAME, name, length)) return slot;
		}
		return NO_SLOT;
	}

	name(slot: Slot): Name {
		return (slot + NAME) as Name;
	}

	nameLength(slot: Slot): number {
		return field(slot, LENGTH);
	}

	/** A new entry, its own fields 0; the name must not be there. */
	protected insert(name: Name, { hash, spread, length }: Measure): Slot {
		const leaf = this.leafWithRoom(hash);
		const size = recordSize(length);
		const slot = this.takeFree(size) || this.room(size);
		const record = slot >>> 2;
		words[record + HASH] = hash;
		words[record + SPREAD] = spread;
		words[record + LENGTH] = length;
		words.fill(0, record + OWN_FIELDS, (slot + NAME) >>> 2);
		copy(slot + NAME, name, length + 1);
		let at = leaf + countOf(leaf) + 1;
		for (; at > leaf + 1; at--) {
			const other = words[at - 1]!;
			if (other < hash || (other === hash && field(words[at - 1 + LEAF_RECORDS]!, SPREAD) <= spread)) break;
			words[at] = words[at - 1]!;
			words[at + LEAF_RECORDS] = words[at - 1 + LEAF_RECORDS]!;
		}
		words[at] = hash;
		words[at + LEAF_RECORDS] = slot;
		words[leaf]!++;
		return slot;
	}

	/** Takes an entry away. */
	protected takeOut(slot: Slot): void {
		const leaf = this.leafOf(field(slot, HASH));
		const end = leaf + countOf(leaf);
		for (let at = placeIn(leaf, slot); at < end; at++) {
			words[at] = words[at + 1]!;
			words[at + LEAF_RECORDS] = words[at + 1 + LEAF_RECORDS]!;
		}
		words[leaf]!--;
		const size = recordSize(field(slot, LENGTH));
		words[(slot >>> 2) + NEXT_FREE] = this.freeRecords.get(size) ?? NO_SLOT;
		this.freeRecords.set(size, slot);
		this.free += size;
		this.used -= size;
	}

	private takeFree(size: number): Slot {
		if (this.free === 0) return NO_SLOT;
		const slot = this.freeRecords.get(size) ?? NO_SLOT;
		if (slot === NO_SLOT) return NO_SLOT;
		this.freeRecords.set(size, field(slot, NEXT_FREE));
		this.free -= size;
		this.used += size;
		return slot;
	}

	// Leaves, as indices into `words`.

	private leafOf(hash: number): number {
		return words[(this.directory >>> 2) + prefix(hash, this.depth)]! >>> 2;
	}

	private leafWithRoom(hash: number): number {
		let leaf = this.leafOf(hash);
		while (countOf(leaf) === LEAF_RECORDS) {
			this.cut(leaf, hash);
			leaf = this.leafOf(hash);
		}
		return leaf;
	}

	/** Moves the records of a leaf whose next bit is 1 to a leaf of their own. */
	private cut(leaf: number, hash: number): void {
		const depth = depthOf(leaf);
		if (depth === this.depth) this.doubleDirectory();
		const upper = this.makeLeaf(depth + 1);
		const target = upper >>> 2;
		const count = countOf(leaf);
		let first = leaf + 1;
		while (first <= leaf + count && ((words[first]! >>> (31 - depth)) & 1) === 0) first++;
		const moved = leaf + count + 1 - first;
		words.copyWithin(target + 1, first, first + moved);
		words.copyWithin(target + 1 + LEAF_RECORDS, first + LEAF_RECORDS, first + LEAF_RECORDS + moved);
		words[target]! += moved;
		words[leaf] = (count - moved) | ((depth + 1) << DEPTH_SHIFT);
		const share = 2 ** (this.depth - depth - 1);
		const start = (this.directory >>> 2) + (prefix(hash, depth) * 2 + 1) * share;
		words.fill(upper, start, start + share);
	}

	private doubleDirectory(): void {
		if (this.depth === LARGEST_DEPTH) fail(ENOMEM);
		const from = this.directory;
		const to = this.take(directorySize(this.depth + 1));
		for (let index = 0; index < 2 ** this.depth; index++) {
			const leaf = words[(from >>> 2) + index]!;
			words[(to >>> 2) + 2 * index] = leaf;
			words[(to >>> 2) + 2 * index + 1] = leaf;
		}
		this.giveBack(from, directorySize(this.depth));
		this.directory = to;
		this.depth++;
	}

	private makeLeaf(depth: number): Offset {
		const leaf = this.room(LEAF_SIZE);
		words[leaf >>> 2] = depth << DEPTH_SHIFT;
		return leaf;
	}

	// Memory.

	/** Memory for as long as the table is there. */
	protected room(size: number): Offset {
		if (this.blockNext + size > this.blockEnd) {
			const last = this.blocks.at(-1)?.size ?? FIRST_BLOCK / 2;
			const taken = Math.min(last * 2, LARGEST_BLOCK);
			this.blockNext = this.take(taken);
			this.blockEnd = this.blockNext + taken;
			this.blocks.push({ at: this.blockNext, size: taken });
		}
		const at = this.blockNext;
		this.blockNext += size;
		this.used += size;
		return at;
	}

	private take(size: number): Offset {
		if (!hasRoom(size)) fail(ENOMEM);
		this.size += blockSize(size);
		this.memory.bytes += blockSize(size);
		return allocate(size);
	}

	private giveBack(at: Offset, size: number): void {
		this.size -= blockSize(size);
		this.memory.bytes -= blockSize(size);
		release(at, size);
	}

	// The order of readdir.

	/** The first entry behind a readdir offset; NO_SLOT behind the last. */
	after(offset: number): Slot {
		if (offset < FIRST_COOKIE) return this.firstFrom(0);
		const hash = Math.floor((offset - FIRST_COOKIE) / 2 ** SPREAD_BITS);
		if (hash >= 2 ** 32) return NO_SLOT;
		const place = (offset - FIRST_COOKIE) % 2 ** SPREAD_BITS;
		const leaf = this.leafOf(hash);
		const end = leaf + countOf(leaf);
		for (let at = leaf + 1; at <= end; at++) {
			const slot = words[at + LEAF_RECORDS]!;
			if (words[at]! > hash || (words[at] === hash && placeOfEqual(slot) > place)) return slot;
		}
		return this.firstBehind(leaf, hash);
	}

	/** The entry behind another. */
	following(slot: Slot): Slot {
		const hash = field(slot, HASH);
		const leaf = this.leafOf(hash);
		const at = placeIn(leaf, slot);
		return at === leaf + countOf(leaf) ? this.firstBehind(leaf, hash) : words[at + 1 + LEAF_RECORDS]!;
	}

	/** The readdir offset behind the entry. */
	cookie(slot: Slot): number {
		return field(slot, HASH) * 2 ** SPREAD_BITS + placeOfEqual(slot) + FIRST_COOKIE;
	}

	/** The first entry of the leaves behind one that is reached by `hash`. */
	private firstBehind(leaf: number, hash: number): Slot {
		const depth = depthOf(leaf);
		return this.firstFrom((prefix(hash, depth) + 1) * 2 ** (this.depth - depth));
	}

	/** The first entry of the leaves from a place in the directory on. */
	private firstFrom(start: number): Slot {
		for (let index = start; index < 2 ** this.depth; ) {
			const leaf = words[(this.directory >>> 2) + index]! >>> 2;
			if (countOf(leaf) > 0) return words[leaf + 1 + LEAF_RECORDS]!;
			index += 2 ** (this.depth - depthOf(leaf));
		}
		return NO_SLOT;
	}
}

/** Field `index` of a record. */
export function field(record: Offset, index: number): number {
	return words[(record >>> 2) + index]!;
}

function recordSize(length: number): number {
	return NAME + ((length + 1 + 3) & ~3);
}

function directorySize(depth: number): number {
	return 4 * 2 ** depth;
}

/** The first `depth` bits of a hash. */
function prefix(hash: number, depth: number): number {
	return (hash >>> 1) >>> (31 - depth);
}

function countOf(leaf: number): number {
	return words[leaf]! & COUNT_MASK;
}

function depthOf(leaf: number): number {
	return words[leaf]! >>> DEPTH_SHIFT;
}

/** Where the hash of a record is in its leaf. */
function placeIn(leaf: number, slot: Slot): number {
	let at = leaf + 1;
	while (words[at + LEAF_RECORDS] !== slot) at++;
	return at;
}

/** Where among those of equal hash an entry stands. */
function placeOfEqual(slot: Slot): number {
	return field(slot, SPREAD) >>> (32 - SPREAD_BITS);
}
