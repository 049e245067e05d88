/**
 * One directory's names, merged from its layers, in memory: what lookup, readdir, link counts and removal
 * ask. Derived from the layers and kept in step with our own changes; it can be dropped at any time.
 *
 * A name's place in the order of readdir is a hash of the name itself, so that an offset stays valid, and no
 * name is lost or doubled, whatever is created or removed meanwhile and however often the listing is made
 * anew: the way ext4's hashed directories do it.
 */
import { DT_DIR } from "../native/layout.ts";
import { allocate, blockSize, copy, type Name, type Offset, release, sameBytes } from "../native/memory.ts";
import type { Measure } from "./name.ts";

/** An entry of a listing; -1: none. */
export type Slot = number;

/** The name is gone, and no layer has it. */
const ABSENT = 1;
/** The topmost layer with the name has a whiteout for it. */
const WHITEOUT = 2;
/** That whiteout is a `.wh.NAME` file. */
const FILE_WHITEOUT = 4;
/** What lower layers have under this name does not show through. */
const CLOSED = 8;
/** The first layer under the topmost one that has the name shows something under it. */
const BELOW = 16;
const BELOW_KNOWN = 32;
const HIDDEN = ABSENT | WHITEOUT;

/** Offsets 1 and 2 stand for the places after "." and "..". */
const FIRST_COOKIE = 3;
const SPREAD_BITS = 20;
const FIRST_BLOCK = 512;
const LARGEST_BLOCK = 1 << 16;
const NO_MORE = -1;
/** For sorting: how many hashes there are of each 16-bit part. */
const COUNTS = new Uint32Array(0x10001);

export class Listing {
	/** Names a user sees. */
	visible = 0;
	/** Directories among them. */
	subdirectories = 0;
	private used = 0;
	private absent = 0;
	private hashes = new Uint32Array(16);
	private spreads = new Uint32Array(16);
	private names = new Uint32Array(16);
	private lengths = new Uint8Array(16);
	private types = new Uint8Array(16);
	private flags = new Uint8Array(16);
	private layers = new Uint16Array(16);
	private inodesLow = new Uint32Array(16);
	private inodesHigh = new Uint32Array(16);
	/** Start of the slot's chain in `more`. */
	private chains = new Int32Array(16).fill(NO_MORE);
	/** Further layers of a directory: pairs of layer and next pair. */
	private readonly more: number[] = [];
	private index = new Int32Array(32).fill(-1);
	private order: Uint32Array | undefined;
	private readonly blocks: { at: Offset; size: number }[] = [];
	private blockNext = 0;
	private blockEnd = 0;
	private nameBytes = 0;

	/** Memory it takes, in bytes. */
	get size(): number {
		return this.hashes.length * 35 + this.index.length * 4 + this.nameBytes;
	}

	/** Whether most of it stands for names that are gone: then reading it anew is better than keeping it. */
	get isStale(): boolean {
		return this.absent > 1024 && this.absent > this.used / 2;
	}

	/** Gives its memory back; the listing must not be used again. */
	release(): void {
		for (const block of this.blocks) release(block.at, block.size);
		this.blocks.length = 0;
	}

	/** The slot of a name that some layer has or had, also a hidden one; -1 when there never was one. */
	find(name: Name, measure: Measure): Slot {
		const { hash, length } = measure;
		const mask = this.index.length - 1;
		for (let at = hash & mask; ; at = (at + 1) & mask) {
			const slot = this.index[at]!;
			if (slot === -1) return -1;
			if (
				this.hashes[slot] === hash &&
				this.lengths[slot] === length &&
				sameBytes(this.names[slot]!, name, length)
			) {
				return slot;
			}
		}
	}

	isVisible(slot: Slot): boolean {
		return (this.flags[slot]! & HIDDEN) === 0;
	}

	isWhiteout(slot: Slot): boolean {
		return (this.flags[slot]! & WHITEOUT) !== 0;
	}

	isFileWhiteout(slot: Slot): boolean {
		return (this.flags[slot]! & FILE_WHITEOUT) !== 0;
	}

	/** Whether a layer under the slot's topmost one would show the name if the topmost did not have it. */
	showsBelow(slot: Slot): boolean {
		return (this.flags[slot]! & BELOW) !== 0;
	}

	/** Index of the topmost layer with the name. */
	layer(slot: Slot): number {
		return this.layers[slot]!;
	}

	/** The layers that may contribute to a directory, topmost first (opaque ones among them not yet heeded). */
	layersOf(slot: Slot): number[] {
		const layers = [this.layers[slot]!];
		for (let pair = this.chains[slot]!; pair !== NO_MORE; pair = this.more[pair + 1]!)
			layers.push(this.more[pair]!);
		return layers;
	}

	/** Whether lower layers have a directory of this name that may be merged with it. */
	isMerged(slot: Slot): boolean {
		return this.chains[slot] !== NO_MORE;
	}

