/** Finding a name in the layers, and making the node for what was found. */

import {
	DT_DIR,
	DT_REG,
	EINVAL,
	ENAMETOOLONG,
	ENOENT,
	ESTALE,
	NAME_MAX,
	statx,
} from "../../native/layout.ts";
import { Errno, fail, succeeds } from "../../native/libc/errno.ts";
import { statDescriptor } from "../../native/libc/metadata.ts";
import { inodeHigh, inodeLow, kindOf, linkCount } from "../../native/libc/stat.ts";
import { attributeNames } from "../../native/libc/xattr.ts";
import { type Name, type Offset, reserve } from "../../native/memory.ts";
import { looksHollow } from "../marks/metacopy.ts";
import { readOrigin } from "../marks/origin.ts";
import { hasWhiteoutFile, IMPURE, isReserved, isWhiteoutDevice, isWhiteoutFile } from "../marks/whiteout.ts";
import type { Directory } from "../nodes/directory.ts";
import { PLAIN, PURE } from "../nodes/flags.ts";
import type { Indexed } from "../nodes/indexed.ts";
import { NO_SLOT } from "../nodes/listing.ts";
import { measure } from "../nodes/name.ts";
import { NO_NODE, type NodeId } from "../nodes/node.ts";
import { surplus } from "../nodes/user-name.ts";
import type { Overlay } from "../overlay.ts";
import { finishAttributes, readAttributes, STAT } from "./attributes.ts";
import { findHardLink, type HardLink, isHardLinked, LOWER } from "./hard-links.ts";
import { part } from "./live.ts";

/** No layer shows the name. */
export const NOWHERE = -1;

const PROBE = reserve(statx.sizeof);

/**
 * The node of a name, its attributes in STAT; NO_NODE where no layer shows the name.
 * Throws ENAMETOOLONG and what looking may. Source: Linux fs/overlayfs/namei.c, ovl_lookup.
 */
export function lookup(overlay: Overlay, parent: NodeId, name: Name): NodeId {
	const { nodes } = overlay;
	const directory = overlay.directory(parent);
	const measured = measure(name);
	if (measured.length - surplus(name) > NAME_MAX) fail(ENAMETOOLONG);
	if (measured.length > NAME_MAX || isReserved(name) || directory.removed) return NO_NODE;
	const known = nodes.find(parent, name, measured);
	if (overlay.options.live) return lookupLive(overlay, directory, name, known);
	if (known !== NO_NODE) {
		if (overlay.indexed?.isCopied(known)) {
			readAttributes(overlay, known);
			return known;
		}
		const layer = nodes.layer(known);
		const fd = directory.fd(layer);
		if (succeeds(overlay.layers[layer]!.stat(fd, name, STAT))) {
			overlay.identity?.show(layer, fd, name, STAT);
			if (kindOf(STAT) === nodes.kind(known)) {
				finishAttributes(overlay, known);
				return known;
			}
		}
		overlay.loseName(known);
	}
	const layer = findLayer(overlay, directory, name, STAT);
	return layer === NOWHERE ? NO_NODE : adopt(overlay, directory, name, layer);
}

/** As {@link lookup}, where others may change the layers: all of them are asked, and `known` is held against the answer. */
function lookupLive(overlay: Overlay, directory: Directory, name: Name, known: NodeId): NodeId {
	const layer = findLayer(overlay, directory, name, STAT);
	if (known !== NO_NODE && layer !== NOWHERE) {
		overlay.identity?.show(layer, overlay.directories.borrow(directory, layer), name, STAT);
		if (overlay.isSameObject(known, layer, STAT)) {
			if (kindOf(STAT) === DT_DIR) adoptAgain(overlay, directory, known, layer);
			finishAttributes(overlay, known);
			return known;
		}
		// As it is on disk.
		if (findLayer(overlay, directory, name, STAT) !== layer) fail(ESTALE);
	}
	if (known !== NO_NODE) part(overlay, known);
	return layer === NOWHERE ? NO_NODE : adopt(overlay, directory, name, layer);
}

/** What takes part in a directory may be different by now, unless it was made through the mount. */
function adoptAgain(overlay: Overlay, parent: Directory, node: NodeId, layer: number): void {
	if (overlay.nodes.flag(node, PLAIN)) return;
	overlay.nodes.setFlag(node, PURE, false);
	overlay.directories.refresh(node);
	adoptDirectory(overlay, parent, node, layer);
}

/** As {@link lookup}, of a name that must be there. Throws ENOENT. */
export function lookupExisting(overlay: Overlay, parent: NodeId, name: Name): NodeId {
	const node = lookup(overlay, parent, name);
	return node === NO_NODE ? fail(ENOENT) : node;
}

