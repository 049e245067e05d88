/** The answers to READDIR and READDIRPLUS: as many entries as fit, from any offset on. */

import { DT_DIR, DT_UNKNOWN, fuseDirent, fuseDirentplus, fuseEntryOut } from "../native/layout.ts";
import { isDistant } from "../native/libc/distant.ts";
import { Errno } from "../native/libc/errno.ts";
import { kindOf } from "../native/libc/stat.ts";
import { bytes, copy, type Name, store, words } from "../native/memory.ts";
import type { ByteString } from "../options.ts";
import type { Directory } from "../overlay/nodes/directory.ts";
import { type Listing, NO_SLOT, type Slot } from "../overlay/nodes/listing.ts";
import { measure } from "../overlay/nodes/name.ts";
import { NO_NODE, type NodeId, ROOT } from "../overlay/nodes/node.ts";
import { nameShown, surplus } from "../overlay/nodes/user-name.ts";
import type { Overlay } from "../overlay/overlay.ts";
import { STAT, show } from "../overlay/reading/attributes.ts";
import { adopt } from "../overlay/reading/lookup.ts";
import { numberOf } from "../overlay/reading/readdir.ts";
import { REPLY, type Replies } from "./reply.ts";
import { nodeOfId } from "./request.ts";

const SELF = store("." as ByteString);
const PARENT = store(".." as ByteString);
/** Offsets behind "." and ".."; those behind other names are larger. */
const AFTER_SELF = 1;
const AFTER_PARENT = 2;

export class DirectoryReply {
	private readonly overlay: Overlay;
	private readonly replies: Replies;
	private end = 0;
	private limit = 0;
	private plus = false;

	constructor(overlay: Overlay, replies: Replies) {
		this.overlay = overlay;
		this.replies = replies;
	}

	/** Answers the entries of `node` behind `offset`, at most `size` bytes, with attributes if `plus`. */
	answer(node: NodeId, offset: number, size: number, plus: boolean): void {
		const { overlay } = this;
		const directory = overlay.directory(node);
		const listing = overlay.listings.walk(directory, offset);
		this.end = REPLY;
		this.limit = REPLY + size;
		this.plus = plus;
		try {
			this.fill(node, directory, listing, offset);
		} catch (error) {
			if (plus) this.takeBack();
			throw error;
		}
		if (!this.replies.bytes(REPLY, this.end - REPLY) && plus) this.takeBack();
	}

	private fill(node: NodeId, directory: Directory, listing: Listing, offset: number): void {
		if (this.addDots(node, offset)) this.addEntries(directory, listing, Math.max(offset, AFTER_PARENT));
	}

	/** False where there was no room. */
	private addDots(node: NodeId, offset: number): boolean {
		const { nodes } = this.overlay;
		if (offset < AFTER_SELF && !this.addDot(SELF, 1, node, AFTER_SELF)) return false;
		const parent = node === ROOT || !nodes.isNamed(node) ? node : nodes.parent(node);
		return offset >= AFTER_PARENT || this.addDot(PARENT, 2, parent, AFTER_PARENT);
	}

	private addDot(name: Name, length: number, node: NodeId, next: number): boolean {
		const { nodes } = this.overlay;
		const entry = this.begin(length);
		if (entry === 0) return false;
		// The kernel looks neither of them up.
		if (this.plus) bytes.fill(0, this.end, this.end + fuseEntryOut.sizeof);
		this.finish(entry, name, length, nodes.inodeLow(node), nodes.inodeHigh(node), DT_DIR, next);
		return true;
	}

	private addEntries(directory: Directory, listing: Listing, offset: number): void {
		for (let slot = listing.after(offset); slot !== NO_SLOT; slot = listing.following(slot)) {
			if (!listing.isVisible(slot)) continue;
			const entry = this.begin(listing.nameLength(slot) - surplus(listing.name(slot)));
			if (entry === 0) return;
			if (this.plus) this.addWithAttributes(directory, listing, slot, entry);
			else this.addPlain(directory, listing, slot, entry);
		}
	}

