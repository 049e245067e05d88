/** Making hard links. */

import { DT_DIR, EEXIST, ENOENT, EPERM } from "../../native/layout.ts";
import { moveName, removeName } from "../../native/libc/directory.ts";
import { check, fail } from "../../native/libc/errno.ts";
import { stat, statFlagged } from "../../native/libc/metadata.ts";
import { inodeHigh, inodeLow, linkCount } from "../../native/libc/stat.ts";
import type { Name } from "../../native/memory.ts";
import { checkMade, type Workdir } from "../layers/workdir.ts";
import { isWhiteoutName } from "../marks/whiteout.ts";
import type { Directory } from "../nodes/directory.ts";
import { LINKABLE, LINKED } from "../nodes/flags.ts";
import { change } from "../nodes/journal.ts";
import { measure } from "../nodes/name.ts";
import type { NodeId } from "../nodes/node.ts";
import type { Overlay } from "../overlay.ts";
import { readAttributes, STAT } from "../reading/attributes.ts";
import { checkNewName, findLayer, NOWHERE } from "../reading/lookup.ts";
import { copyUp } from "./copy-up.ts";
import { freeName } from "./free-name.ts";
import { counted } from "./hard-links.ts";
import { makeLinkTo } from "./nameless.ts";
import { keepData } from "./redirect.ts";

/**
 * Gives a node a further name; its attributes are in STAT. Throws EEXIST, EPERM for directories, and what linking may.
 * Source: Linux fs/overlayfs/dir.c, ovl_link.
 */
export function link(overlay: Overlay, node: NodeId, parent: NodeId, name: Name): void {
	const { nodes } = overlay;
	const work = overlay.writable();
	checkNewName(name);
	if (nodes.kind(node) === DT_DIR) fail(EPERM);
	checkLinkable(overlay, node);
	const directory = overlay.directoryToChange(parent);
	if (directory.removed) fail(ENOENT);
	copyUp(overlay, node);
	copyUp(overlay, parent);
	const isDone = overlay.journal?.isDone === true;
	if (!isDone && directory.isMerged && findLayer(overlay, directory, name, STAT) !== NOWHERE) fail(EEXIST);
	if (!isDone) freeName(work, directory, name);
	keepData(overlay, work, node, directory, false);
	const upper = directory.fds[0]!;
	// First: whatever fails once the name is there, it is one of this node.
	noteLinked(overlay, node);
	overlay.journal?.begin(change.making, { node, parent, name });
	if (isDone) directory.clearWhiteoutFile(name);
	else counted(overlay, node, 1, () => makeName(overlay, work, node, directory, name));
	const looked = stat(upper, name, STAT);
	// It was made all the same.
	if (looked < 0) overlay.listings.drop(directory);
	check(looked);
	directory.listing?.create(name, measure(name), nodes.kind(node), inodeLow(STAT), inodeHigh(STAT));
	overlay.directories.markImpure(directory, work);
	overlay.meetAt(node, parent, name);
	readAttributes(overlay, node);
}

function noteLinked(overlay: Overlay, node: NodeId): void {
	if (overlay.nodes.flag(node, LINKED)) return;
	check(overlay.attemptAt(node, ({ directory, name, flags }) => statFlagged(directory, name, flags, STAT)));
	overlay.linkUpper(node, STAT);
}

/** Makes the name where there is none, or a whiteout. */
function makeName(overlay: Overlay, work: Workdir, node: NodeId, directory: Directory, name: Name): void {
	const upper = directory.fds[0]!;
	const result = makeLinkTo(overlay, node, upper, name);
	if (result !== -EEXIST) {
		check(result);
		directory.clearWhiteoutFile(name);
		return;
	}
	if (!isWhiteoutName(upper, name)) fail(EEXIST);
	const temporary = work.temporaryName();
	checkMade(makeLinkTo(overlay, node, work.fd, temporary));
	const moved = moveName(work.fd, temporary, upper, name, 0);
	if (moved < 0) {
		removeName(work.fd, temporary, 0);
		fail(-moved);
	}
}

/** A file whose names are all gone, unlike one that never had any, cannot be given one. Throws ENOENT. */
function checkLinkable(overlay: Overlay, node: NodeId): void {
	if (overlay.nodes.isNamed(node) || overlay.nodes.flag(node, LINKABLE)) return;
	if (!overlay.isUpper(node)) fail(ENOENT);
	readAttributes(overlay, node);
	// One left: the kernel knows it by another name than we do.
	if (linkCount(STAT) === 0) fail(ENOENT);
}
