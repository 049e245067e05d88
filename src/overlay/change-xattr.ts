/** Changing extended attributes through the mount; some have another name in the layers, see attribute-name.ts. */

import {
	DT_LNK,
	EINVAL,
	ENODATA,
	EOPNOTSUPP,
	EPERM,
	S_ISGID,
	XATTR_LIST_MAX,
	XATTR_SIZE_MAX,
} from "../native/layout.ts";
import { check, fail } from "../native/libc/errno.ts";
import type { Fd } from "../native/libc/file.ts";
import { getAttribute, listAttributes, removeAttribute, setAttribute } from "../native/libc/xattr.ts";
import { copy, lengthOf, type Offset, readString, reserve } from "../native/memory.ts";
import { ACL_PREFIX, isAccessAcl, isAcl, mapAcl, modeOfAcl, setModeOfAcl } from "./acl.ts";
import { attributeShown } from "./attribute-name.ts";
import { changeAttributes } from "./change-attributes.ts";
import { copyUp } from "./copy-up.ts";
import { type IdMap, NO_ID } from "./id-map.ts";
import { type Identity, ownAccess } from "./identity.ts";
import { type NodeId, PLAIN } from "./node.ts";
import type { Overlay, Place } from "./overlay.ts";
import { nameInLayer, requireSupport, shownMode, storedName } from "./xattr.ts";

const PERMISSION_BITS = 0o777;
const NAMES = reserve(XATTR_LIST_MAX);
const VALUE = reserve(XATTR_SIZE_MAX);

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
