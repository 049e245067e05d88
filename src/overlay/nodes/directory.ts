/**
 * A directory of the mount as its layers have it: which of them contribute, descriptors in them, the listing. The topmost
 * layer's directory is open as long as this is kept; those below it may be opened when they are asked for, as there may be
 * more layers than descriptors.
 */

import { type Fd, NO_FD } from "../../native/libc/file.ts";
import type { Name } from "../../native/memory.ts";
import { removeWhiteoutFile } from "../marks/whiteout.ts";
import { type Listing, NO_SLOT } from "./listing.ts";
import { measure } from "./name.ts";
import type { NodeId } from "./node.ts";

/** Whoever keeps directories open. */
interface Opener {
	/** Opens the directory in the layer at position `at` of its list. Throws what opening may. */
	openIn(directory: Directory, at: number): Fd;
}

export class Directory {
	readonly node: NodeId;
	/** Indices of the layers that contribute, topmost first. Never empty. */
	readonly layers: number[];
	/** A descriptor for each of `layers`; NO_FD where it is not open, which the topmost always is. */
	readonly fds: Fd[];
	/** What each of `layers` says of its directory, see whiteout.ts. */
	readonly marks: number[];
	/** This and the following fields are those of `Listings`. */
	listing: Listing | undefined;
	/** The listing is being read, in steps. */
	isBeingRead = false;
	/** Found to have more names than are read at once. */
	isLarge = false;
	/** Asked for since the listings were last looked at for some to drop. */
	isListingRecent = false;
	/** Lookups since the listing was last there. */
	lookups = 0;
	/** Removed, but still held open by somebody: shows nothing, takes nothing. */
	removed = false;
	/** Asked for since the cache last looked for something to close. */
	recent = true;
	/** Removed, and nothing but its descriptor leads to it: not to be closed as long as the node lives. */
	isHeld = false;
	private readonly opener: Opener;

	constructor(opener: Opener, node: NodeId, layers: number[], fds: Fd[], marks: number[]) {
		this.opener = opener;
		this.node = node;
		this.layers = layers;
		this.fds = fds;
		this.marks = marks;
	}

	/** Whether more than one layer contributes. */
	get isMerged(): boolean {
		return this.layers.length > 1;
	}

	/** The descriptor in layer `index`, open until the request ends; NO_FD where that layer does not contribute. */
	fd(index: number): Fd {
		const at = this.layers.indexOf(index);
		if (at === -1) return NO_FD;
		const fd = this.fds[at]!;
		return fd === NO_FD ? this.opener.openIn(this, at) : fd;
	}

	/** Takes away a `.wh.NAME` of the upper layer, which may be there, after NAME itself was made. */
	clearWhiteoutFile(name: Name): void {
		if (!this.isMerged) return;
		const measured = measure(name);
		if (this.listing !== undefined) {
			const slot = this.listing.find(name, measured);
			if (slot === NO_SLOT || !this.listing.isFileWhiteout(slot)) return;
		}
		removeWhiteoutFile(this.fds[0]!, name, measured.length);
	}

	/** The directory in the upper layer was made by copy-up. */
	addUpper(fd: Fd): void {
		this.layers.unshift(0);
		this.fds.unshift(fd);
		this.marks.unshift(0);
	}
}
