/**
 * One directory's names, merged from its layers, in memory: what lookup, readdir, link counts and removal
 * ask. Derived from the layers and kept in step with our own changes; it can be dropped at any time.
 *
 * A name's place in the order of readdir is a hash of the name itself, so that an offset stays valid, and no
 * name is lost or doubled, whatever is created or removed meanwhile and however often the listing is made
 * anew: the way ext4's hashed directories do it.
 */
import { DT_DIR } from "../../native/layout.ts";
import { type Name, type Offset, words } from "../../native/memory.ts";
import type { Measure } from "./name.ts";
import { field, NameTable, NO_SLOT, OWN_FIELDS, type Slot } from "./name-table.ts";

export { NO_SLOT, type Slot } from "./name-table.ts";

/** The topmost layer with the name has a whiteout for it. */
const WHITEOUT = 2;
/** That whiteout is a `.wh.NAME` file. */
const FILE_WHITEOUT = 4;
/** What lower layers have under this name does not show through. */
const CLOSED = 8;
/** The first layer under the topmost one that has the name shows something under it. */
const BELOW = 16;
const BELOW_KNOWN = 32;

/** The fields of a record beside the table's. */
const INODE_LOW = OWN_FIELDS;
const INODE_HIGH = OWN_FIELDS + 1;
/** The first of the pairs that name further layers of a directory; 0: there are none. */
const MORE = OWN_FIELDS + 2;
/** Layer in the lower half, then type, then flags. */
const STATE = OWN_FIELDS + 3;
const TYPE_SHIFT = 16;
const FLAGS_SHIFT = 24;

/** A pair: a further layer, and the place of the next pair. */
const PAIR_SIZE = 8;

export class Listing extends NameTable {
	/** Names a user sees. */
	visible = 0;
	/** Directories among them. */
	subdirectories = 0;

	isVisible(slot: Slot): boolean {
		return (flagsOf(slot) & WHITEOUT) === 0;
	}

	isWhiteout(slot: Slot): boolean {
		return (flagsOf(slot) & WHITEOUT) !== 0;
	}

	isFileWhiteout(slot: Slot): boolean {
		return (flagsOf(slot) & FILE_WHITEOUT) !== 0;
	}

	/** Whether a layer under the slot's topmost one would show the name if the topmost did not have it. */
	showsBelow(slot: Slot): boolean {
		return (flagsOf(slot) & BELOW) !== 0;
	}

	/** Index of the topmost layer with the name. */
	layer(slot: Slot): number {
		return field(slot, STATE) & 0xffff;
	}

	/** The layers that may contribute to a directory, topmost first (opaque ones among them not yet heeded). */
	layersOf(slot: Slot): number[] {
		const layers = [this.layer(slot)];
		for (let pair = field(slot, MORE); pair !== 0; pair = field(pair, 1)) layers.push(field(pair, 0));
		return layers;
	}

	/** Whether lower layers have a directory of this name that may be merged with it. */
	isMerged(slot: Slot): boolean {
		return field(slot, MORE) !== 0;
	}

	/** `DT_*`. */
	type(slot: Slot): number {
		return (field(slot, STATE) >>> TYPE_SHIFT) & 0xff;
	}

	/** The inode number in the topmost layer, untranslated. */
	inodeLow(slot: Slot): number {
		return field(slot, INODE_LOW);
	}

	inodeHigh(slot: Slot): number {
		return field(slot, INODE_HIGH);
	}

	// Filling, one layer after the other, topmost first.

	/** Layer `layer` has the name. */
	add(layer: number, name: Name, measure: Measure, type: number, inodeLow: number, inodeHigh: number): void {
		const slot = this.find(name, measure);
		if (slot === NO_SLOT) {
			const made = this.insert(name, measure);
			this.fill(made, layer, type, type === DT_DIR ? 0 : CLOSED, inodeLow, inodeHigh);
			return;
		}
		let flags = flagsOf(slot);
		if ((flags & BELOW_KNOWN) === 0) flags |= BELOW_KNOWN | BELOW;
		if ((flags & CLOSED) === 0) {
			if (type === DT_DIR) this.appendLayer(slot, layer);
			else flags |= CLOSED;
		}
		addFlags(slot, flags);
	}

