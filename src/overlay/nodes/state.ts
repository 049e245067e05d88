/**
 * What a mount's next daemon has to know of this one, however that ends: in one piece of memory that outlives the process. This
 * is the layout of it; whoever owns a part keeps it, and all else is derived anew.
 *
 *     header      what it is; a few numbers; the change being made (journal.ts); facts, as text
 *     message     the request in hand, where the kernel has written it
 *     referred    the nodes that the answer to it refers to
 *     openings    files that are passed through (fuse/passthrough.ts)
 *     columns     what nodes are (columns.ts), one entry each
 *     names       their names
 *
 * A daemon may end between any two instructions. Hence what the kernel is to rely on is in here before it is told of it.
 */

import { ENOMEM, fuseInHeader } from "../../native/layout.ts";
import { fail } from "../../native/libc/errno.ts";
import type { Fd } from "../../native/libc/file.ts";
import { createSharedMemory } from "../../native/libc/shared-memory.ts";
import {
	blockSize,
	bytes,
	CHUNK,
	type Offset,
	readBytes,
	reserveEnd,
	share,
	words,
	writeString,
} from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import type { Columns } from "./columns.ts";

/** To be raised with any change of the layout, or of what something in it means. */
export const LAYOUT = 1;
const MAGIC = 0x4f564653;
/** Of a request that the kernel sends again (FUSE_UNIQUE_RESEND), in the upper half of its number. */
export const IS_AGAIN = 0x80000000;
const SIZE = 1 << 29;

/** Most nodes there can be; most files open at a time that are passed through; most entries of a READDIRPLUS. */
const NODES = 1 << 22;
export const OPENINGS = 1 << 18;
export const REFERRED = 1 << 15;

export const opening = { idLow: 0, idHigh: 4, backing: 8, layer: 12, openings: 16, writers: 20, sizeof: 24 };

const HEADER_SIZE = CHUNK;
const FACTS = 16384;
const MOST_FACTS = HEADER_SIZE - FACTS;
/** Where the parts begin. */
const MESSAGE = HEADER_SIZE;
const MESSAGE_SIZE = (1 << 20) + CHUNK;
const REFERRED_AT = MESSAGE + MESSAGE_SIZE;
const OPENINGS_AT = REFERRED_AT + REFERRED * 4;
const COLUMNS_AT = OPENINGS_AT + OPENINGS * opening.sizeof;
const COLUMN_SIZES = [4, 4, 1, 8, 2, 1, 1, 4, 4, 4];
const NAMES_AT = COLUMNS_AT + COLUMN_SIZES.reduce((sum, size) => sum + size, 0) * NODES;

/** Numbers in the header, by where they are. */
export const field = {
	magic: 0,
	layout: 4,
	highestNode: 8,
	factsLength: 12,
	/** Requests that were handled. */
	handled: 16,
	/** Of these, at the last death. */
	handledAtDeath: 20,
	/** Deaths in a row without a request handled between. */
	fruitless: 24,
	/** The request that was in hand at the last death, and at how many deaths one after the other. */
	suspectLow: 28,
	suspectHigh: 32,
	suspectDeaths: 36,
	/** Nodes in `referred`, and the request whose answer they are of. */
	referred: 40,
	toldLow: 92,
	toldHigh: 96,
	/** The opening that the same answer counts: twice its place, and 1 more where it is there to write; 0: none. */
	opened: 44,
	/** Of a message of several FORGETs, how many are done. */
	forgotten: 48,
	/** The kernel has refused passthrough; it was had; the upper layer's file system cannot be passed through to. */
	isRefused: 52,
	isHad: 56,
	isUnfit: 60,
	/** Entries of `openings` ever used. */
	openings: 64,
	/** The daemon, its keeper, and its pipe to that. */
	daemon: 76,
	keeper: 80,
	pipe: 84,
	/** The daemon is being replaced by its own doing. */
	isReplaced: 88,
	/** The RELEASE that was counted last. */
	releasedLow: 68,
	releasedHigh: 72,
} as const;
/** Where the journal keeps the change in hand, and those that were found done. */
export const JOURNAL_AT = 1024;

/** What another process has left cannot be gone on with. */
export class StateUnusable extends Error {
	override readonly name = "StateUnusable";
}

export class State {
	/** The memory, for who inherits it. */
	readonly fd: Fd;
	readonly columns: SharedColumns;
	private readonly at: Offset;

	private constructor(fd: Fd, at: Offset) {
		this.fd = fd;
		this.at = at;
		this.columns = new SharedColumns(at, this.get(field.highestNode));
	}

	/** Memory for a new mount, in which `message` lies from now on. Throws StateUnusable where there is none to be had. */
	static create(message: Offset): State {
		const fd = createSharedMemory(SIZE);
		if (fd < 0) throw new StateUnusable("no memory can be had that outlives the process");
		const state = State.map(fd, message);
		state.set(field.magic, MAGIC);
		state.set(field.layout, LAYOUT);
		return state;
	}

	/** That of a mount whose daemon has ended. Throws StateUnusable. */
	static takeOver(fd: Fd, message: Offset): State {
		const state = State.map(fd, message);
		if (state.get(field.magic) !== MAGIC) throw new StateUnusable("it is not the state of a mount");
		const layout = state.get(field.layout);
		if (layout !== LAYOUT)
			throw new StateUnusable(`it is of layout ${layout}, and this program has layout ${LAYOUT}`);
		state.columns.check();
		return state;
	}

	private static map(fd: Fd, message: Offset): State {
		const at = reserveEnd(SIZE);
		if (at === undefined || !share(at, SIZE, fd, 0) || !share(message, MESSAGE_SIZE, fd, MESSAGE))
			throw new StateUnusable("there is no address space for it: raise the limit (ulimit -v)");
		return new State(fd, at);
	}

