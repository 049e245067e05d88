/**
 * Entries of the index: files of the upper layer that were copied up from lower ones with several names. An entry is a further
 * name, in `WORKDIR/index`, of the copy, so that whichever lower name is asked for finds that. It is the lower file's handle in
 * hexadecimal digits, which the copy has as its origin, too.
 *
 * `trusted.overlay.nlink` of the copy says how many names users see, of which the upper layer may have some by now: the
 * difference to the upper file's link count (`U+1`) or, where that is about to change alone, to the lower file's (`L-1`).
 * Source: Linux fs/overlayfs/namei.c, ovl_get_index_name, ovl_lookup_index; inode.c, ovl_set_nlink_common, ovl_get_nlink.
 */

import { succeeds } from "../../native/libc/errno.ts";
import type { Fd } from "../../native/libc/file.ts";
import { getAttribute, setAttribute } from "../../native/libc/xattr.ts";
import {
	bytes,
	type Name,
	type Offset,
	readBytes,
	reserve,
	store,
	writeString,
} from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import type { Layer, Place } from "../layers/layer.ts";
import { encodeHandle, isHandle, LONGEST_FB, SHORTEST_FB } from "./file-handle.ts";

const ORIGIN = store("trusted.overlay.origin" as ByteString);
const NLINK = store("trusted.overlay.nlink" as ByteString);
const VALUE = reserve(LONGEST_FB);
const COUNT_SIZE = 16;
const COUNT = reserve(COUNT_SIZE);
const HEX = 16;

/** How many names users see, against the link count of the upper file (U) or of the lower one (L). */
export interface LinkCount {
	readonly base: "U" | "L";
	readonly difference: number;
}

/** The entry that a lower object's copy has or would have; undefined where it cannot have any. Throws what looking may. */
export function entryOf(layer: Layer, source: Place): ByteString | undefined {
	const length = encodeHandle(layer, source, VALUE);
	return succeeds(length) && length > 0 ? toHex(VALUE, length) : undefined;
}

/**
 * The entry of what a file of the upper layer was copied up from, whether there is one or not; undefined without an origin.
 * Throws what looking may.
 */
export function entryOfOrigin(directory: Fd, name: Name): ByteString | undefined {
	const length = getAttribute(directory, name, ORIGIN, VALUE, LONGEST_FB);
	return succeeds(length) && isHandle(VALUE, length) ? toHex(VALUE, length) : undefined;
}

function toHex(value: Offset, length: number): ByteString {
	let digits = "";
	for (let at = value; at < value + length; at++) digits += bytes[at]!.toString(HEX).padStart(2, "0");
	return digits as ByteString;
}

/** Whether a name of the index is one that an entry can have. */
export function isEntryName(name: ByteString): boolean {
	if (!/^(?:[0-9a-f]{2})+$/i.test(name) || name.length < 2 * SHORTEST_FB || name.length > 2 * LONGEST_FB)
		return false;
	for (let at = 0; at < name.length; at += 2)
		bytes[VALUE + at / 2] = Number.parseInt(name.slice(at, at + 2), HEX);
	return isHandle(VALUE, name.length / 2);
}

/** The count that a copy has on disk; undefined where it has none, or one that no overlay writes. Throws what looking may. */
export function readLinkCount(directory: Fd, name: Name): LinkCount | undefined {
	const length = getAttribute(directory, name, NLINK, COUNT, COUNT_SIZE);
	const value = succeeds(length) ? readBytes(COUNT, length) : "";
	const [, base, difference] = /^([UL])([+-][0-9]{1,10})$/.exec(value) ?? [];
	if (difference === undefined) return undefined;
	return { base: base as LinkCount["base"], difference: Number(difference) };
}

/** Notes the count at a copy. Returns 0 or -errno. */
export function writeLinkCount(directory: Fd, name: Name, { base, difference }: LinkCount): number {
	const value = `${base}${difference < 0 ? "" : "+"}${difference}`;
	writeString(COUNT, value as ByteString);
	return setAttribute(directory, name, NLINK, COUNT, value.length, 0);
}
