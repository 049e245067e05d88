/**
 * `WORKDIR/index`: opened for a mount with `index=on`, if it belongs to this upper layer, and that to these lower ones. The upper
 * root's `trusted.overlay.origin` says so of the topmost lower root, the index's `trusted.overlay.upper` of the upper root.
 * What a crash or a removal has left is cleared away.
 * Source: Linux fs/overlayfs/super.c, ovl_get_indexdir; readdir.c, ovl_indexdir_cleanup; namei.c, ovl_verify_index.
 */

import { display } from "../../display.ts";
import {
	AT_EMPTY_PATH,
	DT_DIR,
	EEXIST,
	EPERM,
	O_DIRECTORY,
	O_NOFOLLOW,
	O_RDONLY,
	statx,
} from "../../native/layout.ts";
import { makeDirectory, removeName } from "../../native/libc/directory.ts";
import { check, describeErrno, succeeds } from "../../native/libc/errno.ts";
import { close, type Fd, openAt } from "../../native/libc/file.ts";
import { stat } from "../../native/libc/metadata.ts";
import { kindOf, linkCount } from "../../native/libc/stat.ts";
import { getAttribute, setAttributeOf } from "../../native/libc/xattr.ts";
import { EMPTY_NAME, type Name, readBytes, reserve, store, writeString } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import type { Layer } from "../layers/layer.ts";
import { LayerUnusable } from "../layers/open-layers.ts";
import { namesIn, removeTreeAt } from "../layers/remove-tree.ts";
import { UUID_SIZE } from "../layers/uuid.ts";
import { openDirectory } from "../layers/volatile.ts";
import type { Workdir } from "../layers/workdir.ts";
import { encodeHandle, isHandle, LONGEST_FB, openByHandle, uuidOf } from "./file-handle.ts";
import { entryOfOrigin, isEntryName, readLinkCount } from "./index-entry.ts";
import { findOrigin } from "./origin.ts";
import { isWhiteoutDevice } from "./whiteout.ts";

const INDEX = store("index" as ByteString);
const ORIGIN = store("trusted.overlay.origin" as ByteString);
const UPPER = store("trusted.overlay.upper" as ByteString);
const EXPECTED = reserve(LONGEST_FB);
const FOUND = reserve(LONGEST_FB);
const ENTRY = reserve(statx.sizeof);
const LOWER = reserve(statx.sizeof);
const NAME = reserve(1024) as Name;
/** Of what kernel overlayfs makes in the index, which it uses as a workdir. */
const TEMPORARY = "#";
const WORK = "work";

/**
 * Checks, without changing anything, that these layers can be mounted with an index, and are those that it was made for.
 * Throws LayerUnusable.
 */
export function checkIndexable(layers: readonly Layer[], work: Workdir, workName: string): void {
	for (const layer of layers) checkHandles(layer);
	checkUuids(layers.slice(1));
	const [upper, topmost] = layers as [Layer, Layer];
	if (matches(upper.root, ORIGIN, topmost, false) === false) {
		throw new LayerUnusable(
			`index=on: upperdir ${display(upper.path)} was made over another lowerdir than ${display(topmost.path)}, or one of them is a copy (stale file handle): mount it with the lowerdirs that it was made over, or with index=off, with which names of hard-linked files part`,
		);
	}
	const index = openDirectory(work.directory, INDEX);
	if (index === undefined) return;
	const isOurs = [UPPER, ORIGIN].every((attribute) => matches(index, attribute, upper, true) !== false);
	close(index);
	if (!isOurs) {
		throw new LayerUnusable(
			`index=on: the index in workdir ${workName} was made for another upperdir than ${display(upper.path)}, or one of them is a copy (stale file handle): give the workdir that the upperdir was used with, or mount with index=off, with which names of hard-linked files part`,
		);
	}
}

/** Throws LayerUnusable where a layer's files have no handles that last, or this process may not open them. */
function checkHandles(layer: Layer): void {
	const root = { directory: layer.root, name: EMPTY_NAME, flags: AT_EMPTY_PATH };
	const length = encodeHandle(layer, root, FOUND);
	if (length <= 0) {
		throw new LayerUnusable(
			`index=on: ${display(layer.path)} is on a file system without file handles that last, by which hard-linked files are known: use another file system or index=off`,
		);
	}
	const opened = openByHandle(layer, FOUND, length);
	if (opened >= 0) {
		close(opened);
		return;
	}
	const reason =
		opened === -EPERM
			? "only root outside of user namespaces may open file handles, by which hard-linked files are known"
			: `file handles in ${display(layer.path)} cannot be opened: ${describeErrno(-opened)}`;
	throw new LayerUnusable(`index=on: ${reason}: use index=off`);
}