	get(name: number): number {
		return words[(this.at + name) >>> 2]!;
	}

	set(name: number, value: number): void {
		words[(this.at + name) >>> 2] = value;
	}

	/** Where the record of the change in hand is. */
	get journal(): Offset {
		return this.at + JOURNAL_AT;
	}

	/** Where the request in hand is, as `message` everywhere else. */
	get message(): Offset {
		return this.at + MESSAGE;
	}

	get openings(): Offset {
		return this.at + OPENINGS_AT;
	}

	/** The answer to the request in hand refers to a node once more. */
	refer(node: number): void {
		const count = this.get(field.referred);
		if (count === REFERRED) return;
		if (count === 0) this.noteRequest();
		words[((this.at + REFERRED_AT) >>> 2) + count] = node;
		this.set(field.referred, count + 1);
	}

	/** The answer to the request in hand counts an opening, see `field.opened`. */
	open(opened: number): void {
		this.noteRequest();
		this.set(field.opened, opened);
	}

	/** Whose answer it is that tells of nodes and openings. */
	private noteRequest(): void {
		const unique = (this.at + MESSAGE + fuseInHeader.unique) >>> 2;
		this.set(field.toldLow, words[unique]!);
		this.set(field.toldHigh, words[unique + 1]! & ~IS_AGAIN);
	}

	/** Nobody is told of anything, or has been. */
	forgetTold(): void {
		this.set(field.referred, 0);
		this.set(field.opened, 0);
	}

	/** The nodes that an answer was to refer to. */
	referred(): number[] {
		const first = (this.at + REFERRED_AT) >>> 2;
		return [...words.subarray(first, first + this.get(field.referred))];
	}

	/** What was settled when the mount was made. */
	get facts(): unknown {
		const length = this.get(field.factsLength);
		if (length > MOST_FACTS) throw new StateUnusable("its facts are damaged");
		try {
			return JSON.parse(readBytes(this.at + FACTS, length));
		} catch {
			throw new StateUnusable("its facts are damaged");
		}
	}

	/** Throws StateUnusable where they are too many. */
	set facts(facts: unknown) {
		const text = JSON.stringify(facts) as ByteString;
		if (text.length >= MOST_FACTS) throw new StateUnusable("the mount has too many layers");
		writeString(this.at + FACTS, text);
		this.set(field.factsLength, text.length);
	}
}

const LARGEST_NAME = 256;
const CLASS_SHIFT = 3;

/** The columns, as far as they are in use: others see the same memory. */
class SharedColumns implements Columns {
	readonly capacity: number;
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
		const place = (size: number) => {
			const start = next;
			next += size * NODES;
			return start;
		};
		this.parents = new Uint32Array(buffer, place(4), capacity);
		this.names = new Uint32Array(buffer, place(4), capacity);
		this.lengths = new Uint8Array(buffer, place(1), capacity);
		this.lookups = new Float64Array(buffer, place(8), capacity);
		this.layers = new Uint16Array(buffer, place(2), capacity);
		this.kinds = new Uint8Array(buffer, place(1), capacity);
		this.flags = new Uint8Array(buffer, place(1), capacity);
		this.inodesLow = new Uint32Array(buffer, place(4), capacity);
		this.inodesHigh = new Uint32Array(buffer, place(4), capacity);
		this.generations = new Uint32Array(buffer, place(4), capacity);
	}

	get highest(): number {
		return words[(this.at + field.highestNode) >>> 2]!;
	}

	set highest(node: number) {
		words[(this.at + field.highestNode) >>> 2] = node;
	}

	enlarge(): Columns | undefined {
		return this.capacity === NODES ? undefined : new SharedColumns(this.at, this.capacity, this.heap);
	}

	/** As large as it may become from the start. */
	shrink(): undefined {}

	allocate(size: number): Offset {
		return this.heap.allocate(size);
	}

	release(block: Offset, size: number): void {
		this.heap.release(block, size);
	}

	/** Throws StateUnusable where a node has a name that is none, or parents that have no end. */
	check(): void {
		if (this.highest >= this.capacity) throw new StateUnusable("its nodes are damaged");
		const isSound = new Uint8Array(this.highest + 1);
		/** By which node's way each was met last. */
		const metBy = new Uint32Array(this.highest + 1);
		for (let first = 2; first <= this.highest; first++) {
			for (let node = first; this.names[node] !== 0 && isSound[node] === 0; node = this.parents[node]!) {
				if (metBy[node] === first || !this.isWhole(node)) throw new StateUnusable("its nodes are damaged");
				metBy[node] = first;
			}
			for (let node = first; metBy[node] === first && isSound[node] === 0; node = this.parents[node]!)
				isSound[node] = 1;
		}
	}

	/** Whether what has a name has one that can be, and a parent that can be. */
	private isWhole(node: number): boolean {
		const [name, length, parent] = [this.names[node]!, this.lengths[node]!, this.parents[node]!];
		const isWithin = name >= this.at + NAMES_AT && name + length < this.at + SIZE;
		if (!isWithin || length === 0 || bytes[name + length] !== 0 || parent === 0 || parent > this.highest)
			return false;
		return !bytes.subarray(name, name + length).includes(0);
	}

	/** The blocks of names that nobody has any more are free. To be called once the node table is there again. */
	collect(): void {
		const used: [Offset, number][] = [];
		for (let node = 2; node <= this.highest; node++)
			if (this.names[node] !== 0) used.push([this.names[node]!, this.lengths[node]! + 1]);
		this.heap.restore(used);
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
