/** The inode numbers that readdir shows. */

import { statx } from "../../native/layout.ts";
import { close } from "../../native/libc/file.ts";
import { stat } from "../../native/libc/metadata.ts";
import { attributeNames } from "../../native/libc/xattr.ts";
import { type Name, reserve, view } from "../../native/memory.ts";
import { readOrigin } from "../marks/origin.ts";
import { OPAQUE, readMarks } from "../marks/whiteout.ts";
import type { Directory } from "../nodes/directory.ts";
import type { Listing, Slot } from "../nodes/listing.ts";
import { measure } from "../nodes/name.ts";
import { NO_NODE } from "../nodes/node.ts";
import type { Overlay } from "../overlay.ts";
import { mayHoldOrigins, NOWHERE } from "./lookup.ts";

const STAT = reserve(statx.sizeof);

/**
 * Sets `overlay.inodes` to the inode number stat(2) would show for an entry: as in its layer, but for a directory that
 * lower layers contribute to that of the topmost of them, and for a copied-up file that of its origin.
 */
export function numberOf(overlay: Overlay, directory: Directory, listing: Listing, slot: Slot): void {
	const { inodes, nodes } = overlay;
	const layer = listing.layer(slot);
	const mayBeMerged = overlay.work !== undefined && !overlay.options.fastInode && listing.isMerged(slot);
	if (layer === 0 && (mayBeMerged || mayHoldOrigins(overlay, directory))) {
		const name = listing.name(slot);
		const known = nodes.find(directory.node, name, measure(name));
		if (known !== NO_NODE) {
			inodes.low = nodes.inodeLow(known);
			inodes.high = nodes.inodeHigh(known);
			return;
		}
		const origin = originOf(overlay, directory, listing, slot, name);
		if (origin !== NOWHERE) {
			inodes.translate(
				origin,
				view.getUint32(STAT + statx.stxIno, true),
				view.getUint32(STAT + statx.stxIno + 4, true),
			);
			return;
		}
	}
	inodes.translate(layer, listing.inodeLow(slot), listing.inodeHigh(slot));
}

/** The layer an entry of the upper layer takes its number from, with that object's attributes in this file's STAT. */
function originOf(overlay: Overlay, directory: Directory, listing: Listing, slot: Slot, name: Name): number {
	const upper = directory.fds[0]!;
	if (!listing.isMerged(slot))
		return readOrigin(overlay.layers, upper, name, attributeNames(upper, name), STAT);
	const fd = overlay.layers[0]!.openDirectory(upper, name);
	if (fd < 0) return NOWHERE;
	let opaque: boolean;
	try {
		opaque = (readMarks(fd, true) & OPAQUE) !== 0;
	} finally {
		close(fd);
	}
	const lower = listing.layersOf(slot)[1]!;
	return !opaque && stat(overlay.directories.borrow(directory, lower), name, STAT) === 0 ? lower : NOWHERE;
}
