/**
 * With `index=on`: names of lower files that stay one file. The file is copied up into the index, and from there each name that
 * is to change, or is the one at hand, is linked into the upper layer. How many names users see is noted before each change, as
 * the difference to a link count that changes along with it or not at all: so it is right at every moment, and after a crash.
 * Source: Linux fs/overlayfs/copy_up.c, ovl_do_copy_up, ovl_link_up; util.c, ovl_nlink_start, ovl_cleanup_index.
 */

import { ENOENT, statx } from "../../native/layout.ts";
import { makeLink, moveName, removeName } from "../../native/libc/directory.ts";
import { check, Errno } from "../../native/libc/errno.ts";
import type { Fd } from "../../native/libc/file.ts";
import { changeTimesOf, stat, statDescriptor } from "../../native/libc/metadata.ts";
import { linkCount, timesOf } from "../../native/libc/stat.ts";
import { type Name, reserve } from "../../native/memory.ts";
import { writeLinkCount } from "../marks/index-entry.ts";
import type { Indexed, IndexedFile } from "../nodes/indexed.ts";
import { NO_NODE, type NodeId } from "../nodes/node.ts";
import type { Overlay } from "../overlay.ts";
import { holdOrPark } from "./nameless.ts";

const ENTRY = reserve(statx.sizeof);
const PARENT = reserve(statx.sizeof);
const PROBE = reserve(statx.sizeof);

/** Moves the finished copy of a hard-linked file from the workdir into the index: its node goes by that from now on. */
export function enterIndex(overlay: Overlay, indexed: Indexed, node: NodeId, workdir: Fd, copy: Name): void {
	const file = indexed.get(node)!;
	check(moveName(workdir, copy, indexed.fd, indexed.name(file), 0));
	file.isCopied = true;
	if (stat(indexed.fd, indexed.name(file), ENTRY) === 0) overlay.linkUpper(node, ENTRY);
}

/**
 * Links a name of a file that is in the index, in a directory that the upper layer has, into that, unless it is there. The
 * directory's times stay as they were, as nothing in it has changed. Throws what linking may.
 */
export function linkUp(overlay: Overlay, indexed: Indexed, node: NodeId, parent: NodeId, name: Name): void {
	const file = indexed.get(node)!;
	const { directories, listings } = overlay;
	const directory = directories.get(parent);
	const upper = directory.fds[0]!;
	const found = stat(upper, name, PROBE);
	if (found === 0) return;
	if (found !== -ENOENT) check(found);
	directories.markImpure(directory, overlay.writable());
	file.noted = undefined;
	const difference = file.links - file.lowerLinks;
	check(writeLinkCount(indexed.fd, indexed.name(file), { base: "L", difference }));
	check(statDescriptor(upper, PARENT));
	check(makeLink(indexed.fd, indexed.name(file), upper, name, 0));
	// As for a copy: the name is in its place, whether its directory's times can be set or not.
	changeTimesOf(upper, timesOf(PARENT));
	listings.noteChange(directory, name, (listing, slot) => {
		if (listing.layer(slot) !== 0) listing.raise(slot);
	});
	noteCount(indexed, file);
}

/** Notes how many names there are for as long as only the upper file's link count changes, along with them. */
function noteCount(indexed: Indexed, file: IndexedFile): number {
	check(stat(indexed.fd, indexed.name(file), ENTRY));
	const upperLinks = linkCount(ENTRY);
	const difference = file.links - upperLinks;
	if (difference !== file.noted)
		check(writeLinkCount(indexed.fd, indexed.name(file), { base: "U", difference }));
	file.noted = difference;
	return upperLinks;
}

/**
 * Runs `change`, which gives the file of the upper layer so many names more, or less. Where users see none any more, its entry
 * goes. The node, which may be none, must be held until then. Throws what noting and `change` may.
 */
export function counted(overlay: Overlay, node: NodeId, difference: number, change: () => void): void {
	const { indexed } = overlay;
	const file = node === NO_NODE ? undefined : indexed?.get(node);
	if (indexed === undefined || !file?.isCopied) {
		change();
		return;
	}
	noteCount(indexed, file);
	change();
	file.links += difference;
	if (file.links <= 0) leaveIndex(overlay, indexed, node, file);
}

/**
 * Nobody sees the file any more; it may be open. The name is gone: what fails of this keeps the file in the index, by which it is
 * still reached, and is left to the next mount.
 */
function leaveIndex(overlay: Overlay, indexed: Indexed, node: NodeId, file: IndexedFile): void {
	try {
		const upperLinks = noteCount(indexed, file);
		if (upperLinks > 1) {
			// A lower name was made meanwhile: what the upper layer has are names all the same.
			file.links = upperLinks - 1;
			noteCount(indexed, file);
			return;
		}
		holdOrPark(overlay, node);
	} catch (error) {
		if (!(error instanceof Errno)) throw error;
		return;
	}
	removeName(indexed.fd, indexed.name(file), 0);
	indexed.forget(node);
}
