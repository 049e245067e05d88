/**
 * The node table: what the kernel can name.
 *
 * A node is one file, directory or other object of the mount; its id is the node id the kernel holds, dense
 * and reused after FORGET. A node has one name (parent, name), by which its place in the layers is found, or
 * none once that is removed; of an object of a lower layer the former name is kept, as it leads there still. A hard-linked file of the upper layer is one node under any of its names; in
 * lower layers each name is a node of its own, because copy-up breaks the link as the kernel does.
 *
 * Everything a node *is* stands here, in typed arrays; descriptors, attributes and listings are derived and
 * kept elsewhere.
 *
 * Invariants: a node is freed when the kernel holds no lookup, no child has it as parent, and it is not
 * held; a named node is in the index under its parent and name; the root is never freed.
 */

import { ENOMEM } from "../../native/layout.ts";
import { fail } from "../../native/libc/errno.ts";
import { allocate, copy, type Name, readBytes, release, sameBytes } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import { type Measure, mix } from "./name.ts";

export type NodeId = number & { readonly __brand: "NodeId" };

/** FUSE's own id for the root. */
export const ROOT = 1 as NodeId;
/** No node: a name that does not exist. */
export const NO_NODE = 0 as NodeId;

/** The file is in `UpperLinks`: other names may lead to it. */
export const LINKED = 1;
/** A directory of which no layer but its topmost has content, now and for as long as it has its name. */
export const PURE = 2;
/** A job works on it: requests that need it wait. */
export const BUSY = 4;
/** Somebody may be writing to the real file without being heard of: its attributes must not be cached. */
export const WRITTEN = 8;
/** The kernel was given the file's content once. */
export const GIVEN = 16;
/** Made by this mount, and since then without capabilities, origin and, if a directory, marks. */
export const PLAIN = 32;
/** The name is the former one, and not in the index. */
const RETIRED = 64;
/** Made without a name, and may be given one. */
export const LINKABLE = 128;

/** Generations begin again after as many, so that one stands in the upper half of a safe integer. */
const GENERATIONS = 2 ** 20;

const INITIAL_CAPACITY = 1024;
const LARGEST_CAPACITY = 2 ** 28;
/** The kind of what is no node. */
const FREE = 0;
/** As many ids that are free are looked for at once. */
const FREE_AT_ONCE = 1024;

export class NodeTable {
	/** Nodes in use, the root included. */
	count = 0;
	private capacity = INITIAL_CAPACITY;
	private buckets = new Uint32Array(INITIAL_CAPACITY);
	private parents = new Uint32Array(INITIAL_CAPACITY);
	private names = new Uint32Array(INITIAL_CAPACITY);
	private lengths = new Uint8Array(INITIAL_CAPACITY);
	private hashes = new Uint32Array(INITIAL_CAPACITY);
	/** The next node of the same bucket, or of the free list. */
	private nexts = new Uint32Array(INITIAL_CAPACITY);
	private lookups = new Float64Array(INITIAL_CAPACITY);
	private children = new Uint32Array(INITIAL_CAPACITY);
	private layers = new Uint16Array(INITIAL_CAPACITY);
	private kinds = new Uint8Array(INITIAL_CAPACITY);
	private flags = new Uint8Array(INITIAL_CAPACITY);
	private inodesLow = new Uint32Array(INITIAL_CAPACITY);
	private inodesHigh = new Uint32Array(INITIAL_CAPACITY);
	private generations = new Uint32Array(INITIAL_CAPACITY);
	private firstFree = 0;
	private nextUnused = ROOT + 1;
	/** From the first of these to before the second one those that are free are in no list. */
	private unlisted = 0;
	private unlistedEnd = 0;
	/** The generation of ids that were never given out, as far as is known. */
	private firstGeneration = 0;
	private readonly onFree: (node: NodeId) => void;

	/** `onFree` is told of every node freed, before its id can be given to another. */
	constructor(onFree: (node: NodeId) => void) {
		this.onFree = onFree;
		this.lookups[ROOT] = 1;
		this.count = 1;
	}

	/** Whether the kernel may hold `node`; false for ids never given out or freed. */
	has(node: number): boolean {
		return (
			node > 0 &&
			node < this.nextUnused &&
			(node === ROOT || this.lookups[node]! > 0 || this.children[node]! > 0)
		);
	}

	parent(node: NodeId): NodeId {
		return this.parents[node] as NodeId;
	}

	/** The node's name or the former one, NUL-terminated, valid until it is renamed or removed; 0 when there is none. */
	name(node: NodeId): Name {
		return this.names[node] as Name;
	}

	nameLength(node: NodeId): number {
		return this.lengths[node]!;
	}

	/** The node's path from the root, or from what has lost its name, without a leading slash. */
	path(node: NodeId): ByteString {
		const names: string[] = [];
		for (let current = node; current !== ROOT && this.isNamed(current); current = this.parent(current)) {
			names.push(readBytes(this.name(current), this.nameLength(current)));
		}
		return names.reverse().join("/") as ByteString;
	}

