/** What stat(2) shows of a node. */

import { DT_DIR, EACCES, ESTALE, statx } from "../../native/layout.ts";
import { check, Errno, fail } from "../../native/libc/errno.ts";
import type { Fd } from "../../native/libc/file.ts";
import { statFileSystem, statFlagged } from "../../native/libc/metadata.ts";
import { kindOf, linkCount } from "../../native/libc/stat.ts";
import { EMPTY_NAME, type Name, type Offset, reserve, words } from "../../native/memory.ts";
import type { Place } from "../layers/layer.ts";
import { asOwner } from "../layers/owner-access.ts";
import { PURE } from "../nodes/flags.ts";
import type { NodeId } from "../nodes/node.ts";
import type { Overlay } from "../overlay.ts";
import { confirmName } from "./live.ts";

/** The attributes last looked at: a `struct statx`, as users see them once {@link finishAttributes} has run. */
export const STAT = reserve(statx.sizeof);

/** Reads a node's attributes, as users see them, into {@link STAT}. Throws what looking may. */
export function readAttributes(overlay: Overlay, node: NodeId): void {
	confirmName(overlay, node);
	const place = overlay.locate(node);
	let looked = statFlagged(place.directory, place.name, place.flags, STAT);
	// The directory above was closed to its owner, whom this process acts for.
	if (looked === -EACCES && overlay.isUpper(node)) looked = lookAsOwner(place);
	check(looked);
	overlay.identity?.show(overlay.nodes.layer(node), place.directory, place.name, STAT);
	// The name was given to something else behind our back. The kernel would take the node for broken, for good.
	if (kindOf(STAT) !== overlay.nodes.kind(node)) fail(ESTALE);
	finishAttributes(overlay, node);
}

function lookAsOwner({ directory, name, flags }: Place): number {
	return asOwner(() => statFlagged(directory, name, flags, STAT), [directory, EMPTY_NAME]);
}

/**
 * Turns a node's raw attributes in {@link STAT}, read from its name, into those users see; returns the node. Throws what looking
 * may, where the name need not be that of the file itself.
 */
export function show(overlay: Overlay, node: NodeId, directory: Fd, name: Name): NodeId {
	if (overlay.indexed?.isCopied(node)) {
		readAttributes(overlay, node);
		return node;
	}
	overlay.identity?.show(overlay.nodes.layer(node), directory, name, STAT);
	finishAttributes(overlay, node);
	return node;
}

/** Turns what the layer says of a node, in {@link STAT}, into what users see: inode number, link count and blocks. */
export function finishAttributes(overlay: Overlay, node: NodeId): void {
	const { nodes, metacopies, indexed } = overlay;
	words[(STAT + statx.stxIno) >>> 2] = nodes.inodeLow(node);
	words[(STAT + statx.stxIno + 4) >>> 2] = nodes.inodeHigh(node);
	if (metacopies.isUnseen(node)) lookForData(overlay, node);
	if (!metacopies.areNone) metacopies.showBlocks(node, STAT);
	if (nodes.kind(node) === DT_DIR) {
		const links = directoryLinks(overlay, node);
		if (links !== undefined) words[(STAT + statx.stxNlink) >>> 2] = links;
	} else if (indexed?.isCopied(node)) {
		words[(STAT + statx.stxNlink) >>> 2] = indexed.get(node)!.links;
	} else if (!nodes.isNamed(node) && !overlay.isUpper(node)) {
		words[(STAT + statx.stxNlink) >>> 2] = 0;
	} else if (overlay.parked.has(node)) {
		words[(STAT + statx.stxNlink) >>> 2] = linkCount(STAT) - 1;
	}
}

/** Finds out again what another process has known of a file. Where its data is not to be had, that is told to who asks for it. */
function lookForData(overlay: Overlay, node: NodeId): void {
	const { metacopies } = overlay;
	try {
		if (!metacopies.has(node)) {
			const { directory, name } = overlay.locate(node);
			metacopies.look(node, directory, name);
		}
	} catch (error) {
		if (!(error instanceof Errno)) throw error;
	}
	metacopies.noteSeen(node);
}

/** The link count of a directory: itself, "." and the ".." of each subdirectory; undefined: as on disk. */
function directoryLinks(overlay: Overlay, node: NodeId): number | undefined {
	if (overlay.options.staticLinkCount) return 1;
	const { nodes, directories, listings } = overlay;
	if (!nodes.isNamed(node)) return 0;
	if (nodes.flag(node, PURE)) return undefined;
	const directory = directories.get(node);
	if (!directory.isMerged) return undefined;
	// As in kernel overlayfs: nobody is to wait for a layer to be read who does not list it.
	if (overlay.isDistant(directory)) return 1;
	const listing = listings.ifReadable(directory);
	// As file systems do that do not count: nobody is kept out by a layer that cannot be read, or waits for many names.
	return listing === undefined ? 1 : 2 + listing.subdirectories;
}

/** Fills a `struct statfs` with the file system of the topmost layer. */
export function readFileSystem(overlay: Overlay, target: Offset): void {
	check(statFileSystem(overlay.layers[0]!.root, target));
}