/** Throws LayerUnusable where a handle could lead to files of two lower layers. */
function checkUuids(lowers: readonly Layer[]): void {
	const uuids = new Map(lowers.map((layer) => [layer.device, readBytes(uuidOf(layer), UUID_SIZE)]));
	if (new Set(uuids.values()).size === uuids.size) return;
	throw new LayerUnusable(
		"index=on: two lowerdirs are on file systems with the same uuid, or without any, so that their files cannot be told apart: give one of these another uuid, or use index=off",
	);
}

/** Whether an attribute of an open directory is the handle of a layer's root; undefined: it is none. Throws what reading may. */
function matches(directory: Fd, attribute: Name, layer: Layer, isUpper: boolean): boolean | undefined {
	const found = getAttribute(directory, EMPTY_NAME, attribute, FOUND, LONGEST_FB);
	if (!succeeds(found) || !isHandle(FOUND, found)) return undefined;
	return readBytes(FOUND, found) === readBytes(EXPECTED, encodeRoot(layer, isUpper));
}

/** Writes the handle of a layer's root to EXPECTED; its length. */
function encodeRoot(layer: Layer, isUpper: boolean): number {
	const root = { directory: layer.root, name: EMPTY_NAME, flags: AT_EMPTY_PATH };
	return check(encodeHandle(layer, root, EXPECTED, isUpper));
}

/**
 * Opens the index, makes it if there is none, and clears it of what stands for nothing. Throws LayerUnusable where it has what
 * no overlay makes or attributes cannot be set, and what changing it may.
 */
export function openIndex(layers: readonly Layer[], work: Workdir, workName: string): Fd {
	const [upper, topmost] = layers as [Layer, Layer];
	if (!work.trustedAttributes) {
		throw new LayerUnusable(
			`index=on: upperdir ${display(upper.path)} cannot have trusted attributes, or userxattr says not to use them: use another file system or index=off`,
		);
	}
	if (matches(upper.root, ORIGIN, topmost, false) === undefined)
		setHandle(upper.root, ORIGIN, topmost, false);
	const made = makeDirectory(work.directory, INDEX, 0o700);
	if (made !== -EEXIST) check(made);
	const index = check(openAt(work.directory, INDEX, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
	try {
		if (matches(index, UPPER, upper, true) === undefined) setHandle(index, UPPER, upper, true);
		clear(layers, index, workName);
	} catch (error) {
		close(index);
		throw error;
	}
	return index;
}

function setHandle(directory: Fd, attribute: Name, layer: Layer, isUpper: boolean): void {
	check(setAttributeOf(directory, attribute, EXPECTED, encodeRoot(layer, isUpper), 0));
}

function clear(layers: readonly Layer[], index: Fd, workName: string): void {
	for (const entry of namesIn(index)) {
		writeString(NAME, entry);
		if (entry.startsWith(TEMPORARY) || entry === WORK) {
			removeTreeAt(index, NAME);
		} else if (!isInUse(layers, index, entry, () => refuse(entry, workName))) {
			check(removeName(index, NAME, 0));
		}
	}
}

function refuse(entry: ByteString, workName: string): never {
	throw new LayerUnusable(
		`index=on: ${workName}/index has ${display(entry)}, which is no entry of an index: move it away`,
	);
}

/** Whether an entry, whose name is in NAME, stands for a file that users see. `refuse`: it is none. */
function isInUse(layers: readonly Layer[], index: Fd, entry: ByteString, refuse: () => never): boolean {
	if (!isEntryName(entry)) refuse();
	check(stat(index, NAME, ENTRY));
	// As `nfs_export` of kernel overlayfs leaves them: of removed files, and of directories.
	if (isWhiteoutDevice(ENTRY) || kindOf(ENTRY) === DT_DIR) return true;
	const origin = entryOfOrigin(index, NAME) ?? refuse();
	if (origin.toLowerCase() !== entry.toLowerCase()) return false;
	if (linkCount(ENTRY) > 1) return true;
	if (findOrigin(layers, index, NAME, LOWER) < 0) return false;
	const count = readLinkCount(index, NAME);
	if (count === undefined) return false;
	return (count.base === "L" ? linkCount(LOWER) : 1) + count.difference > 0;
}
