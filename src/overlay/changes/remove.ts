/** Removing names: unlink and rmdir. Source: Linux fs/overlayfs/dir.c, ovl_do_remove. */

import {
	AT_REMOVEDIR,
	DT_DIR,
	EISDIR,
	ENOENT,
	ENOTDIR,
	ENOTEMPTY,
	EXDEV,
	statx,
} from "../../native/layout.ts";
import { removeName } from "../../native/libc/directory.ts";
import { check, fail } from "../../native/libc/errno.ts";
import type { Fd } from "../../native/libc/file.ts";
import { kindOf } from "../../native/libc/stat.ts";
import { type Name, reserve } from "../../native/memory.ts";
import { moveAsOwner } from "../layers/owner-access.ts";
import { removeTreeAt } from "../layers/remove-tree.ts";
import type { Workdir } from "../layers/workdir.ts";
import { isReserved, placeWhiteout, replaceByWhiteout } from "../marks/whiteout.ts";
import type { Directory } from "../nodes/directory.ts";
import { NO_SLOT } from "../nodes/listing.ts";
import { measure } from "../nodes/name.ts";
import { NO_NODE, type NodeId } from "../nodes/node.ts";
import type { Overlay } from "../overlay.ts";
import { findLayer, isBelow, lookupExisting, NOWHERE } from "../reading/lookup.ts";
import { copyUp } from "./copy-up.ts";
import { counted } from "./hard-links.ts";
import { replaceDirectoryByWhiteout } from "./move.ts";
import { withoutName } from "./nameless.ts";
import { raiseName } from "./raise-name.ts";

const PROBE = reserve(statx.sizeof);

/** Removes a name of anything but a directory. Throws ENOENT, EISDIR, EROFS and what removing may. */
export function unlink(overlay: Overlay, parent: NodeId, name: Name): void {
	const work = overlay.writable();
	if (overlay.journal?.isDone) return;
	if (isReserved(name)) fail(ENOENT);
	const directory = overlay.directoryToChange(parent);
	let node = overlay.nodes.find(parent, name, measure(name));
	if (overlay.indexed === undefined) {
		removeFile(overlay, work, directory, name, node);
		return;
	}
	// Under another name it may be in the index.
	if (node === NO_NODE) node = lookupExisting(overlay, parent, name);
	// Held until the end: the kernel need not know it.
	overlay.nodes.hold(node);
	try {
		raiseName(overlay, node, parent, name);
		removeFile(overlay, work, directory, name, node);
	} finally {
		overlay.nodes.letGo(node);
	}
}

function removeFile(overlay: Overlay, work: Workdir, directory: Directory, name: Name, node: NodeId): void {
	const parent = directory.node;
	const layer = node === NO_NODE ? findLayer(overlay, directory, name, PROBE) : overlay.nodes.layer(node);
	if (layer === NOWHERE) fail(ENOENT);
	if ((node === NO_NODE ? kindOf(PROBE) : overlay.nodes.kind(node)) === DT_DIR) fail(EISDIR);
	if (node !== NO_NODE) overlay.settle(node);
	copyUp(overlay, parent);
	const below = isBelow(overlay, directory, name);
	const upper = directory.fds[0]!;
	const isUpper = layer === 0;
	const run = () => {
		const { length } = measure(name);
		if (!isUpper) placeWhiteout(work, upper, name, length);
		else if (below) replaceByWhiteout(work, upper, name, length);
		else check(removeName(upper, name, 0));
	};
	const from = isUpper && !below ? upper : undefined;
	counted(overlay, node, -1, () => withoutName(overlay, parent, name, node, { isUpper, run, from }));
	noteRemoval(work, directory, name, below);
}

/** Removes a directory that is empty to the user. Throws ENOTEMPTY, ENOTDIR, ENOENT, EROFS and what removing may. */
export function rmdir(overlay: Overlay, parent: NodeId, name: Name): void {
	const { nodes } = overlay;
	const work = overlay.writable();
	if (overlay.journal?.isDone) return;
	const directory = overlay.directoryToChange(parent);
	let node = nodes.find(parent, name, measure(name));
	if (node === NO_NODE) node = lookupExisting(overlay, parent, name);
	// Held until the end: the kernel need not know it.
	nodes.hold(node);
	try {
		removeDirectory(overlay, work, directory, name, node);
	} finally {
		nodes.letGo(node);
	}
}

function removeDirectory(
	overlay: Overlay,
	work: Workdir,
	directory: Directory,
	name: Name,
	node: NodeId,
): void {
	const { directories, listings } = overlay;
	if (overlay.nodes.kind(node) !== DT_DIR) fail(ENOTDIR);
	const child = directories.get(node);
	// Alone in the upper layer: the file system under us knows best whether it is empty.
	const askDisk =
		overlay.isUpper(node) && !child.isMerged && child.listing === undefined && !child.isBeingRead;
	if (!askDisk && listings.list(child).visible > 0) fail(ENOTEMPTY);
	copyUp(overlay, directory.node);
	const below = isBelow(overlay, directory, name);
	const upper = directory.fds[0]!;
	const isUpper = overlay.isUpper(node);
	const run = () => {
		if (!isUpper) {
			placeWhiteout(work, upper, name, measure(name).length);
		} else if (below) {
			if (listings.list(child).visible > 0) fail(ENOTEMPTY);
			replaceDirectoryByWhiteout(work, upper, name);
		} else {
			removeUpperDirectory(overlay, work, child, upper, name);
		}
	};
	withoutName(overlay, directory.node, name, node, { isUpper, run });
	noteRemoval(work, directory, name, below);
}

/** Removes a directory that has nothing below it; whiteouts in it, which users do not see, go with it. */
function removeUpperDirectory(
	overlay: Overlay,
	work: Workdir,
	child: Directory,
	upper: Fd,
	name: Name,
): void {
	const result = removeName(upper, name, AT_REMOVEDIR);
	if (result !== -ENOTEMPTY) {
		check(result);
		return;
	}
	if (overlay.listings.list(child).visible > 0) fail(ENOTEMPTY);
	const temporary = work.temporaryName();
	const moved = moveAsOwner(upper, name, work.fd, temporary, 0);
	if (moved === -EXDEV) {
		// Another overlay is the file system under us, and has lower content in the directory.
		removeTreeAt(upper, name);
		return;
	}
	check(moved);
	work.discard(temporary);
}

/** Keeps the parent's listing in step with a name that is gone. */
export function noteRemoval(work: Workdir, directory: Directory, name: Name, whiteout: boolean): void {
	const { listing } = directory;
	if (listing === undefined) return;
	const slot = listing.find(name, measure(name));
	if (slot !== NO_SLOT) listing.remove(slot, whiteout, work.fileWhiteouts);
}
