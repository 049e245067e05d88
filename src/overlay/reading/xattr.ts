/** Extended attributes through the mount; some have another name in the layers, see attribute-name.ts. */

import { ENODATA, EOPNOTSUPP, ERANGE, XATTR_LIST_MAX, XATTR_NAME_MAX } from "../../native/layout.ts";
import { check, fail } from "../../native/libc/errno.ts";
import { modeOf } from "../../native/libc/stat.ts";
import { getAttribute, listAttributes } from "../../native/libc/xattr.ts";
import { lengthOf, type Offset, readString, reserve, startsWith, writeString } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import { ACL_PREFIX, isAccessAcl, isAcl, mapAcl, orNoAcl, setModeOfAcl } from "../marks/acl.ts";
import { attributeOnDisk, attributeShown } from "../marks/attribute-name.ts";
import type { Identity } from "../marks/identity.ts";
import { PLAIN } from "../nodes/flags.ts";
import type { NodeId } from "../nodes/node.ts";
import type { Overlay } from "../overlay.ts";
import { readAttributes, STAT } from "./attributes.ts";

const TRUSTED = "trusted.";
const CAPABILITY = "security.capability\0" as ByteString;
const NAMES = reserve(XATTR_LIST_MAX);
const STORED_NAME = reserve(XATTR_NAME_MAX + 1);

/**
 * Reads a value into `target`; returns its length, or with `size` 0 the length alone; -ENODATA, which is the usual answer and
 * so not thrown, where there is none. Throws ERANGE and what reading may.
 */
export function readAttribute(
	overlay: Overlay,
	node: NodeId,
	attribute: Offset,
	target: Offset,
	size: number,
): number {
	requireSupport(overlay, attribute);
	// The kernel asks before the first write to each file.
	if (overlay.nodes.flag(node, PLAIN) && startsWith(attribute, CAPABILITY)) return -ENODATA;
	const stored = storedName(overlay, node, attribute);
	const length = overlay.attemptAt(node, ({ directory, name }) =>
		orNoAcl(attribute, getAttribute(directory, name, stored, target, size)),
	);
	if (length === -ENODATA) return length;
	check(length);
	if (overlay.identity !== undefined && size !== 0 && isAcl(attribute))
		showAcl(overlay, overlay.identity, node, attribute, target, length);
	return length;
}

/** Turns an ACL as it is on disk into the one users see: with their ids, and the mode they see. */
function showAcl(
	overlay: Overlay,
	identity: Identity,
	node: NodeId,
	attribute: Offset,
	acl: Offset,
	length: number,
): void {
	identity.applyToAcl(overlay.nodes.layer(node), acl, length);
	mapAcl(
		acl,
		length,
		(id) => identity.uids.shown(id),
		(id) => identity.gids.shown(id),
	);
	if (identity.overrides(overlay.nodes.layer(node)) && isAccessAcl(attribute))
		setModeOfAcl(acl, length, shownMode(overlay, node));
}

/** Throws EOPNOTSUPP where the mount has no extended attributes, or no ACLs. */
export function requireSupport(overlay: Overlay, attribute: Offset): void {
	if (!overlay.options.xattrs || (!overlay.acl && startsWith(attribute, ACL_PREFIX))) fail(EOPNOTSUPP);
}

/** The mode users see; reads the node's attributes into STAT. */
export function shownMode(overlay: Overlay, node: NodeId): number {
	readAttributes(overlay, node);
	return modeOf(STAT);
}

/**
 * Writes the visible names, each with its NUL, to `target`; returns their length together, with `size` 0 that alone.
 * `trusted`: those of the `trusted` namespace too, which only privileged callers may see.
 */
export function listNames(
	overlay: Overlay,
	node: NodeId,
	target: Offset,
	size: number,
	trusted: boolean,
): number {
	if (!overlay.options.xattrs) fail(EOPNOTSUPP);
	const listed = overlay.attemptAt(node, ({ directory, name }) =>
		listAttributes(directory, name, NAMES, XATTR_LIST_MAX),
	);
	if (listed === -EOPNOTSUPP) return 0;
	check(listed);
	let written = 0;
	for (let at = NAMES; at < NAMES + listed; at += lengthOf(at) + 1) {
		const shown = shownName(overlay, node, at);
		if (shown === undefined || (!trusted && shown.startsWith(TRUSTED))) continue;
		if (size !== 0) {
			if (written + shown.length + 1 > size) fail(ERANGE);
			writeString(target + written, shown);
		}
		written += shown.length + 1;
	}
	return written;
}

/** Where a node's attribute is kept on disk. Scratch memory. Throws ERANGE for a name that is too long there. */
export function storedName(overlay: Overlay, node: NodeId, attribute: Offset): Offset {
	return nameInLayer(overlay, overlay.nodes.layer(node), readString(attribute));
}

/** Where layer `layer` keeps the users' attribute `name`. Scratch memory. Throws ERANGE for a name that is too long there. */
export function nameInLayer(overlay: Overlay, layer: number, name: string): Offset {
	const stored = attributeOnDisk(name, overlay.identity?.isolates(layer) ?? false);
	if (stored.length > XATTR_NAME_MAX) fail(ERANGE);
	writeString(STORED_NAME, stored as ByteString);
	return STORED_NAME;
}

/** The name users see for one on disk; undefined for hidden ones. */
function shownName(overlay: Overlay, node: NodeId, stored: Offset): ByteString | undefined {
	const isolated = overlay.identity?.isolates(overlay.nodes.layer(node)) ?? false;
	const name = attributeShown(readString(stored), isolated);
	const isForeignAcl = !overlay.acl && name?.startsWith(ACL_PREFIX);
	return isForeignAcl ? undefined : (name as ByteString | undefined);
}