	/** `DT_*`. */
	type(slot: Slot): number {
		return this.types[slot]!;
	}

	name(slot: Slot): Name {
		return this.names[slot] as Name;
	}

	nameLength(slot: Slot): number {
		return this.lengths[slot]!;
	}

	/** The inode number in the topmost layer, untranslated. */
	inodeLow(slot: Slot): number {
		return this.inodesLow[slot]!;
	}

	inodeHigh(slot: Slot): number {
		return this.inodesHigh[slot]!;
	}

	// Filling, one layer after the other, topmost first.

	/** Layer `layer` has the name. */
	add(layer: number, name: Name, measure: Measure, type: number, inodeLow: number, inodeHigh: number): void {
		const slot = this.find(name, measure);
		if (slot === -1) {
			const made = this.insert(name, measure);
			this.fill(made, layer, type, type === DT_DIR ? 0 : CLOSED, inodeLow, inodeHigh);
			return;
		}
		let flags = this.flags[slot]!;
		if ((flags & BELOW_KNOWN) === 0) flags |= BELOW_KNOWN | BELOW;
		if ((flags & CLOSED) === 0) {
			if (type === DT_DIR) this.appendLayer(slot, layer);
			else flags |= CLOSED;
		}
		this.flags[slot] = flags;
	}

	/** Layer `layer` has a whiteout for the name; after all its other names. */
	addWhiteout(layer: number, name: Name, measure: Measure, isFile: boolean): void {
		const slot = this.find(name, measure);
		if (slot === -1) {
			const made = this.insert(name, measure);
			this.fill(made, layer, 0, WHITEOUT | CLOSED | (isFile ? FILE_WHITEOUT : 0), 0, 0);
			return;
		}
		// A `.wh.NAME` beside NAME in one layer hides what is below NAME; on removal it is kept or replaced.
		if (this.layers[slot] === layer) this.flags[slot]! |= BELOW;
		this.flags[slot]! |= CLOSED | BELOW_KNOWN;
	}

	// Keeping in step.

	/** A new object in the upper layer (index 0), nothing of a lower layer merged into it. */
	create(name: Name, measure: Measure, type: number, inodeLow: number, inodeHigh: number): void {
		let slot = this.find(name, measure);
		let below = 0;
		if (slot === -1) {
			slot = this.insert(name, measure);
		} else {
			below = this.below(slot);
			this.forgetVisible(slot);
		}
		this.chains[slot] = NO_MORE;
		this.fill(slot, 0, type, CLOSED | BELOW_KNOWN | below, inodeLow, inodeHigh);
	}

	/** The name was copied up to the upper layer (index 0). */
	raise(slot: Slot): void {
		if (this.types[slot] === DT_DIR) {
			this.more.push(this.layers[slot]!, this.chains[slot]!);
			this.chains[slot] = this.more.length - 2;
		}
		this.layers[slot] = 0;
		this.flags[slot]! |= BELOW | BELOW_KNOWN;
	}

	/** The upper layer's object of this name has another inode number than the one it was copied from. */
	renumber(slot: Slot, inodeLow: number, inodeHigh: number): void {
		this.inodesLow[slot] = inodeLow;
		this.inodesHigh[slot] = inodeHigh;
	}

	/** The name was removed, and a whiteout left in the upper layer (index 0) or not. */
	remove(slot: Slot, whiteout: boolean, isFile: boolean): void {
		const below = this.below(slot);
		this.forgetVisible(slot);
		this.chains[slot] = NO_MORE;
		if (whiteout) {
			this.fill(slot, 0, 0, WHITEOUT | CLOSED | BELOW_KNOWN | below | (isFile ? FILE_WHITEOUT : 0), 0, 0);
		} else {
			this.fill(slot, 0, 0, ABSENT | CLOSED | BELOW_KNOWN, 0, 0);
		}
	}

	private below(slot: Slot): number {
		const flags = this.flags[slot]!;
		if ((flags & ABSENT) !== 0) return 0;
		// Under the upper layer: what a lower layer shows itself counts as below.
		if (this.layers[slot] !== 0) return (flags & HIDDEN) === 0 ? BELOW : 0;
		return flags & BELOW;
	}

	private forgetVisible(slot: Slot): void {
		if ((this.flags[slot]! & ABSENT) !== 0) this.absent--;
		if (!this.isVisible(slot)) return;
		this.visible--;
		if (this.types[slot] === DT_DIR) this.subdirectories--;
	}

	private fill(
		slot: Slot,
		layer: number,
		type: number,
		flags: number,
		inodeLow: number,
		inodeHigh: number,
	): void {
		this.layers[slot] = layer;
		this.types[slot] = type;
		this.flags[slot] = flags;
		this.inodesLow[slot] = inodeLow;
		this.inodesHigh[slot] = inodeHigh;
		if ((flags & ABSENT) !== 0) this.absent++;
		if ((flags & HIDDEN) !== 0) return;
		this.visible++;
		if (type === DT_DIR) this.subdirectories++;
	}

