/** The extended attributes that a copy takes over from the object it stands for. */

import {
	DT_LNK,
	EACCES,
	EINVAL,
	ENODATA,
	EOPNOTSUPP,
	EPERM,
	XATTR_LIST_MAX,
	XATTR_SIZE_MAX,
} from "../../native/layout.ts";
import { check, fail } from "../../native/libc/errno.ts";
import type { Fd } from "../../native/libc/file.ts";
import { getAttribute, listAttributes, setAttribute } from "../../native/libc/xattr.ts";
import { lengthOf, type Offset, readString, reserve } from "../../native/memory.ts";
import type { Place } from "../layers/layer.ts";
import { asOwner } from "../layers/owner-access.ts";
import { ACL_PREFIX, isAccessAcl, isAcl } from "../marks/acl.ts";
import { attributeShown } from "../marks/attribute-name.ts";
import type { NodeId } from "../nodes/node.ts";
import type { Overlay } from "../overlay.ts";
import { nameInLayer } from "../reading/xattr.ts";

const SELINUX_LABEL = "security.selinux";

const NAMES = reserve(XATTR_LIST_MAX);
const VALUE = reserve(XATTR_SIZE_MAX);

/** Asks a distant layer for all that {@link copyAttributes} will take from it. */
export function foreseeAttributes({ directory, name }: Place): void {
	const listed = listAttributes(directory, name, NAMES, XATTR_LIST_MAX);
	for (let at = NAMES; at < NAMES + listed; at += lengthOf(at) + 1)
		getAttribute(directory, name, at, VALUE, XATTR_SIZE_MAX);
}

/**
 * Copies what users see of an object's attributes to its copy `name` in `directory`. The access ACL comes last: it may
 * take from the owner the right to write, which setting the others needs.
 */
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
	let accessAcl: Offset | undefined;
	for (let at = NAMES; at < NAMES + listed; at += lengthOf(at) + 1) {
		if (isAccessAcl(at)) accessAcl = at;
		else copyAttribute(overlay, node, source, at, directory, name);
	}
	if (accessAcl !== undefined) copyAttribute(overlay, node, source, accessAcl, directory, name);
}

function copyAttribute(
	overlay: Overlay,
	node: NodeId,
	source: Place,
	attribute: Offset,
	directory: Fd,
	name: Offset,
): void {
	const layer = overlay.nodes.layer(node);
	const shown = attributeShown(readString(attribute), overlay.identity?.isolates(layer) ?? false);
	if (shown === undefined) return;
	const read = () => getAttribute(source.directory, source.name, attribute, VALUE, XATTR_SIZE_MAX);
	const length = overlay.isUpper(node) ? asOwner(read, [source.directory, source.name]) : read();
	if (length === -ENODATA) return;
	check(length);
	if (isAcl(attribute)) overlay.identity?.applyToAcl(layer, VALUE, length);
	const result = setAttribute(directory, name, nameInLayer(overlay, 0, shown), VALUE, length, 0);
	if (result < 0 && !canDoWithout(overlay, node, shown, -result)) fail(-result);
}

/**
 * ACLs must not be lost: they may refuse what the mode permits. All else may be where the upper layer's file system does not
 * know it, capabilities included, as by cp(1); kernel overlayfs refuses those (fs/overlayfs/copy_up.c, ovl_copy_xattr).
 * A label that SELinux's policy does not know, or does not let the daemon give, gives way to the one of new files.
 */
function canDoWithout(overlay: Overlay, node: NodeId, name: string, error: number): boolean {
	if (name === SELINUX_LABEL && (error === EACCES || error === EINVAL || error === EPERM)) return true;
	if (error === EOPNOTSUPP) return !name.startsWith(ACL_PREFIX);
	// Without privileges the trusted and security namespaces are out of reach, as they are for cp(1).
	const unprivileged = overlay.work?.trustedAttributes === false;
	return (
		error === EPERM && (unprivileged || overlay.nodes.kind(node) === DT_LNK) && !name.startsWith("user.")
	);
}
