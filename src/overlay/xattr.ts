/** Extended attributes through the mount; some have another name in the layers, see attribute-name.ts. */

import {
	DT_LNK,
	EINVAL,
	ENODATA,
	EOPNOTSUPP,
	EPERM,
	ERANGE,
	S_ISGID,
	XATTR_LIST_MAX,
	XATTR_NAME_MAX,
	XATTR_SIZE_MAX,
} from "../native/layout.ts";
import { check, fail } from "../native/libc/errno.ts";
import type { Fd } from "../native/libc/file.ts";
import { modeOf } from "../native/libc/stat.ts";
import { getAttribute, listAttributes, removeAttribute, setAttribute } from "../native/libc/xattr.ts";
import {
	copy,
	EMPTY_NAME,
	lengthOf,
	type Offset,
	readString,
	reserve,
	store,
	writeString,
} from "../native/memory.ts";
import type { ByteString } from "../options.ts";
import { ACL_PREFIX, isAccessAcl, isAcl, mapAcl, modeOfAcl, setModeOfAcl } from "./acl.ts";
import { attributeOnDisk, attributeShown } from "./attribute-name.ts";
import { changeAttributes, readAttributes, STAT } from "./attributes.ts";
import { copyUp } from "./copy-up.ts";
import { type IdMap, NO_ID } from "./id-map.ts";
import { type Identity, ownAccess } from "./identity.ts";
import type { Layer } from "./layer.ts";
import { startsWith } from "./name.ts";
import { type NodeId, PLAIN } from "./node.ts";
import type { Overlay, Place } from "./overlay.ts";

const TRUSTED = "trusted.";

const PERMISSION_BITS = 0o777;

const CAPABILITY = "security.capability\0" as ByteString;
const NAMES = reserve(XATTR_LIST_MAX);
const VALUE = reserve(XATTR_SIZE_MAX);
const STORED_NAME = reserve(XATTR_NAME_MAX + 1);

/** Reads a value into `target`; returns its length, or with `size` 0 the length alone. Throws ENODATA, ERANGE. */
export function readAttribute(
	overlay: Overlay,
	node: NodeId,
	attribute: Offset,
	target: Offset,
	size: number,
): number {
	requireSupport(overlay, attribute);
	// The kernel asks before the first write to each file.
	if (overlay.nodes.flag(node, PLAIN) && startsWith(attribute, CAPABILITY)) fail(ENODATA);
	const stored = storedName(overlay, node, attribute);
	const place = overlay.locate(node);
	const length = check(getAttribute(place.directory, place.name, stored, target, size));
	if (overlay.identity !== undefined && size !== 0 && isAcl(attribute))
		showAcl(overlay, overlay.identity, node, attribute, target, length);
	return length;
}

/**
 * Sets a value; copies the node up first. `flags`: XATTR_CREATE, XATTR_REPLACE. `killsGroupId`: setting this ACL
 * takes the sgid bit away, because its caller is not of the file's group.
 */
export function writeAttribute(
	overlay: Overlay,
	node: NodeId,
	attribute: Offset,
	value: Offset,
	size: number,
	flags: number,
	killsGroupId: boolean,
): void {
	requireSupport(overlay, attribute);
	copyUp(overlay, node);
	overlay.nodes.setFlag(node, PLAIN, false);
	if (overlay.identity !== undefined && isAcl(attribute)) {
		writeAcl(overlay, overlay.identity, node, attribute, value, size, flags);
	} else {
		const stored = storedName(overlay, node, attribute);
		const place = overlay.locate(node);
		check(setAttribute(place.directory, place.name, stored, value, size, flags));
	}
	// The kernel asks for it with default ACLs, too, which give no permission.
	if (killsGroupId && isAccessAcl(attribute) && (shownMode(overlay, node) & S_ISGID) !== 0)
		changeMode(overlay, node, shownMode(overlay, node) & ~S_ISGID);
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
	mapAcl(
		acl,
		length,
		(id) => identity.uids.shown(id),
		(id) => identity.gids.shown(id),
	);
	if (identity.overrides(overlay.nodes.layer(node)) && isAccessAcl(attribute))
		setModeOfAcl(acl, length, shownMode(overlay, node));
}

/** Throws EINVAL for ids that have none on disk. */
function writeAcl(
	overlay: Overlay,
	identity: Identity,
	node: NodeId,
	attribute: Offset,
	acl: Offset,
	size: number,
	flags: number,
): void {
	// The request may have to be run again: it must stay as it is.
	copy(VALUE, acl, size);
	const idOnDisk = (map: IdMap) => (id: number) => {
		const onDisk = map.onDisk(id);
		return onDisk === NO_ID ? fail(EINVAL) : onDisk;
	};
	mapAcl(VALUE, size, idOnDisk(identity.uids), idOnDisk(identity.gids));
	const setsMode = identity.attribute !== undefined && isAccessAcl(attribute);
	const mode = modeOfAcl(VALUE, size);
	// The daemon must be able to use the inode, whatever mode is shown.
	if (setsMode) setModeOfAcl(VALUE, size, mode | ownAccess(overlay.nodes.kind(node)));
	const place = overlay.locate(node);
	check(setAttribute(place.directory, place.name, attribute, VALUE, size, flags));
	if (setsMode) changeMode(overlay, node, (shownMode(overlay, node) & ~PERMISSION_BITS) | mode);
}