/** The topmost layer that shows a name, its `struct statx` in `target`; NOWHERE if none does. */
export function findLayer(overlay: Overlay, directory: Directory, name: Name, target: Offset): number {
	const listing = overlay.listings.ifWorthwhile(directory);
	if (listing !== undefined) {
		const slot = listing.find(name, measure(name));
		if (slot === NO_SLOT || !listing.isVisible(slot)) return NOWHERE;
		const layer = listing.layer(slot);
		const result = overlay.layers[layer]!.stat(directory.fd(layer), name, target);
		if (result === 0) return layer;
		return result === -ENOENT ? NOWHERE : fail(-result);
	}
	return probe(overlay, directory, 0, name, target);
}

/** Asks the directory's layers, from the `first` of them on. */
function probe(overlay: Overlay, directory: Directory, first: number, name: Name, target: Offset): number {
	const { layers, marks } = directory;
	const last = layers.length - 1;
	for (let at = first; at <= last; at++) {
		const fd = overlay.directories.borrow(directory, layers[at]!);
		const result = overlay.layers[layers[at]!]!.stat(fd, name, target);
		if (result === 0) {
			if (isWhiteoutDevice(target)) return NOWHERE;
			return isWhiteoutFile(fd, marks[at]!, name, target) ? NOWHERE : layers[at]!;
		}
		if (result !== -ENOENT) fail(-result);
		if (at < last && hasWhiteoutFile(fd, name, measure(name).length)) return NOWHERE;
	}
	return NOWHERE;
}

/**
 * Whether a lower layer would show the name if the upper layer had nothing of it; also where a layer cannot be asked.
 * Source: Linux fs/overlayfs/namei.c, ovl_lower_positive.
 */
export function isBelow(overlay: Overlay, directory: Directory, name: Name): boolean {
	if (!overlay.isUpper(directory.node)) return findLayer(overlay, directory, name, PROBE) !== NOWHERE;
	if (!directory.isMerged) return false;
	const listing = overlay.listings.ifWorthwhile(directory);
	if (listing === undefined) return isInLayersBelow(overlay, directory, name);
	const slot = listing.find(name, measure(name));
	if (slot === NO_SLOT) return false;
	return listing.layer(slot) === 0 ? listing.showsBelow(slot) : listing.isVisible(slot);
}

function isInLayersBelow(overlay: Overlay, directory: Directory, name: Name): boolean {
	try {
		return probe(overlay, directory, 1, name, PROBE) !== NOWHERE;
	} catch (error) {
		if (!(error instanceof Errno)) throw error;
		return true;
	}
}

/**
 * The node for a name found in layer `layer`, made if the kernel does not know it yet; its raw attributes are in
 * STAT and are those users see afterwards.
 */
export function adopt(overlay: Overlay, directory: Directory, name: Name, layer: number): NodeId {
	const { nodes, indexed } = overlay;
	if (indexed !== undefined && isHardLinked(STAT) && !isKnownUpper(overlay, layer)) {
		const hardLink = findHardLink(overlay, indexed, directory, name, layer);
		if (hardLink !== undefined) return adoptHardLink(overlay, indexed, directory, name, hardLink);
	}
	overlay.identity?.show(layer, overlay.directories.borrow(directory, layer), name, STAT);
	const kind = kindOf(STAT);
	const inUpper = overlay.work !== undefined && layer === 0 && kind !== DT_DIR;
	// Also with one name left: the node may have lost the other, and still be open.
	const known = inUpper ? overlay.upperLinks.find(STAT) : NO_NODE;
	const node = known === NO_NODE ? nodes.add(kind, layer) : known;
	try {
		if (known === NO_NODE) {
			nodes.attach(node, directory.node, name, measure(name));
			if (kind === DT_DIR) adoptDirectory(overlay, directory, node, layer);
			else numberFile(overlay, directory, node, layer);
			if (inUpper && linkCount(STAT) > 1) overlay.linkUpper(node, STAT);
		}
		finishAttributes(overlay, node);
		if (known !== NO_NODE) overlay.meetAt(known, directory.node, name);
	} catch (error) {
		nodes.freeIfUnused(node);
		throw error;
	}
	return node;
}

/** Whether there is a node for the file of the upper layer whose raw attributes are in STAT. */
function isKnownUpper(overlay: Overlay, layer: number): boolean {
	return overlay.isUpperLayer(layer) && overlay.upperLinks.find(STAT) !== NO_NODE;
}