	isNamed(node: NodeId): boolean {
		return (this.names[node] !== 0 && (this.flags[node]! & RETIRED) === 0) || node === ROOT;
	}

	/** Index of the topmost layer that holds the node. */
	layer(node: NodeId): number {
		return this.layers[node]!;
	}

	setLayer(node: NodeId, layer: number): void {
		this.layers[node] = layer;
	}

	/** `DT_*`: the S_IFMT bits of its mode, shifted right by 12. */
	kind(node: NodeId): number {
		return this.kinds[node]!;
	}

	setKind(node: NodeId, kind: number): void {
		this.kinds[node] = kind;
	}

	flag(node: NodeId, flag: number): boolean {
		return (this.flags[node]! & flag) !== 0;
	}

	setFlag(node: NodeId, flag: number, on: boolean): void {
		if (on) this.flags[node]! |= flag;
		else this.flags[node]! &= ~flag;
	}

	/** The inode number users see, as two halves: it may use all 64 bits. */
	inodeLow(node: NodeId): number {
		return this.inodesLow[node]!;
	}

	inodeHigh(node: NodeId): number {
		return this.inodesHigh[node]!;
	}

	setInode(node: NodeId, low: number, high: number): void {
		this.inodesLow[node] = low;
		this.inodesHigh[node] = high;
	}

	/** Tells apart what had the same id one after the other: two nodes, or two identities of one. */
	generation(node: NodeId): number {
		return this.generations[node]!;
	}

	/** Gives the node another identity: to the kernel it is another inode from now on. */
	renew(node: NodeId): void {
		this.generations[node] = (this.generations[node]! + 1) % GENERATIONS;
	}

	/** The node of a name, or NO_NODE. */
	find(parent: NodeId, name: Name, measure: Measure): NodeId {
		const { hash, length } = measure;
		let node = this.buckets[this.bucket(parent, hash)]!;
		while (node !== 0) {
			if (
				this.hashes[node] === hash &&
				this.parents[node] === parent &&
				this.lengths[node] === length &&
				sameBytes(this.names[node]!, name, length)
			) {
				return node as NodeId;
			}
			node = this.nexts[node]!;
		}
		return NO_NODE;
	}

	/** A new node without name and without lookups: give it one or the other before the request ends. */
	add(kind: number, layer: number): NodeId {
		if (this.firstFree === 0 && this.unlisted < this.unlistedEnd) this.listFree();
		let node = this.firstFree;
		if (node !== 0) {
			this.firstFree = this.nexts[node]!;
		} else {
			if (this.nextUnused === this.capacity) this.grow();
			node = this.nextUnused++;
			this.generations[node] = this.firstGeneration;
		}
		this.parents[node] = 0;
		this.names[node] = 0;
		this.nexts[node] = 0;
		this.lookups[node] = 0;
		this.children[node] = 0;
		this.kinds[node] = kind;
		this.layers[node] = layer;
		this.flags[node] = 0;
		this.count++;
		return node as NodeId;
	}

	/** Gives a nameless node its name; no other node may have it. */
	attach(node: NodeId, parent: NodeId, name: Name, measure: Measure): void {
		const { hash, length } = measure;
		const own = allocate(length + 1);
		copy(own, name, length + 1);
		this.names[node] = own;
		this.lengths[node] = length;
		this.hashes[node] = hash;
		this.parents[node] = parent;
		this.children[parent]!++;
		const bucket = this.bucket(parent, hash);
		this.nexts[node] = this.buckets[bucket]!;
		this.buckets[bucket] = node;
	}

	/** Takes a node's name away; its former parent may be freed by that. */
	detach(node: NodeId): void {
		if (this.names[node] === 0) return;
		const parent = this.parents[node] as NodeId;
		if (this.flag(node, RETIRED)) this.setFlag(node, RETIRED, false);
		else this.removeFromIndex(node);
		release(this.names[node]!, this.lengths[node]! + 1);
		this.names[node] = 0;
		this.parents[node] = 0;
		this.children[parent]!--;
		this.freeIfUnused(parent);
	}

	/** As {@link detach}, but the former name is kept, and with it the parent. */
	retire(node: NodeId): void {
		if (this.names[node] === 0 || this.flag(node, RETIRED)) return;
		this.removeFromIndex(node);
		this.setFlag(node, RETIRED, true);
	}

	private removeFromIndex(node: NodeId): void {
		const bucket = this.bucket(this.parents[node]!, this.hashes[node]!);
		let previous = 0;
		let current = this.buckets[bucket]!;
		while (current !== node) {
			previous = current;
			current = this.nexts[current]!;
		}
		if (previous === 0) this.buckets[bucket] = this.nexts[node]!;
		else this.nexts[previous] = this.nexts[node]!;
	}

	/** Counts one more reference that the kernel was given. */
	reference(node: NodeId): void {
		this.lookups[node]!++;
	}