function requireSupport(overlay: Overlay, attribute: Offset): void {
	const { xattrs, acl } = overlay.options;
	if (!xattrs || (!acl && startsWith(attribute, ACL_PREFIX))) fail(EOPNOTSUPP);
}

function shownMode(overlay: Overlay, node: NodeId): number {
	readAttributes(overlay, node);
	return modeOf(STAT);
}

function changeMode(overlay: Overlay, node: NodeId, mode: number): void {
	changeAttributes(overlay, node, {
		uid: undefined,
		gid: undefined,
		size: undefined,
		times: undefined,
		timesAreKernels: false,
		kernelKeepsTimes: false,
		killPrivileges: undefined,
		mode,
	});
}

/** Removes an attribute; copies the node up first. Throws ENODATA where it is not set. */
export function deleteAttribute(overlay: Overlay, node: NodeId, attribute: Offset): void {
	requireSupport(overlay, attribute);
	overlay.writable();
	if (!overlay.isUpper(node)) {
		// Nothing is copied up for what is not there.
		const before = overlay.locate(node);
		check(getAttribute(before.directory, before.name, storedName(overlay, node, attribute), VALUE, 0));
		copyUp(overlay, node);
	}
	const place = overlay.locate(node);
	check(removeAttribute(place.directory, place.name, storedName(overlay, node, attribute)));
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
	const place = overlay.locate(node);
	const listed = listAttributes(place.directory, place.name, NAMES, XATTR_LIST_MAX);
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

/** Copies what users see of a lower object's attributes to its copy `name` in `directory`. */
export function copyAttributes(
	overlay: Overlay,
	node: NodeId,
	source: Place,
	directory: Fd,
	name: Offset,
): void {
	const listed = listAttributes(source.directory, source.name, NAMES, XATTR_LIST_MAX);
	if (listed <= 0) {
		if (listed !== 0 && listed !== -EOPNOTSUPP) fail(-listed);
		return;
	}
	const isolated = overlay.identity?.isolates(overlay.nodes.layer(node)) ?? false;
	for (let at = NAMES; at < NAMES + listed; at += lengthOf(at) + 1) {
		const shown = attributeShown(readString(at), isolated);
		if (shown === undefined) continue;
		const length = getAttribute(source.directory, source.name, at, VALUE, XATTR_SIZE_MAX);
		if (length === -ENODATA) continue;
		check(length);
		const result = setAttribute(directory, name, nameInLayer(overlay, 0, shown), VALUE, length, 0);
		if (result < 0 && !canDoWithout(overlay, node, shown, -result)) fail(-result);
	}
}

/** Linux fs/overlayfs/copy_up.c, ovl_copy_xattr: ACLs and security attributes must not be lost, others may. */
function canDoWithout(overlay: Overlay, node: NodeId, name: string, error: number): boolean {
	if (error === EOPNOTSUPP) return !name.startsWith(ACL_PREFIX) && name !== "security.capability";
	// Without privileges the trusted and security namespaces are out of reach, as they are for cp(1).
	const unprivileged = overlay.work?.trustedAttributes === false;
	return (
		error === EPERM && (unprivileged || overlay.nodes.kind(node) === DT_LNK) && !name.startsWith("user.")
	);
}

/** Where a node's attribute is kept on disk. Scratch memory. Throws ERANGE for a name that is too long there. */
function storedName(overlay: Overlay, node: NodeId, attribute: Offset): Offset {
	return nameInLayer(overlay, overlay.nodes.layer(node), readString(attribute));
}

function nameInLayer(overlay: Overlay, layer: number, name: string): Offset {
	const stored = attributeOnDisk(name, overlay.identity?.isolates(layer) ?? false);
	if (stored.length > XATTR_NAME_MAX) fail(ERANGE);
	writeString(STORED_NAME, stored as ByteString);
	return STORED_NAME;
}

/** The name users see for one on disk; undefined for hidden ones. */
function shownName(overlay: Overlay, node: NodeId, stored: Offset): ByteString | undefined {
	const isolated = overlay.identity?.isolates(overlay.nodes.layer(node)) ?? false;
	const name = attributeShown(readString(stored), isolated);
	const isForeignAcl = !overlay.options.acl && name?.startsWith(ACL_PREFIX);
	return isForeignAcl ? undefined : (name as ByteString | undefined);
}

const ACL_ACCESS = store("system.posix_acl_access" as ByteString);

/** Whether a layer's file system has POSIX ACLs. */
export function supportsAcl(layer: Layer): boolean {
	return getAttribute(layer.root, EMPTY_NAME, ACL_ACCESS, VALUE, 0) !== -EOPNOTSUPP;
}
