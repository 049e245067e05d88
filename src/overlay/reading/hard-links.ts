/**
 * What the index says of a name (marks/index-entry.ts). Source: Linux fs/overlayfs/namei.c, ovl_lookup_index; inode.c,
 * ovl_get_inode, ovl_get_nlink.
 */

import { DT_DIR, ENAMETOOLONG, ENOENT, statx } from "../../native/layout.ts";
import { check, succeeds } from "../../native/libc/errno.ts";
import type { Fd } from "../../native/libc/file.ts";
import { stat } from "../../native/libc/metadata.ts";
import { fileSystemOf, inodeHigh, inodeLow, kindOf, linkCount } from "../../native/libc/stat.ts";
import { copy, type Name, type Offset, reserve } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import { entryOf, entryOfOrigin, readLinkCount } from "../marks/index-entry.ts";
import { findOrigin } from "../marks/origin.ts";
import { isWhiteoutDevice } from "../marks/whiteout.ts";
import type { Directory } from "../nodes/directory.ts";
import type { Indexed, IndexedFile } from "../nodes/indexed.ts";
import { NO_NODE, type NodeId } from "../nodes/node.ts";
import type { Overlay } from "../overlay.ts";
import { STAT } from "./attributes.ts";

const NOWHERE = -1;

/** Of the lower file; filled by {@link findHardLink}. */
export const LOWER = reserve(statx.sizeof);
const ENTRY = reserve(statx.sizeof);

/** A file with several names in a lower layer. */
export interface HardLink {
	/** NO_NODE: none stands for it yet. */
	readonly node: NodeId;
	readonly file: IndexedFile;
	/** The layer of the lower file. */
	readonly layer: number;
}

/** Whether a file, whose raw `struct statx` it is, may be in the index or get there. */
export function isHardLinked(found: Offset): boolean {
	return kindOf(found) !== DT_DIR && linkCount(found) > 1;
}

/**
 * The hard-linked lower file of a name found in layer `layer`, whose raw attributes are in STAT: where it has been copied up,
 * those of the copy are there afterwards. undefined: the index has nothing to do with it.
 * Throws EIO for an entry that cannot be its copy, and what looking may.
 */
export function findHardLink(
	overlay: Overlay,
	indexed: Indexed,
	directory: Directory,
	name: Name,
	layer: number,
): HardLink | undefined {
	const fd = overlay.directories.borrow(directory, layer);
	if (overlay.isUpperLayer(layer)) return findByOrigin(overlay, indexed, fd, name);
	const node = indexed.find(STAT);
	copy(LOWER, STAT, statx.sizeof);
	if (node !== NO_NODE) {
		const file = indexed.get(node)!;
		if (file.isCopied) check(stat(indexed.fd, indexed.name(file), STAT));
		return { node, file, layer };
	}
	const entry = entryOf(overlay.layers[layer]!, { directory: fd, name, flags: 0 });
	if (entry === undefined) return undefined;
	const links = linkCount(LOWER);
	const file = { entry, lowerLinks: links, links, isCopied: false, noted: undefined };
	const result = stat(indexed.fd, indexed.name(file), ENTRY);
	// A name cannot be as long as this file system's handles ask for.
	if (result === -ENAMETOOLONG) return undefined;
	if (result === -ENOENT) return { node, file, layer };
	check(result);
	copy(STAT, ENTRY, statx.sizeof);
	overlay.identity?.applyOverride(layer, fd, name, LOWER);
	overlay.identity?.applyOverride(0, indexed.fd, indexed.name(file), ENTRY);
	if (isWhiteoutDevice(ENTRY) || kindOf(ENTRY) !== kindOf(LOWER))
		overlay.refusals.refuseEntry(directory.node, name, entry);
	return { node, file: copyOf(indexed, file), layer };
}

/** As {@link findHardLink}, of a name of the upper layer. */
function findByOrigin(overlay: Overlay, indexed: Indexed, fd: Fd, name: Name): HardLink | undefined {
	const entry = entryInUse(indexed, fd, name, STAT);
	const layer = entry === undefined ? NOWHERE : findOrigin(overlay.layers, fd, name, LOWER);
	if (entry === undefined || layer === NOWHERE) return undefined;
	const links = linkCount(LOWER);
	const file = { entry, lowerLinks: links, links, isCopied: false, noted: undefined };
	return { node: indexed.find(LOWER), file: copyOf(indexed, file), layer };
}

/** Whether a file of the upper layer, its `struct statx` at `found`, is in the index. Throws what looking may. */
export function isInIndex(indexed: Indexed, directory: Fd, name: Name, found: Offset): boolean {
	return isHardLinked(found) && entryInUse(indexed, directory, name, found) !== undefined;
}

/** The entry of a file of the upper layer, if that leads to it. Throws what looking may. */
function entryInUse(indexed: Indexed, directory: Fd, name: Name, found: Offset): ByteString | undefined {
	const entry = entryOfOrigin(directory, name);
	if (entry === undefined || !succeeds(stat(indexed.fd, indexed.name({ entry }), ENTRY))) return undefined;
	return isSameFile(ENTRY, found) ? entry : undefined;
}

function isSameFile(one: Offset, other: Offset): boolean {
	const isOnSame = fileSystemOf(one) === fileSystemOf(other);
	return isOnSame && inodeLow(one) === inodeLow(other) && inodeHigh(one) === inodeHigh(other);
}

/** What is known of a lower file whose copy, its raw attributes in ENTRY, is in the index. */
function copyOf(indexed: Indexed, file: IndexedFile): IndexedFile {
	const upperLinks = linkCount(ENTRY);
	const count = readLinkCount(indexed.fd, indexed.name(file));
	const links = (count?.base === "L" ? file.lowerLinks : upperLinks) + (count?.difference ?? 0);
	const noted = count?.base === "U" ? count.difference : undefined;
	return { ...file, links: links > 0 ? links : upperLinks, isCopied: true, noted };
}