	private appendLayer(slot: Slot, layer: number): void {
		const pair = this.more.push(layer, NO_MORE) - 2;
		let last = this.chains[slot]!;
		if (last === NO_MORE) {
			this.chains[slot] = pair;
			return;
		}
		while (this.more[last + 1] !== NO_MORE) last = this.more[last + 1]!;
		this.more[last + 1] = pair;
	}

	private insert(name: Name, measure: Measure): Slot {
		const { hash, spread, length } = measure;
		if (this.used === this.hashes.length) this.grow();
		const slot = this.used++;
		this.hashes[slot] = hash;
		this.spreads[slot] = spread;
		this.lengths[slot] = length;
		this.names[slot] = this.keepName(name, length);
		this.chains[slot] = NO_MORE;
		this.enter(slot);
		this.order = undefined;
		return slot;
	}

	private enter(slot: Slot): void {
		const mask = this.index.length - 1;
		let at = this.hashes[slot]! & mask;
		while (this.index[at] !== -1) at = (at + 1) & mask;
		this.index[at] = slot;
	}

	private keepName(name: Name, length: number): Offset {
		if (this.blockNext + length + 1 > this.blockEnd) {
			const last = this.blocks.at(-1)?.size ?? FIRST_BLOCK / 2;
			const size = blockSize(Math.min(last * 2, LARGEST_BLOCK));
			const at = allocate(size);
			this.blocks.push({ at, size });
			this.nameBytes += size;
			this.blockNext = at;
			this.blockEnd = at + size;
		}
		const at = this.blockNext;
		copy(at, name, length + 1);
		this.blockNext += length + 1;
		return at;
	}

	private grow(): void {
		const capacity = this.hashes.length * 2;
		this.hashes = enlarge(this.hashes, new Uint32Array(capacity));
		this.spreads = enlarge(this.spreads, new Uint32Array(capacity));
		this.names = enlarge(this.names, new Uint32Array(capacity));
		this.lengths = enlarge(this.lengths, new Uint8Array(capacity));
		this.types = enlarge(this.types, new Uint8Array(capacity));
		this.flags = enlarge(this.flags, new Uint8Array(capacity));
		this.layers = enlarge(this.layers, new Uint16Array(capacity));
		this.inodesLow = enlarge(this.inodesLow, new Uint32Array(capacity));
		this.inodesHigh = enlarge(this.inodesHigh, new Uint32Array(capacity));
		this.chains = enlarge(this.chains, new Int32Array(capacity));
		this.index = new Int32Array(capacity * 2).fill(-1);
		for (let slot = 0; slot < this.used; slot++) this.enter(slot);
	}

	// The order of readdir.

	/** The position of the first entry behind a readdir offset. */
	positionAfter(offset: number): number {
		this.order ??= this.sorted();
		const order = this.order;
		let low = 0;
		let high = order.length;
		while (low < high) {
			const middle = (low + high) >>> 1;
			if (this.cookie(order[middle]!) > offset) high = middle;
			else low = middle + 1;
		}
		return low;
	}

	/** The slot at a position, also a hidden one; -1 behind the last. */
	slotAt(position: number): Slot {
		return this.order?.[position] ?? -1;
	}

	/** The readdir offset behind the entry. */
	cookie(slot: Slot): number {
		return (
			this.hashes[slot]! * 2 ** SPREAD_BITS + (this.spreads[slot]! >>> (32 - SPREAD_BITS)) + FIRST_COOKIE
		);
	}

	/** All slots by hash (a radix sort of two 16-bit passes), those of equal hash by spread. */
	private sorted(): Uint32Array {
		const { used, hashes, spreads } = this;
		let from = new Uint32Array(used);
		let to = new Uint32Array(used);
		for (let slot = 0; slot < used; slot++) from[slot] = slot;
		if (used < 256) return from.sort((a, b) => hashes[a]! - hashes[b]! || spreads[a]! - spreads[b]!);
		for (const shift of [0, 16]) {
			const starts = COUNTS.fill(0);
			for (let i = 0; i < used; i++) starts[((hashes[from[i]!]! >>> shift) & 0xffff) + 1]!++;
			for (let i = 1; i < starts.length; i++) starts[i]! += starts[i - 1]!;
			for (let i = 0; i < used; i++) to[starts[(hashes[from[i]!]! >>> shift) & 0xffff]!++] = from[i]!;
			[from, to] = [to, from];
		}
		for (let i = 1; i < used; i++) {
			for (let j = i; j > 0; j--) {
				const lower = from[j - 1]!;
				const upper = from[j]!;
				if (hashes[lower] !== hashes[upper] || spreads[lower]! <= spreads[upper]!) break;
				from[j - 1] = upper;
				from[j] = lower;
			}
		}
		return from;
	}
}

function enlarge<Column extends { set(from: Column): void }>(from: Column, to: Column): Column {
	to.set(from);
	return to;
}
