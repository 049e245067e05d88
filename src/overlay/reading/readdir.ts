/** The inode numbers that readdir shows. */

import { DT_DIR, statx } from "../../native/layout.ts";
import { Errno } from "../../native/libc/errno.ts";
import { close, type Fd } from "../../native/libc/file.ts";
import { stat } from "../../native/libc/metadata.ts";
import { linkCount } from "../../native/libc/stat.ts";
import { attributeNames } from "../../native/libc/xattr.ts";
import { type Name, reserve, view } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import { readOrigin } from "../marks/origin.ts";
import { isRedirected } from "../marks/redirect.ts";
import { OPAQUE, REDIRECTED, readMarks } from "../marks/whiteout.ts";
import type { Directory } from "../nodes/directory.ts";
import type { Listing, Slot } from "../nodes/listing.ts";
import { measure } from "../nodes/name.ts";
import { NO_NODE } from "../nodes/node.ts";
import type { Overlay } from "../overlay.ts";
import { isInIndex } from "./hard-links.ts";
import { lookup, mayHoldOrigins, NOWHERE } from "./lookup.ts";

const STAT = reserve(statx.sizeof);
const OWN = reserve(statx.sizeof);

/**
 * Sets `overlay.inodes` to the inode number stat(2) would show for an entry: as in its layer, but for a directory that
 * lower layers contribute to that of the topmost of them, and for a copied-up file that of its origin.
 */
export function numberOf(overlay: Overlay, directory: Directory, listing: Listing, slot: Slot): void {
	const { inodes, nodes, options } = overlay;
	const layer = listing.layer(slot);
	const mayBeMerged = options.hasCopies && !options.fastInode && listing.isMerged(slot);
	if (layer === 0 && (mayBeMerged || mayHoldOrigins(overlay, directory))) {
		const name = listing.name(slot);
		const known = nodes.find(directory.node, name, measure(name));
		if (known !== NO_NODE) {
			inodes.low = nodes.inodeLow(known);
			inodes.high = nodes.inodeHigh(known);
			return;
		}
		if (numberElsewhere(overlay, directory, listing, slot, name)) return;
	}
	inodes.translate(layer, listing.inodeLow(slot), listing.inodeHigh(slot));
}

/** Whether an entry of the upper layer takes its number from something in another layer; then `overlay.inodes` has it. */
function numberElsewhere(
	overlay: Overlay,
	directory: Directory,
	listing: Listing,
	slot: Slot,
	name: Name,
): boolean {
	const upper = directory.fds[0]!;
	if (!listing.isMerged(slot)) {
		const attributes = attributeNames(upper, name);
		const isRenamed = listing.type(slot) === DT_DIR && attributes !== undefined;
		if (isRenamed && isRedirected(upper, attributes)) return numberOfRenamed(overlay, directory, name);
		return numberFrom(overlay, originOf(overlay, upper, name, attributes));
	}
	const fd = overlay.layers[0]!.openDirectory(upper, name);
	if (fd < 0) return false;
	let marks: number;
	try {
		marks = readMarks(fd, true);
	} finally {
		close(fd);
	}
	if ((marks & OPAQUE) !== 0) return false;
	if ((marks & REDIRECTED) !== 0) return numberOfRenamed(overlay, directory, name);
	const lower = listing.layersOf(slot)[1]!;
	return stat(overlay.directories.borrow(directory, lower), name, STAT) === 0 && numberFrom(overlay, lower);
}

/** The layer of the origin whose number a file of the upper layer has, the origin's `struct statx` in STAT; NOWHERE: its own. */
function originOf(overlay: Overlay, upper: Fd, name: Name, attributes: ByteString | undefined): number {
	const { indexed, layers } = overlay;
	const origin = readOrigin(layers, upper, name, attributes, STAT);
	if (origin === NOWHERE || linkCount(STAT) === 1) return origin;
	if (indexed === undefined || stat(upper, name, OWN) < 0) return NOWHERE;
	try {
		// As by a lookup.
		return isInIndex(indexed, upper, name, OWN) ? origin : NOWHERE;
	} catch (error) {
		// That a name is listed does not hang on its number.
		if (error instanceof Errno) return NOWHERE;
		throw error;
	}
}

/** Takes the number in STAT, of an object of layer `layer`; false for NOWHERE. */
function numberFrom({ inodes }: Overlay, layer: number): boolean {
	if (layer === NOWHERE) return false;
	inodes.translate(
		layer,
		view.getUint32(STAT + statx.stxIno, true),
		view.getUint32(STAT + statx.stxIno + 4, true),
	);
	return true;
}

/** Takes the number of a directory that was renamed. False for one that is refused. */
function numberOfRenamed(overlay: Overlay, { node: parent }: Directory, name: Name): boolean {
	const { inodes, nodes } = overlay;
	try {
		const node = lookup(overlay, parent, name);
		if (node === NO_NODE) return false;
		inodes.low = nodes.inodeLow(node);
		inodes.high = nodes.inodeHigh(node);
		nodes.freeIfUnused(node);
		return true;
	} catch (error) {
		if (error instanceof Errno) return false;
		throw error;
	}
}
