/**
 * The mark of a directory that was renamed, `overlay.redirect`, or of a file without its data (metacopy.ts): where the layers
 * below have what belongs to it. A value without a slash is another name in the same parent; one that begins with a slash is
 * the way from the root of the overlay, as its layers below have it. Whoever looks on in the layers below looks for that in
 * place of its own name.
 *
 * The `trusted` namespace is the machine's, and believed unless asked not to. In the `user` namespace anybody who may write
 * to a directory can set the mark, and with it show what lies elsewhere in the layers below: believed only where asked to.
 * Source: Linux fs/overlayfs/util.c, ovl_get_redirect_xattr; dir.c, ovl_set_redirect.
 */

import {
	EINVAL,
	ENODATA,
	EOPNOTSUPP,
	EPERM,
	ERANGE,
	NAME_MAX,
	PATH_MAX,
	XATTR_REPLACE,
} from "../../native/layout.ts";
import { check, fail, succeeds } from "../../native/libc/errno.ts";
import type { Fd } from "../../native/libc/file.ts";
import { getAttributeOf, setAttribute } from "../../native/libc/xattr.ts";
import { EMPTY_NAME, type Name, readBytes, reserve, store, writeString } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import { asOwner } from "../layers/owner-access.ts";

/** What no name is, or not below a directory. */
const NO_NAMES = /^\.\.?$|[/\0]/;
const REDIRECT = /(?:^|\0)(?:trusted|user)\.overlay\.redirect\0/;
const ATTRIBUTES = {
	trusted: store("trusted.overlay.redirect" as ByteString),
	user: store("user.overlay.redirect" as ByteString),
};
/** As the kernel's `redirect_max`: longer paths are not written. Read are any that a path could be. */
export const LONGEST_REDIRECT = 256;

const VALUE = reserve(PATH_MAX);
/** What says that there is no such attribute, as far as can be seen. */
const ABSENT = [-ENODATA, -EOPNOTSUPP, -EPERM];

export type RedirectNamespace = keyof typeof ATTRIBUTES;

/** Names to go down by: from the parent of what has the mark, or from the root. */
export interface Way {
	readonly fromRoot: boolean;
	/** One at least; only one where it begins at the parent. */
	readonly names: readonly ByteString[];
}

/** Whether a directory was renamed; `attributes`: their names, undefined where they cannot be listed. */
export function isRedirected(directory: Fd, attributes: ByteString | undefined): boolean {
	return attributes === undefined ? redirectNamespace(directory) !== undefined : REDIRECT.test(attributes);
}

/** Which mark of the directory counts; undefined: it has none. */
export function redirectNamespace(directory: Fd): RedirectNamespace | undefined {
	if (hasRedirect(directory, "trusted")) return "trusted";
	return hasRedirect(directory, "user") ? "user" : undefined;
}

/** Whether what the descriptor is of has the mark in this namespace. */
export function hasRedirect(fd: Fd, namespace: RedirectNamespace): boolean {
	return succeeds(getAttributeOf(fd, ATTRIBUTES[namespace], EMPTY_NAME, 0));
}

/** The mark's value, which may be anything; undefined: it is longer than a path. Throws what reading may. */
export function readRedirect(directory: Fd, namespace: RedirectNamespace): ByteString | undefined {
	const length = getAttributeOf(directory, ATTRIBUTES[namespace], VALUE, PATH_MAX);
	return length === -ERANGE ? undefined : readBytes(VALUE, check(length));
}

/** The way that a value stands for. Throws EINVAL for what no overlay writes, and for whatever would lead upwards. */
export function wayOf(value: ByteString): Way {
	const fromRoot = value.startsWith("/");
	const names = (fromRoot ? value.slice(1).split("/") : [value]) as ByteString[];
	for (const name of names) {
		if (name === "" || name.length > NAME_MAX || NO_NAMES.test(name)) fail(EINVAL);
	}
	return { fromRoot, names };
}

/** Sets the mark of a name, or for EMPTY_NAME of what `directory` is open on. Returns 0 or -errno. */
export function writeRedirect(
	directory: Fd,
	name: Name,
	namespace: RedirectNamespace,
	value: ByteString,
): number {
	return setRedirect(directory, name, namespace, value, 0);
}

/**
 * Sets the mark of a directory. Where it has one of the other namespace as well, from a mount with other options or by another
 * user, that must not go on saying what was true before: it is set, too. Returns 0 or -errno.
 */
export function writeRedirects(directory: Fd, namespace: RedirectNamespace, value: ByteString): number {
	const written = writeRedirect(directory, EMPTY_NAME, namespace, value);
	if (written < 0) return written;
	const other = namespace === "user" ? "trusted" : "user";
	const replaced = setRedirect(directory, EMPTY_NAME, other, value, XATTR_REPLACE);
	return ABSENT.includes(replaced) ? 0 : replaced;
}

function setRedirect(
	directory: Fd,
	name: Name,
	namespace: RedirectNamespace,
	value: ByteString,
	flags: number,
): number {
	writeString(VALUE, value);
	return asOwner(
		() => setAttribute(directory, name, ATTRIBUTES[namespace], VALUE, value.length, flags),
		[directory, name],
	);
}
