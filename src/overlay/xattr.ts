/**
 * Extended attributes through the mount. Those in which overlays keep their own marks are invisible and cannot be
 * set; with `xattr_permissions=2` the `security` namespace is kept apart under another name.
 */

import {
	DT_LNK,
	ENODATA,
	EOPNOTSUPP,
	EPERM,
	ERANGE,
	S_ISGID,
	statx,
	XATTR_LIST_MAX,
	XATTR_NAME_MAX,
	XATTR_SIZE_MAX,
} from "../native/layout.ts";
import { check, fail } from "../native/libc/errno.ts";
import type { Fd } from "../native/libc/file.ts";
import { getAttribute, listAttributes, removeAttribute, setAttribute } from "../native/libc/xattr.ts";
import {
	EMPTY_NAME,
	lengthOf,
	type Offset,
	readString,
	reserve,
	store,
	view,
	writeString,
} from "../native/memory.ts";
import type { ByteString } from "../options.ts";
import { changeAttributes, readAttributes, STAT } from "./attributes.ts";
import { copyUp } from "./copy-up.ts";
import type { Layer } from "./layer.ts";
import { startsWith } from "./name.ts";
import type { NodeId } from "./node.ts";
import type { Overlay, Place } from "./overlay.ts";

const INTERNAL = [
	"trusted.overlay.",
	"user.overlay.",
	"trusted.fuseoverlayfs.",
	"user.fuseoverlayfs.",
	"security.fuseoverlayfs.",
	"user.containers.override_",
];
const TRUSTED = "trusted.";
const SECURITY = "security.";
const ISOLATED_SECURITY = "user.containers.override_security.";
const ACL_PREFIX = "system.posix_acl_" as ByteString;

const NAMES = reserve(XATTR_LIST_MAX);
const VALUE = reserve(XATTR_SIZE_MAX);
const STORED_NAME = reserve(XATTR_NAME_MAX + ISOLATED_SECURITY.length + 1);

/** Reads a value into `target`; returns its length, or with `size` 0 the length alone. Throws ENODATA, ERANGE. */
export function readAttribute(
	overlay: Overlay,
	node: NodeId,
	attribute: Offset,
	target: Offset,
	size: number,
): number {
	requireSupport(overlay, attribute);
	const stored = storedName(overlay, attribute) ?? fail(ENODATA);
	const place = overlay.locate(node);
	return check(getAttribute(place.directory, place.name, stored, target, size));
}

/**
 * Sets a value; copies the node up first. `flags`: XATTR_CREATE, XATTR_REPLACE. `killsGroupId`: setting this ACL
 * takes the sgid bit away, because its caller is not of the file's group. Throws EPERM for internal names.
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
	if (storedName(overlay, attribute) === undefined) fail(EPERM);
	copyUp(overlay, node);
	const stored = storedName(overlay, attribute)!;
	const place = overlay.locate(node);
	check(setAttribute(place.directory, place.name, stored, value, size, flags));
	if (killsGroupId) dropGroupId(overlay, node);
}

function requireSupport(overlay: Overlay, attribute: Offset): void {
	const { xattrs, acl } = overlay.options;
	if (!xattrs || (!acl && startsWith(attribute, ACL_PREFIX))) fail(EOPNOTSUPP);
}

function dropGroupId(overlay: Overlay, node: NodeId): void {
	readAttributes(overlay, node);
	const mode = view.getUint16(STAT + statx.stxMode, true);
	if ((mode & S_ISGID) === 0) return;
	const unchanged = {
		uid: undefined,
		gid: undefined,
		size: undefined,
		times: undefined,
		killPrivileges: false,
	};
	changeAttributes(overlay, node, {
		...unchanged,
		timesAreKernels: false,
		killPrivileges: false,
		mode: mode & ~S_ISGID,
	});
}

/** Removes an attribute; copies the node up first. Throws ENODATA where it is not set. */
export function deleteAttribute(overlay: Overlay, node: NodeId, attribute: Offset): void {
	requireSupport(overlay, attribute);
	overlay.writable();
	const stored = storedName(overlay, attribute) ?? fail(ENODATA);
	if (!overlay.isUpper(node)) {
		// Nothing is copied up for what is not there.
		const before = overlay.locate(node);
		check(getAttribute(before.directory, before.name, stored, VALUE, 0));
		copyUp(overlay, node);
	}
	const place = overlay.locate(node);
	check(removeAttribute(place.directory, place.name, storedName(overlay, attribute)!));
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
		const shown = shownName(overlay, at);
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
	for (let at = NAMES; at < NAMES + listed; at += lengthOf(at) + 1) {
		const text = readString(at);
		const isolated = text.startsWith(ISOLATED_SECURITY);
		if (isInternal(text) && !isolated) continue;
		const length = getAttribute(source.directory, source.name, at, VALUE, XATTR_SIZE_MAX);
		if (length === -ENODATA) continue;
		check(length);
		const result = setAttribute(directory, name, at, VALUE, length, 0);
		if (result < 0 && !canDoWithout(overlay, node, text, -result)) fail(-result);
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

function isInternal(name: string): boolean {
	return INTERNAL.some((prefix) => name.startsWith(prefix));
}

/** Where an attribute is kept on disk; undefined for names that users may not have. Scratch memory. */
function storedName(overlay: Overlay, attribute: Offset): Offset | undefined {
	const name = readString(attribute);
	if (isInternal(name)) return undefined;
	if (!overlay.options.isolatesSecurity || !name.startsWith(SECURITY)) return attribute;
	writeString(STORED_NAME, (ISOLATED_SECURITY + name.slice(SECURITY.length)) as ByteString);
	return STORED_NAME;
}

/** The name users see for one on disk; undefined for hidden ones. */
function shownName(overlay: Overlay, stored: Offset): ByteString | undefined {
	const name = readString(stored);
	if (overlay.options.isolatesSecurity) {
		if (name.startsWith(ISOLATED_SECURITY))
			return (SECURITY + name.slice(ISOLATED_SECURITY.length)) as ByteString;
		if (name.startsWith(SECURITY)) return undefined;
	}
	const isForeignAcl = !overlay.options.acl && name.startsWith(ACL_PREFIX);
	return isForeignAcl || isInternal(name) ? undefined : name;
}

const ACL_ACCESS = store("system.posix_acl_access" as ByteString);

/** Whether a layer's file system has POSIX ACLs. */
export function supportsAcl(layer: Layer): boolean {
	return getAttribute(layer.root, EMPTY_NAME, ACL_ACCESS, VALUE, 0) !== -EOPNOTSUPP;
}
