/** Making hard links. */

import { AT_SYMLINK_FOLLOW, DT_DIR, EEXIST, ENOENT, EPERM } from "../native/layout.ts";
import { makeLink, moveName, removeName } from "../native/libc/directory.ts";
import { check, fail } from "../native/libc/errno.ts";
import { descriptorPath, type Fd, WORKING_DIRECTORY } from "../native/libc/file.ts";
import { stat } from "../native/libc/metadata.ts";
import { inodeHigh, inodeLow } from "../native/libc/stat.ts";
import { EMPTY_NAME, type Name } from "../native/memory.ts";
import { readAttributes, STAT } from "./attributes.ts";
import { copyUp } from "./copy-up.ts";
import { refuseMovedMetacopy } from "./elsewhere.ts";
import { checkNewName, findLayer, NOWHERE } from "./lookup.ts";
import { measure } from "./name.ts";
import type { NodeId } from "./node.ts";
import type { Overlay } from "./overlay.ts";
import { isWhiteoutName } from "./whiteout.ts";
import { checkMade } from "./workdir.ts";

/**
 * Gives a node a further name; its attributes are in STAT. Throws EEXIST, EPERM for directories, and what linking may.
 * Source: Linux fs/overlayfs/dir.c, ovl_link.
 */
export function link(overlay: Overlay, node: NodeId, parent: NodeId, name: Name): void {
	const { nodes } = overlay;
	const work = overlay.writable();
	checkNewName(name);
	if (nodes.kind(node) === DT_DIR) fail(EPERM);
	const directory = overlay.directoryToChange(parent);
	if (directory.removed) fail(ENOENT);
	refuseMovedMetacopy(overlay, node);
	copyUp(overlay, node);
	copyUp(overlay, parent);
	if (directory.isMerged && findLayer(overlay, directory, name, STAT) !== NOWHERE) fail(EEXIST);
	const upper = directory.fds[0]!;
	const result = makeLinkTo(overlay, node, upper, name);
	if (result === -EEXIST) {
		if (!isWhiteoutName(upper, name)) fail(EEXIST);
		const temporary = work.temporaryName();
		const made = makeLinkTo(overlay, node, work.fd, temporary);
		// A file whose names are all gone, unlike one that never had any, cannot be given one.
		if (made === -ENOENT && !nodes.isNamed(node)) fail(ENOENT);
		checkMade(made);
		const moved = moveName(work.fd, temporary, upper, name, 0);
		if (moved < 0) {
			removeName(work.fd, temporary, 0);
			fail(-moved);
		}
	} else {
		check(result);
		directory.clearWhiteoutFile(name);
	}
	const looked = stat(upper, name, STAT);
	// It was made all the same.
	if (looked < 0) overlay.listings.drop(directory);
	check(looked);
	directory.listing?.create(name, measure(name), nodes.kind(node), inodeLow(STAT), inodeHigh(STAT));
	overlay.directories.markImpure(directory, work);
	overlay.linkUpper(node, STAT);
	if (!nodes.isNamed(node)) nodes.attach(node, parent, name, measure(name));
	readAttributes(overlay, node);
}

function makeLinkTo(overlay: Overlay, node: NodeId, directory: Fd, name: Name): number {
	const place = overlay.locate(node);
	if (place.name !== EMPTY_NAME) return makeLink(place.directory, place.name, directory, name, 0);
	return makeLink(WORKING_DIRECTORY, descriptorPath(place.directory), directory, name, AT_SYMLINK_FOLLOW);
}
