/**
 * POSIX ACLs as extended attributes hold them: a version, then entries of a tag, permissions, and an id for the tags
 * that name a user or group. Source: Linux include/uapi/linux/posix_acl_xattr.h.
 */

import {
	ACL_GROUP,
	ACL_GROUP_OBJ,
	ACL_MASK,
	ACL_OTHER,
	ACL_USER,
	ACL_USER_OBJ,
	ENODATA,
	EOPNOTSUPP,
	posixAclXattrEntry,
	posixAclXattrHeader,
} from "../../native/layout.ts";
import { getAttribute } from "../../native/libc/xattr.ts";
import { EMPTY_NAME, type Offset, startsWith, store, view } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import type { Layer } from "../layers/layer.ts";

export const ACL_PREFIX = "system.posix_acl_" as ByteString;
const ACCESS = "system.posix_acl_access" as ByteString;

export function isAcl(attribute: Offset): boolean {
	return startsWith(attribute, ACL_PREFIX);
}

/** Whether the ACL says who may use the object, not what is made in it. */
export function isAccessAcl(attribute: Offset): boolean {
	return startsWith(attribute, ACCESS);
}

/** Replaces the ids of named users and groups. */
export function mapAcl(
	acl: Offset,
	length: number,
	uid: (id: number) => number,
	gid: (id: number) => number,
): void {
	for (const entry of entries(acl, length)) {
		const tag = tagOf(entry);
		const id = entry + posixAclXattrEntry.eId;
		if (tag === ACL_USER) view.setUint32(id, uid(view.getUint32(id, true)), true);
		else if (tag === ACL_GROUP) view.setUint32(id, gid(view.getUint32(id, true)), true);
	}
}

/** The permission bits of a mode that an access ACL stands for. */
export function modeOfAcl(acl: Offset, length: number): number {
	const group = groupTag(acl, length);
	let mode = 0;
	for (const entry of entries(acl, length)) {
		const shift = shiftOf(tagOf(entry), group);
		if (shift !== undefined) mode |= permissionsOf(entry) << shift;
	}
	return mode;
}

/** Gives an access ACL the permissions of a mode, as chmod(2) does. */
export function setModeOfAcl(acl: Offset, length: number, mode: number): void {
	const group = groupTag(acl, length);
	for (const entry of entries(acl, length)) {
		const shift = shiftOf(tagOf(entry), group);
		if (shift !== undefined) view.setUint16(entry + posixAclXattrEntry.ePerm, (mode >>> shift) & 7, true);
	}
}

/** Where in a mode the permissions of an entry are; undefined: nowhere. */
function shiftOf(tag: number, group: number): number | undefined {
	if (tag === ACL_USER_OBJ) return 6;
	if (tag === group) return 3;
	return tag === ACL_OTHER ? 0 : undefined;
}

/** The entry that a mode's group bits show: the mask, where there is one. */
function groupTag(acl: Offset, length: number): number {
	return entries(acl, length).some((entry) => tagOf(entry) === ACL_MASK) ? ACL_MASK : ACL_GROUP_OBJ;
}

function entries(acl: Offset, length: number): Offset[] {
	const result: Offset[] = [];
	const last = acl + length - posixAclXattrEntry.sizeof;
	for (let at = acl + posixAclXattrHeader.sizeof; at <= last; at += posixAclXattrEntry.sizeof)
		result.push(at);
	return result;
}

function tagOf(entry: Offset): number {
	return view.getUint16(entry + posixAclXattrEntry.eTag, true);
}

/** A layer's file system may hold anything in the other bits. */
function permissionsOf(entry: Offset): number {
	return view.getUint16(entry + posixAclXattrEntry.ePerm, true) & 7;
}

const ACL_ACCESS = store("system.posix_acl_access" as ByteString);

/** Whether a layer's file system has POSIX ACLs. */
export function supportsAcl(layer: Layer): boolean {
	return getAttribute(layer.root, EMPTY_NAME, ACL_ACCESS, EMPTY_NAME, 0) !== -EOPNOTSUPP;
}

/** The result of reading an attribute in a layer: where the file system has no ACLs, the object has none. */
export function orNoAcl(attribute: Offset, result: number): number {
	return result === -EOPNOTSUPP && isAcl(attribute) ? -ENODATA : result;
}