	/** Layer `layer` has a whiteout for the name; after all its other names. */
	addWhiteout(layer: number, name: Name, measure: Measure, isFile: boolean): void {
		const slot = this.find(name, measure);
		if (slot === NO_SLOT) {
			const made = this.insert(name, measure);
			this.fill(made, layer, 0, WHITEOUT | CLOSED | (isFile ? FILE_WHITEOUT : 0), 0, 0);
			return;
		}
		// A `.wh.NAME` beside NAME in one layer hides what is below NAME; on removal it is kept or replaced.
		addFlags(slot, CLOSED | BELOW_KNOWN | (this.layer(slot) === layer ? BELOW : 0));
	}

	// Keeping in step.

	/** A new object in the upper layer (index 0), nothing of a lower layer merged into it. */
	create(name: Name, measure: Measure, type: number, inodeLow: number, inodeHigh: number): void {
		let slot = this.find(name, measure);
		let below = 0;
		if (slot === NO_SLOT) {
			slot = this.insert(name, measure);
		} else {
			below = this.below(slot);
			this.forgetVisible(slot);
		}
		words[(slot >>> 2) + MORE] = 0;
		this.fill(slot, 0, type, CLOSED | BELOW_KNOWN | below, inodeLow, inodeHigh);
	}

	/** The name was copied up to the upper layer (index 0). */
	raise(slot: Slot): void {
		if (this.type(slot) === DT_DIR) {
			words[(slot >>> 2) + MORE] = this.makePair(this.layer(slot), field(slot, MORE));
		}
		words[(slot >>> 2) + STATE]! &= ~0xffff;
		addFlags(slot, BELOW | BELOW_KNOWN);
	}

	/** The upper layer's object of this name has another inode number than the one it was copied from. */
	renumber(slot: Slot, inodeLow: number, inodeHigh: number): void {
		words[(slot >>> 2) + INODE_LOW] = inodeLow;
		words[(slot >>> 2) + INODE_HIGH] = inodeHigh;
	}

	/** The name was removed, and a whiteout left in the upper layer (index 0) or not. */
	remove(slot: Slot, whiteout: boolean, isFile: boolean): void {
		const below = this.below(slot);
		this.forgetVisible(slot);
		if (!whiteout) {
			this.takeOut(slot);
			return;
		}
		words[(slot >>> 2) + MORE] = 0;
		this.fill(slot, 0, 0, WHITEOUT | CLOSED | BELOW_KNOWN | below | (isFile ? FILE_WHITEOUT : 0), 0, 0);
	}

	private below(slot: Slot): number {
		const flags = flagsOf(slot);
		// Under the upper layer: what a lower layer shows itself counts as below.
		if (this.layer(slot) !== 0) return (flags & WHITEOUT) === 0 ? BELOW : 0;
		return flags & BELOW;
	}

	private forgetVisible(slot: Slot): void {
		if (!this.isVisible(slot)) return;
		this.visible--;
		if (this.type(slot) === DT_DIR) this.subdirectories--;
	}

	private fill(
		slot: Slot,
		layer: number,
		type: number,
		flags: number,
		inodeLow: number,
		inodeHigh: number,
	): void {
		words[(slot >>> 2) + STATE] = layer | (type << TYPE_SHIFT) | (flags << FLAGS_SHIFT);
		this.renumber(slot, inodeLow, inodeHigh);
		if ((flags & WHITEOUT) !== 0) return;
		this.visible++;
		if (type === DT_DIR) this.subdirectories++;
	}

	private appendLayer(slot: Slot, layer: number): void {
		const pair = this.makePair(layer, 0);
		let last = (slot >>> 2) + MORE;
		while (words[last] !== 0) last = (words[last]! >>> 2) + 1;
		words[last] = pair;
	}

	private makePair(layer: number, next: Offset): Offset {
		const pair = this.room(PAIR_SIZE);
		words[pair >>> 2] = layer;
		words[(pair >>> 2) + 1] = next;
		return pair;
	}
}

function flagsOf(slot: Slot): number {
	return field(slot, STATE) >>> FLAGS_SHIFT;
}

function addFlags(slot: Slot, flags: number): void {
	words[(slot >>> 2) + STATE]! |= flags << FLAGS_SHIFT;
}
