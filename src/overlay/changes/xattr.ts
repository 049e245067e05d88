/** Changing extended attributes through the mount; some have another name in the layers, see attribute-name.ts. */

import { EINVAL, ENODATA, S_ISGID, statx, XATTR_CREATE, XATTR_SIZE_MAX } from "../../native/layout.ts";
import { check, fail } from "../../native/libc/errno.ts";
import { getAttribute, removeAttribute, setAttribute } from "../../native/libc/xattr.ts";
import { copy, EMPTY_NAME, type Offset, reserve, view } from "../../native/memory.ts";
import { isAccessAcl, isAcl, mapAcl, modeOfAcl, orNoAcl, setModeOfAcl } from "../marks/acl.ts";
import { type IdMap, NO_ID } from "../marks/id-map.ts";
import { type Identity, ownAccess } from "../marks/identity.ts";
import { PLAIN } from "../nodes/flags.ts";
import { change } from "../nodes/journal.ts";
import type { NodeId } from "../nodes/node.ts";
import type { Overlay } from "../overlay.ts";
import { STAT } from "../reading/attributes.ts";
import { requireSupport, shownMode, storedName } from "../reading/xattr.ts";
import { changeAttributes, NO_CHANGES, type Writer } from "./attributes.ts";
import { copyUp } from "./copy-up.ts";
import { parkToChange } from "./nameless.ts";

const PERMISSION_BITS = 0o777;
const VALUE = reserve(XATTR_SIZE_MAX);

/**
 * Sets a value; copies the node up first. `flags`: XATTR_CREATE, XATTR_REPLACE. `writer`: who sets it; an ACL set by one
 * outside the file's group takes its sgid bit away. Without it the bit stays.
 */
export function writeAttribute(
	overlay: Overlay,
	node: NodeId,
	attribute: Offset,
	value: Offset,
	size: number,
	flags: number,
	writer: Writer | undefined,
): void {
	requireSupport(overlay, attribute);
	parkToChange(overlay, node);
	copyUp(overlay, node);
	overlay.nodes.setFlag(node, PLAIN, false);
	if (overlay.identity !== undefined && isAcl(attribute)) {
		writeAcl(overlay, overlay.identity, node, attribute, value, size, flags);
	} else {
		const stored = storedName(overlay, node, attribute);
		const isRepeated = (flags & XATTR_CREATE) !== 0 && wasBegun(overlay, node, stored, false);
		check(
			overlay.attemptAt(node, ({ directory, name }) =>
				setAttribute(directory, name, stored, value, size, isRepeated ? flags & ~XATTR_CREATE : flags),
			),
		);
	}
	// Default ACLs give no permission.
	if (writer !== undefined && isAccessAcl(attribute)) killGroupId(overlay, node, writer);
}

/** Source: Linux fs/posix_acl.c, posix_acl_update_mode. */
function killGroupId(overlay: Overlay, node: NodeId, writer: Writer): void {
	const mode = shownMode(overlay, node);
	if ((mode & S_ISGID) !== 0 && !writer.isInGroup(view.getUint32(STAT + statx.stxGid, true)))
		changeMode(overlay, node, mode & ~S_ISGID);
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
	check(
		overlay.attemptAt(node, ({ directory, name }) =>
			setAttribute(directory, name, attribute, VALUE, size, flags),
		),
	);
	if (setsMode) changeMode(overlay, node, (shownMode(overlay, node) & ~PERMISSION_BITS) | mode);
}

function changeMode(overlay: Overlay, node: NodeId, mode: number): void {
	changeAttributes(overlay, node, { ...NO_CHANGES, mode });
}

/** Removes an attribute; copies the node up first. Throws ENODATA where it is not set. */
export function deleteAttribute(overlay: Overlay, node: NodeId, attribute: Offset): void {
	requireSupport(overlay, attribute);
	overlay.writable();
	if (!overlay.isUpper(node)) {
		// Nothing is copied up for what is not there.
		const before = overlay.locate(node);
		const stored = storedName(overlay, node, attribute);
		check(orNoAcl(attribute, getAttribute(before.directory, before.name, stored, VALUE, 0)));
	}
	copyUp(overlay, node);
	const stored = storedName(overlay, node, attribute);
	const isRepeated = wasBegun(overlay, node, stored, true);
	const removed = overlay.attemptAt(node, ({ directory, name }) => removeAttribute(directory, name, stored));
	if (!isRepeated || removed !== -ENODATA) check(removed);
}

/**
 * Whether an attribute was about to be set or removed by this very request already, when an earlier process ended; if not, notes
 * that it is, unless it is as it should not be before.
 */
function wasBegun(overlay: Overlay, node: NodeId, attribute: Offset, wasThere: boolean): boolean {
	const { journal } = overlay;
	if (journal === undefined) return false;
	if (journal.isDone) return true;
	const { directory, name } = overlay.locate(node);
	if (getAttribute(directory, name, attribute, VALUE, 0) >= 0 === wasThere)
		journal.begin(change.settingAttribute, { node, parent: node, name: EMPTY_NAME });
	return false;
}