/** As {@link adopt}, of a lower file that is one node under all its names, or of its copy. */
function adoptHardLink(
	overlay: Overlay,
	indexed: Indexed,
	directory: Directory,
	name: Name,
	{ node: known, file, layer }: HardLink,
): NodeId {
	const { nodes, inodes } = overlay;
	const shown = file.isCopied ? 0 : layer;
	const fd = file.isCopied ? indexed.fd : overlay.directories.borrow(directory, layer);
	const own = file.isCopied ? indexed.name(file) : name;
	overlay.identity?.show(shown, fd, own, STAT);
	const node = known === NO_NODE ? nodes.add(kindOf(STAT), shown) : known;
	try {
		if (known === NO_NODE) {
			nodes.attach(node, directory.node, name, measure(name));
			inodes.translate(layer, inodeLow(LOWER), inodeHigh(LOWER));
			nodes.setInode(node, inodes.low, inodes.high);
			if (kindOf(STAT) === DT_REG) overlay.metacopies.look(node, fd, own);
			indexed.add(node, LOWER, file);
			if (file.isCopied) overlay.linkUpper(node, STAT);
		}
		finishAttributes(overlay, node);
		if (known !== NO_NODE) overlay.meetAt(known, directory.node, name);
	} catch (error) {
		nodes.freeIfUnused(node);
		throw error;
	}
	return node;
}

/** Whether lower layers join in, and with which inode number a merged directory is shown: its topmost lower one. */
function adoptDirectory(overlay: Overlay, parent: Directory, node: NodeId, layer: number): void {
	const { nodes, inodes, directories } = overlay;
	inodes.translate(layer, inodeLow(STAT), inodeHigh(STAT));
	nodes.setInode(node, inodes.low, inodes.high);
	// What kernel overlayfs has moved into a directory lies in one that is marked.
	if (layer === parent.layers.at(-1) && !isImpure(parent, layer)) {
		nodes.setFlag(node, PURE, true);
	} else {
		const directory = directories.get(node);
		if (!directory.isMerged) {
			nodes.setFlag(node, PURE, true);
		} else if (overlay.options.hasCopies && layer === 0) {
			const next = directory.layers[1]!;
			if (statDescriptor(directories.borrow(directory, next), PROBE) === 0) {
				inodes.translate(next, inodeLow(PROBE), inodeHigh(PROBE));
				nodes.setInode(node, inodes.low, inodes.high);
			}
		}
		directories.dropBeyondLimit(node);
	}
	// Numbers of 32 bits may be equal all the same.
	if (!overlay.redirects.areNone && !overlay.options.inode32) overlay.redirects.checkShownOnce(node);
}

/** Whether files of a directory may have origins: where one was copied up or moved in, marked or not. */
export function mayHoldOrigins(overlay: Overlay, directory: Directory): boolean {
	const { work, options } = overlay;
	if (!options.hasCopies || options.fastInode) return false;
	return isImpure(directory, 0) || (work?.mayLackMarks !== false && directory.isMerged);
}

/**
 * A file that was copied up keeps the number it had in the lower layer, and has its data from there if that was left behind.
 * Its attributes are asked for only where there is a sign that it has any.
 */
function numberFile(overlay: Overlay, directory: Directory, node: NodeId, layer: number): void {
	const { nodes, inodes } = overlay;
	const mayHaveOrigin = layer === 0 && mayHoldOrigins(overlay, directory);
	const mayLackData = nodes.kind(node) === DT_REG && (isImpure(directory, layer) || looksHollow(STAT));
	let origin = NOWHERE;
	if (mayHaveOrigin || mayLackData) {
		const fd = overlay.directories.borrow(directory, layer);
		const name = nodes.name(node);
		const attributes = attributeNames(fd, name);
		if (mayHaveOrigin) origin = readOrigin(overlay.layers, fd, name, attributes, PROBE);
		// Its other names may have been copied up to other files, which must not share its number.
		if (origin !== NOWHERE && linkCount(PROBE) > 1) origin = NOWHERE;
		if (mayLackData) overlay.metacopies.look(node, fd, name, attributes);
	}
	if (origin !== NOWHERE) inodes.translate(origin, inodeLow(PROBE), inodeHigh(PROBE));
	if (origin === NOWHERE || !overlay.originNumbers.claim(node, inodes.low, inodes.high))
		inodes.translate(layer, inodeLow(STAT), inodeHigh(STAT));
	nodes.setInode(node, inodes.low, inodes.high);
}

/** A layer's directory says that something was copied up or moved into it. */
function isImpure({ layers, marks }: Directory, layer: number): boolean {
	return (marks[layers.indexOf(layer)]! & IMPURE) !== 0;
}

/** Refuses names that cannot be made: too long, or with a meaning of their own in a layer. */
export function checkNewName(name: Name): void {
	if (measure(name).length > NAME_MAX) fail(ENAMETOOLONG);
	if (isReserved(name)) fail(EINVAL);
}