	private addPlain(directory: Directory, listing: Listing, slot: Slot, entry: number): void {
		const { overlay } = this;
		const { inodes } = overlay;
		numberOf(overlay, directory, listing, slot);
		const type = overlay.identity?.hidesKinds ? DT_UNKNOWN : listing.type(slot);
		this.finishNamed(entry, listing, slot, inodes.low, inodes.high, type);
	}

	private addWithAttributes(directory: Directory, listing: Listing, slot: Slot, entry: number): void {
		const { overlay, replies } = this;
		const node = this.nodeFor(directory, listing, slot);
		if (node === NO_NODE) {
			bytes.fill(0, this.end, this.end + fuseEntryOut.sizeof);
			this.addPlain(directory, listing, slot, entry);
			return;
		}
		const { nodes } = overlay;
		replies.writeEntry(this.end, node);
		replies.refer(node);
		this.finishNamed(entry, listing, slot, nodes.inodeLow(node), nodes.inodeHigh(node), kindOf(STAT));
	}

	/**
	 * The entry's node, its attributes in STAT; NO_NODE where the kernel had better ask for it by LOOKUP: when it cannot
	 * be looked at, is a merged directory, whose link count takes reading it, or in a layer that may not answer for long.
	 */
	private nodeFor(directory: Directory, listing: Listing, slot: Slot): NodeId {
		const { overlay } = this;
		if (listing.isMerged(slot) || (overlay.options.live && listing.type(slot) === DT_DIR)) return NO_NODE;
		const name = listing.name(slot);
		const layer = listing.layer(slot);
		const fd = overlay.directories.borrow(directory, layer);
		if (isDistant(fd)) return NO_NODE;
		if (overlay.layers[layer]!.stat(fd, name, STAT) < 0) return NO_NODE;
		const known = overlay.nodes.find(directory.node, name, measure(name));
		if (known !== NO_NODE && overlay.options.live && !overlay.isSameObject(known, layer, STAT))
			return NO_NODE;
		try {
			return known === NO_NODE ? adopt(overlay, directory, name, layer) : show(overlay, known, fd, name);
		} catch (error) {
			if (error instanceof Errno) return NO_NODE;
			throw error;
		}
	}

	/** Room for one entry: where its `struct fuse_dirent` goes; 0 where it does not fit. */
	private begin(length: number): number {
		const header = this.plus ? fuseDirentplus.dirent : 0;
		const size = header + ((fuseDirent.sizeof + length + 7) & ~7);
		return this.end + size > this.limit ? 0 : this.end + header;
	}

	private finishNamed(
		entry: number,
		listing: Listing,
		slot: Slot,
		inodeLow: number,
		inodeHigh: number,
		type: number,
	): void {
		const name = listing.name(slot);
		const length = listing.nameLength(slot) - surplus(name);
		this.finish(entry, nameShown(name), length, inodeLow, inodeHigh, type, listing.cookie(slot));
	}

	private finish(
		entry: number,
		name: Name,
		length: number,
		inodeLow: number,
		inodeHigh: number,
		type: number,
		next: number,
	): void {
		const end = entry + ((fuseDirent.name + length + 7) & ~7);
		const at = entry >>> 2;
		words[at + fuseDirent.ino / 4] = inodeLow;
		words[at + fuseDirent.ino / 4 + 1] = inodeHigh;
		words[at + fuseDirent.off / 4] = next >>> 0;
		words[at + fuseDirent.off / 4 + 1] = next / 2 ** 32;
		words[at + fuseDirent.namelen / 4] = length;
		words[at + fuseDirent.type / 4] = type;
		// What the last bytes are filled up with.
		words[(end >>> 2) - 2] = 0;
		words[(end >>> 2) - 1] = 0;
		copy(entry + fuseDirent.name, name, length);
		this.end = end;
	}

	/** Nobody has read the answer: the kernel does not hold the nodes in it. */
	private takeBack(): void {
		for (let at = REPLY; at < this.end; ) {
			const node = nodeOfId(at + fuseEntryOut.nodeid);
			if (node !== 0) this.overlay.nodes.forget(node, 1);
			const length = words[(at + fuseDirentplus.dirent + fuseDirent.namelen) >>> 2]!;
			at += fuseDirentplus.dirent + ((fuseDirent.name + length + 7) & ~7);
		}
	}
}
