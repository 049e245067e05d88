/** Hard links: making them, and knowing the files of the upper layer that have several names. */

import { AT_SYMLINK_FOLLOW, DT_DIR, EEXIST, ENOENT, EPERM, statx } from "../native/layout.ts";
import { makeLink, moveName, removeName } from "../native/libc/directory.ts";
import { check, fail } from "../native/libc/errno.ts";
import { descriptorPath, type Fd, WORKING_DIRECTORY } from "../native/libc/file.ts";
import { stat } from "../native/libc/metadata.ts";
import { EMPTY_NAME, type Name, type Offset, view } from "../native/memory.ts";
import { readAttributes, STAT } from "./attributes.ts";
import { copyUp } from "./copy-up.ts";
import { checkNewName, findLayer, inodeHigh, inodeLow, NOWHERE } from "./lookup.ts";
import { measure } from "./name.ts";
import { NO_NODE, type NodeId } from "./node.ts";
import type { Overlay } from "./overlay.ts";
import { isWhiteoutName } from "./whiteout.ts";
import { checkMade } from "./workdir.ts";

/** Nodes by the inode of their file in the upper layer, for files with several names. */
export class UpperLinks {
	private readonly nodes = new Map<string, NodeId>();
	private readonly keys = new Map<NodeId, string>();

	/** The node of the file a `struct statx` describes, or NO_NODE. */
	find(stat: Offset): NodeId {
		return this.nodes.size === 0 ? NO_NODE : (this.nodes.get(keyOf(stat)) ?? NO_NODE);
	}

	add(node: NodeId, stat: Offset): void {
		const key = keyOf(stat);
		this.nodes.set(key, node);
		this.keys.set(node, key);
	}

	remove(node: NodeId): void {
		const key = this.keys.get(node);
		if (key === undefined) return;
		this.keys.delete(node);
		this.nodes.delete(key);
	}
}

/** Device and inode number; text, because an inode number may use all 64 bits. */
function keyOf(stat: Offset): string {
	const device = `${view.getUint32(stat + statx.stxDevMajor, true)}:${view.getUint32(stat + statx.stxDevMinor, true)}`;
	return `${device}:${view.getUint32(stat + statx.stxIno + 4, true)}:${view.getUint32(stat + statx.stxIno, true)}`;
}

/**
 * Gives a node a further name; its attributes are in STAT. Throws EEXIST, EPERM for directories, and what linking may.
 * Source: Linux fs/overlayfs/dir.c, ovl_link.
 */
export function link(overlay: Overlay, node: NodeId, parent: NodeId, name: Name): void {
	const { nodes } = overlay;
	const work = overlay.writable();
	checkNewName(name);
	if (nodes.kind(node) === DT_DIR) fail(EPERM);
	const directory = overlay.directory(parent);
	if (directory.removed) fail(ENOENT);
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
	if (looked < 0) overlay.directories.dropListing(directory);
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
