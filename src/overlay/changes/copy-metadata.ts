/** What a copy takes over from the object it stands for, besides content: owner, origin, attributes, mode, times. */

import { DT_DIR, DT_LNK, O_PATH, statx, timespec, UTIME_NOW, UTIME_OMIT } from "../../native/layout.ts";
import { isDistant } from "../../native/libc/distant.ts";
import { check } from "../../native/libc/errno.ts";
import { close, type Fd } from "../../native/libc/file.ts";
import { changeMode, changeOwner, changeTimes, statFlagged } from "../../native/libc/metadata.ts";
import { kindOf, linkCount, modeOf, timesOf } from "../../native/libc/stat.ts";
import { type Name, reserve, setNumber, words } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import type { Place } from "../layers/layer.ts";
import { ownAccess } from "../marks/identity.ts";
import { writeLinkCount } from "../marks/index-entry.ts";
import { writeOrigin } from "../marks/origin.ts";
import type { IndexedFile } from "../nodes/indexed.ts";
import type { NodeId } from "../nodes/node.ts";
import type { Overlay } from "../overlay.ts";
import { copyAttributes, foreseeAttributes } from "./copy-attributes.ts";

const MODE_BITS = 0o7777;
const PERMISSION_BITS = 0o777;
/** Two `struct timespec`: the access time stays, the modification time is now. */
export const MODIFIED_NOW = reserve(2 * timespec.sizeof);
setNumber(MODIFIED_NOW + timespec.tvNsec, UTIME_OMIT);
setNumber(MODIFIED_NOW + timespec.sizeof + timespec.tvNsec, UTIME_NOW);
/** The lower object's attributes, with an override applied: filled by {@link lookAt}, whose result goes with it. */
export const SOURCE = reserve(statx.sizeof);

/** What is copied up, as it was found. */
export interface Original {
	readonly place: Place;
	/** `DT_*`. */
	readonly kind: number;
	/** The mode before an override was applied. */
	readonly inodeMode: number;
	/**
	 * Whether the copy stands for it and keeps its inode number by a note of its origin. A directory needs none: it is merged
	 * with the lower one of its name, and takes its number. A file with several names is parted from them, unless it gets into
	 * the index: two different files must not have one number.
	 */
	readonly takesOrigin: boolean;
}

/** Looks at the lower object of a node, and fills SOURCE. */
export function lookAt(overlay: Overlay, node: NodeId): Original {
	const place = overlay.locate(node);
	check(statFlagged(place.directory, place.name, place.flags, SOURCE));
	const inodeMode = modeOf(SOURCE);
	overlay.identity?.applyOverride(overlay.nodes.layer(node), place.directory, place.name, SOURCE);
	const kind = kindOf(SOURCE);
	const isOneFile = linkCount(SOURCE) === 1 || overlay.indexed?.get(node) !== undefined;
	return { place, kind, inodeMode, takesOrigin: kind !== DT_DIR && isOneFile };
}

/**
 * Asks a distant layer for all that a copy takes over but content. To be called before anything is made: until it is in its
 * place, the copy cannot wait without keeping others waiting.
 */
export function foresee(overlay: Overlay, node: NodeId): void {
	const { directory } = overlay.locate(node);
	if (isDistant(directory)) foreseeAttributes(lookAt(overlay, node).place);
	const { keepsHandles } = overlay.layers[overlay.nodes.layer(node)]!;
	const notesPath = overlay.work?.trustedAttributes !== true || !keepsHandles;
	if (notesPath && !overlay.redirects.areNone && overlay.nodes.kind(node) !== DT_DIR)
		pathOfOrigin(overlay, node);
}

/**
 * The path by which a note says where a copy comes from; undefined where that would be taken for something else: whoever reads it
 * takes the first layer that has anything there, and below a renamed directory that may be another.
 */
function pathOfOrigin({ nodes, layers, redirects }: Overlay, node: NodeId): ByteString | undefined {
	const own = nodes.layer(node);
	const path = redirects.pathIn(own, node);
	if (redirects.areNone) return path;
	for (const layer of layers.slice(1, own)) {
		const fd = layer.openPath(path, O_PATH);
		if (fd < 0) continue;
		close(fd);
		return undefined;
	}
	return path;
}

/** Gives the new directory `name` in `directory` the owner, mode, attributes and times of the directory `node`. */
export function copyAppearance(overlay: Overlay, node: NodeId, directory: Fd, name: Name): void {
	copyMetadata(overlay, node, lookAt(overlay, node), directory, name);
}

/** Gives what was just made in the workdir to its owner, unless it is theirs by that. Throws what {@link Overlay.checkOwner} does. */
export function giveTo(overlay: Overlay, directory: Fd, name: Name, uid: number, gid: number): void {
	if (overlay.isOwn(uid, gid) && overlay.work?.handsDownGroup !== true) return;
	overlay.checkOwner(changeOwner(directory, name, uid, gid));
}

/**
 * Owner, origin, attributes, mode and times of the original, in SOURCE, for the copy `name` in `directory`. In this order:
 * a change of owner takes set-id bits and capabilities away, and where the mode shuts the owner out, no attribute can be set.
 */
export function copyMetadata(
	overlay: Overlay,
	node: NodeId,
	original: Original,
	directory: Fd,
	name: Name,
): void {
	const { identity } = overlay;
	const isOverridden = identity?.attribute !== undefined;
	if (isOverridden) {
		identity.writeNew(directory, name, SOURCE);
	} else {
		const uid = words[(SOURCE + statx.stxUid) >>> 2]!;
		const gid = words[(SOURCE + statx.stxGid) >>> 2]!;
		giveTo(overlay, directory, name, uid, gid);
	}
	const { place, kind, inodeMode } = original;
	if (original.takesOrigin) {
		const { nodes, layers, work } = overlay;
		const layer = layers[nodes.layer(node)]!;
		const pathOf = () => pathOfOrigin(overlay, node);
		const noted = writeOrigin(layer, place, work?.trustedAttributes ?? false, pathOf, directory, name);
		const file = overlay.indexed?.get(node);
		if (file !== undefined) {
			check(noted);
			noteFirstCount(file, directory, name);
		}
	}
	copyAttributes(overlay, node, place, directory, name);
	// With an override the inode's own mode is for whoever reads the layers, such as others who share an image store.
	const mode = isOverridden ? (inodeMode & PERMISSION_BITS) | ownAccess(kind) : modeOf(SOURCE) & MODE_BITS;
	if (kind !== DT_LNK) check(changeMode(directory, name, mode));
	check(changeTimes(directory, name, timesOf(SOURCE)));
}

/** Notes at a copy that is about to enter the index, its only name then, how many names users see. Throws what that may. */
function noteFirstCount(file: IndexedFile, directory: Fd, copy: Name): void {
	file.noted = file.links - 1;
	check(writeLinkCount(directory, copy, { base: "U", difference: file.noted }));
}
