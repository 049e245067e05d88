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
import { copy, type Name, readBytes, sameBytes } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import { type Columns, FREE, GENERATIONS, moved, OwnColumns } from "./columns.ts";
import { BUSY, RETIRED } from "./flags.ts";
import { type Measure, measure, mix } from "./name.ts";

export type NodeId = number & { readonly __brand: "NodeId" };

/** FUSE's own id for the root. */
export const ROOT = 1 as NodeId;
/** No node: a name that does not exist. */
export const NO_NODE = 0 as NodeId;

/** As many ids that are free are looked for at once. */
const FREE_AT_ONCE = 1024;

export class NodeTable {
	/** Nodes in use, the root included. */
	count = 0;
	private columns: Columns;
	private parents!: Uint32Array;
	private names!: Uint32Array;
	private lengths!: Uint8Array;
	private lookups!: Float64Array;
	private layers!: Uint16Array;
	private kinds!: Uint8Array;
	private flags!: Uint8Array;
	private inodesLow!: Uint32Array;
	private inodesHigh!: Uint32Array;
	private generations!: Uint32Array;
	/** What follows from these. */
	private children!: Uint32Array;
	private hashes!: Uint32Array;
	/** The next node of the same bucket, or of the free list. */
	private nexts!: Uint32Array;
	private buckets!: Uint32Array;
	private firstFree = 0;
	private nextUnused = ROOT + 1;
	/** From the first of these to before the second one those that are free are in no list. */
	private unlisted = 0;
	private unlistedEnd = 0;
	/** The generation of ids that were never given out, as far as is known. */
	private firstGeneration = 0;
	private readonly onFree: (node: NodeId) => void;

	/** `onFree` is told of every node freed, before its id can be given to another. */
	constructor(onFree: (node: NodeId) => void, columns: Columns = new OwnColumns()) {
		this.onFree = onFree;
		this.columns = columns;
		const { capacity } = columns;
		this.children = new Uint32Array(capacity);
		this.hashes = new Uint32Array(capacity);
		this.nexts = new Uint32Array(capacity);
		this.use(columns);
		this.lookups[ROOT] = 1;
		this.count = 1;
	}

	private use(columns: Columns): void {
		this.columns = columns;
		const { arrays } = columns;
		this.parents = arrays.parents;
		this.names = arrays.names;
		this.lengths = arrays.lengths;
		this.lookups = arrays.lookups;
		this.layers = arrays.layers;
		this.kinds = arrays.kinds;
		this.flags = arrays.flags;
		this.inodesLow = arrays.inodesLow;
		this.inodesHigh = arrays.inodesHigh;
		this.generations = arrays.generations;
		this.buckets = new Uint32Array(columns.capacity);
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
			if (this.nextUnused === this.columns.capacity) this.grow();
			node = this.nextUnused++;
			this.columns.highest = node;
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
		const own = this.columns.allocate(length + 1);
		copy(own, name, length + 1);
		this.lengths[node] = length;
		this.hashes[node] = hash;
		this.parents[node] = parent;
		// Last: to whoever goes on with the columns it says that the others hold.
		this.names[node] = own;
		this.children[parent]!++;
		this.enterIndex(node);
	}

	/** Takes a node's name away; its former parent may be freed by that. */
	detach(node: NodeId): void {
		if (this.names[node] === 0) return;
		const parent = this.parents[node] as NodeId;
		if (this.flag(node, RETIRED)) this.setFlag(node, RETIRED, false);
		else this.removeFromIndex(node);
		this.columns.release(this.names[node]!, this.lengths[node]! + 1);
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

	/** Keeps the node until it is let go of, within one request: as if it had one child more. */
	hold(node: NodeId): void {
		this.children[node]!++;
	}

	letGo(node: NodeId): void {
		this.children[node]!--;
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
				this.children[parent]!++;
				this.detach(current);
				this.children[parent]!--;
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
		this.move(this.columns.resized(this.columns.capacity + 1) ?? fail(ENOMEM));
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
		if (!this.columns.shrinks || this.count > this.nextUnused / 4) return;
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
		this.move(this.columns.resized(this.nextUnused, used)!, used);
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
	private move(columns: Columns, used?: readonly number[]): void {
		const { capacity } = columns;
		this.children = moved(this.children, new Uint32Array(capacity), used);
		this.hashes = moved(this.hashes, new Uint32Array(capacity), used);
		this.nexts = moved(this.nexts, new Uint32Array(capacity), used);
		this.use(columns);
		for (let node = ROOT + 1; node < this.nextUnused; node++) {
			if (this.names[node] === 0 || (this.flags[node]! & RETIRED) !== 0) continue;
			this.enterIndex(node);
		}
	}

	private enterIndex(node: number): void {
		const bucket = this.bucket(this.parents[node]!, this.hashes[node]!);
		this.nexts[node] = this.buckets[bucket]!;
		this.buckets[bucket] = node;
	}

	/** Goes on with columns in which there are nodes already. */
	restore(): void {
		this.nextUnused = Math.max(this.columns.highest, ROOT) + 1;
		for (let node = this.nextUnused - 1; node > ROOT; node--) {
			if (this.kinds[node] === FREE) {
				this.nexts[node] = this.firstFree;
				this.firstFree = node;
				continue;
			}
			this.count++;
			this.flags[node]! &= ~BUSY;
			if (this.names[node] === 0) continue;
			this.children[this.parents[node]!]!++;
			this.hashes[node] = measure(this.name(node as NodeId)).hash;
			if ((this.flags[node]! & RETIRED) === 0) this.enterIndex(node);
		}
	}
}
