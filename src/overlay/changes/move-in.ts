/**
 * The last step of a copy-up: the finished copy, made in the workdir, gets the name of its original by one rename.
 * Source: Linux fs/overlayfs/copy_up.c.
 */

import { DT_DIR, statx } from "../../native/layout.ts";
import { check } from "../../native/libc/errno.ts";
import { changeTimesOf, stat, statDescriptor } from "../../native/libc/metadata.ts";
import { inodeHigh, inodeLow, timesOf } from "../../native/libc/stat.ts";
import { EMPTY_NAME, type Name, reserve } from "../../native/memory.ts";
import type { Durability } from "../layers/durability.ts";
import { moveAsOwner } from "../layers/owner-access.ts";
import type { Workdir } from "../layers/workdir.ts";
import { change } from "../nodes/journal.ts";
import type { NodeId } from "../nodes/node.ts";
import type { Overlay } from "../overlay.ts";
import type { Original } from "./copy-metadata.ts";
import { enterIndex, linkUp } from "./hard-links.ts";

const PARENT = reserve(statx.sizeof);
/** A copy with an inode number of its own. */
const PARTED = reserve(statx.sizeof);

/** A copy on its way through the steps. */
export interface Copy {
	readonly overlay: Overlay;
	readonly work: Workdir;
	readonly node: NodeId;
	/** Its name in the workdir. */
	readonly temporary: Name;
}

/** How a copy is made durable before it gets its name. */
export function neededFor({ options, nodes, work }: Overlay, node: NodeId): Durability {
	return options.fsync && work !== undefined && nodes.isNamed(node) ? work.durability : "none";
}

/** Moves the finished copy to its name, or into the index; where the original has none any more, to one in the workdir. */
export function moveToPlace(copy: Copy, original: Original): void {
	const { overlay, work, node, temporary } = copy;
	const { indexed } = overlay;
	if (indexed?.get(node) !== undefined) {
		enterIndex(overlay, indexed, node, work.fd, temporary);
		return;
	}
	if (overlay.nodes.isNamed(node)) {
		moveIn(copy, original);
		return;
	}
	const { nodes } = overlay;
	overlay.journal?.begin(change.copying, { node, parent: nodes.parent(node), name: EMPTY_NAME });
	overlay.parked.moveIn(work, node, temporary);
	// The former one leads to the original.
	overlay.nodes.detach(node);
}

/** A copy in the index gets the name that its node goes by, too. */
export function linkOwnName(overlay: Overlay, node: NodeId): void {
	const { nodes, indexed } = overlay;
	if (indexed?.isCopied(node) && nodes.isNamed(node))
		linkUp(overlay, indexed, node, nodes.parent(node), nodes.name(node));
}

/** Moves the finished copy to its name; the parent's times stay as they were, as nothing in it has changed. */
function moveIn({ overlay, work, node, temporary }: Copy, { kind, takesOrigin }: Original): void {
	const { nodes, directories, inodes } = overlay;
	const parent = directories.get(nodes.parent(node));
	const fd = parent.fds[0]!;
	const name = nodes.name(node);
	const isParted = kind !== DT_DIR && !takesOrigin;
	if (takesOrigin) directories.markImpure(parent, work);
	// In its place it may be out of reach: where the directory is closed to its owner, whom this process acts for.
	if (isParted) check(stat(work.fd, temporary, PARTED));
	check(statDescriptor(fd, PARENT));
	const [ownLow, ownHigh] = isParted ? [inodeLow(PARTED), inodeHigh(PARTED)] : [0, 0];
	overlay.journal?.keepTimes(timesOf(PARENT));
	overlay.journal?.begin(change.copying, { node, parent: parent.node, name }, undefined, ownLow, ownHigh);
	check(moveAsOwner(work.fd, temporary, fd, name, 0));
	if (takesOrigin) overlay.originNumbers.claim(node, nodes.inodeLow(node), nodes.inodeHigh(node));
	// Who may write in another's directory may not set its times; the copy is in its place all the same.
	changeTimesOf(fd, timesOf(PARENT));
	overlay.listings.noteChange(parent, name, (listing, slot) => {
		if (listing.layer(slot) !== 0) listing.raise(slot);
	});
	if (isParted) {
		inodes.translate(0, ownLow, ownHigh);
		nodes.setInode(node, inodes.low, inodes.high);
		overlay.listings.noteChange(parent, name, (listing, slot) => listing.renumber(slot, ownLow, ownHigh));
		overlay.onParted(node, parent.node);
	}
}