	/** The kernel gave `count` references back. */
	forget(node: NodeId, count: number): void {
		if (!this.has(node)) return;
		this.lookups[node] = Math.max(0, this.lookups[node]! - count);
		this.freeIfUnused(node);
	}

	lookupCount(node: NodeId): number {
		return this.lookups[node]!;
	}

	/** Frees the node, and its parents above it, when nothing needs it any more. */
	freeIfUnused(node: NodeId): void {
		let current = node;
		while (current !== ROOT && this.lookups[current] === 0 && this.children[current] === 0) {
			if (this.flag(current, BUSY)) return;
			const parent = this.parents[current] as NodeId;
			this.onFree(current);
			if (this.names[current] !== 0) {
				// The parent is looked at by the next turn of this loop, not by recursion.
				this.lookups[parent]!++;
				this.detach(current);
				this.lookups[parent]!--;
			}
			this.kinds[current] = FREE;
			this.nexts[current] = this.firstFree;
			this.firstFree = current;
			this.renew(current as NodeId);
			this.count--;
			if (parent === 0) return;
			current = parent;
		}
	}

	private bucket(parent: number, hash: number): number {
		return mix(hash ^ Math.imul(parent, 0x9e3779b1)) & (this.buckets.length - 1);
	}

	private grow(): void {
		const capacity = this.capacity * 2;
		if (capacity > LARGEST_CAPACITY) fail(ENOMEM);
		this.move(capacity);
	}

	/** The ids that may be in use are below this one. */
	get end(): number {
		return this.nextUnused;
	}

	/**
	 * Gives memory back where most nodes are gone. Ids that are given out again have a generation they never had. Called
	 * between requests only.
	 */
	shrink(): void {
		if (this.nextUnused <= INITIAL_CAPACITY || this.count > this.nextUnused / 4) return;
		const used: number[] = [];
		let generation = 0;
		for (let node: number = ROOT; node < this.nextUnused; node++) {
			if (node === ROOT || this.kinds[node] !== FREE) used.push(node);
			else generation = Math.max(generation, this.generations[node]!);
		}
		this.firstGeneration = Math.max(this.firstGeneration, (generation + 1) % GENERATIONS);
		this.nextUnused = used.at(-1)! + 1;
		this.firstFree = 0;
		this.unlisted = ROOT + 1;
		this.unlistedEnd = this.nextUnused;
		let capacity = INITIAL_CAPACITY;
		while (capacity < this.nextUnused) capacity *= 2;
		this.move(capacity, used);
	}

	/** Lists the next free ids that {@link shrink} has left between those in use, the lowest first. */
	private listFree(): void {
		let last = 0;
		for (let listed = 0; listed < FREE_AT_ONCE && this.unlisted < this.unlistedEnd; ) {
			const node = this.unlisted++;
			if (this.kinds[node] !== FREE) continue;
			this.generations[node] = this.firstGeneration;
			if (last === 0) this.firstFree = node;
			else this.nexts[last] = node;
			this.nexts[node] = 0;
			last = node;
			listed++;
		}
	}

	/** @param used the ids to keep; undefined: all */
	private move(capacity: number, used?: readonly number[]): void {
		this.parents = moved(this.parents, new Uint32Array(capacity), used);
		this.names = moved(this.names, new Uint32Array(capacity), used);
		this.lengths = moved(this.lengths, new Uint8Array(capacity), used);
		this.hashes = moved(this.hashes, new Uint32Array(capacity), used);
		this.nexts = moved(this.nexts, new Uint32Array(capacity), used);
		this.lookups = moved(this.lookups, new Float64Array(capacity), used);
		this.children = moved(this.children, new Uint32Array(capacity), used);
		this.layers = moved(this.layers, new Uint16Array(capacity), used);
		this.kinds = moved(this.kinds, new Uint8Array(capacity), used);
		this.flags = moved(this.flags, new Uint8Array(capacity), used);
		this.inodesLow = moved(this.inodesLow, new Uint32Array(capacity), used);
		this.inodesHigh = moved(this.inodesHigh, new Uint32Array(capacity), used);
		this.generations = moved(this.generations, new Uint32Array(capacity), used);
		this.capacity = capacity;
		this.buckets = new Uint32Array(capacity);
		for (let node = ROOT + 1; node < this.nextUnused; node++) {
			if (this.names[node] === 0 || (this.flags[node]! & RETIRED) !== 0) continue;
			const bucket = this.bucket(this.parents[node]!, this.hashes[node]!);
			this.nexts[node] = this.buckets[bucket]!;
			this.buckets[bucket] = node;
		}
	}
}

/** `to`, with what `from` has, or, where `used` says so, some of that. */
function moved<Column extends Uint8Array | Uint16Array | Uint32Array | Float64Array>(
	from: Column,
	to: Column,
	used: readonly number[] | undefined,
): Column {
	if (used === undefined) to.set(from);
	else for (const index of used) to[index] = from[index]!;
	return to;
}
