/**
 * The mark of a regular file without data of its own, `overlay.metacopy`, as kernel overlayfs leaves it with `metacopy=on`: a
 * file whose owner, mode or the like was changed is copied up without its data, which stays in a layer below. It has the size
 * and nothing but a hole; see nodes/metacopies.ts for where its data is.
 *
 * The value is empty, or a header and the digest for fs-verity that the data is to have. Attributes of the `trusted` namespace are
 * hidden from whoever has no privilege on the machine, who then cannot tell such files from others.
 * Source: Linux fs/overlayfs/util.c, ovl_check_metacopy_xattr, and overlayfs.h, struct ovl_metacopy.
 */

import { ENODATA, EOPNOTSUPP, ERANGE, statx } from "../../native/layout.ts";
import { check, succeeds } from "../../native/libc/errno.ts";
import type { Fd } from "../../native/libc/file.ts";
import { sizeOf } from "../../native/libc/stat.ts";
import { getAttribute, getAttributeOf, removeAttributeOf, setAttributeOf } from "../../native/libc/xattr.ts";
import {
	bytes,
	EMPTY_NAME,
	getNumber,
	type Name,
	type Offset,
	reserve,
	store,
	writeString,
} from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import { asOwner } from "../layers/owner-access.ts";
import type { RedirectNamespace } from "./redirect.ts";
import { describeDigest, LONGEST_DIGEST, NO_DIGEST } from "./verity.ts";

const MARK = /(?:^|\0)(trusted|user)\.overlay\.metacopy\0/;
const ATTRIBUTES = {
	trusted: store("trusted.overlay.metacopy" as ByteString),
	user: store("user.overlay.metacopy" as ByteString),
};
/** Version, length, flags, kind of digest; then the digest. */
const HEADER = 4;
const VALUE = reserve(HEADER + LONGEST_DIGEST + 1);

/**
 * Whether a `struct statx` is that of a file that has a size and no data. A file without data need not show as such:
 * some file systems count blocks of attributes with those of data, and read-only ones make them up.
 */
export function looksHollow(stat: Offset): boolean {
	return getNumber(stat + statx.stxBlocks) === 0 && sizeOf(stat) !== 0;
}

/**
 * Which mark of a regular file counts, of `name` in `directory` or what `directory` is open on; undefined: it has none.
 * `attributes`: their names, undefined where they cannot be listed.
 */
export function metacopyNamespace(
	directory: Fd,
	name: Name,
	attributes: ByteString | undefined,
): RedirectNamespace | undefined {
	if (attributes !== undefined && !MARK.test(attributes)) return undefined;
	const has = (attribute: Offset) => succeeds(getAttribute(directory, name, attribute, EMPTY_NAME, 0));
	if (has(ATTRIBUTES.trusted)) return "trusted";
	return has(ATTRIBUTES.user) ? "user" : undefined;
}

/**
 * The fs-verity digest that the mark names, as {@link measureVerity} (verity.ts) gives it; empty: it names none. undefined: its
 * value is none that an overlay writes. Throws what reading may.
 */
export function digestIn(file: Fd, namespace: RedirectNamespace): ByteString | undefined {
	const length = getAttributeOf(file, ATTRIBUTES[namespace], VALUE, HEADER + LONGEST_DIGEST);
	if (length === 0) return NO_DIGEST;
	if (length === -ERANGE || check(length) < HEADER) return undefined;
	if (bytes[VALUE] !== 0 || bytes[VALUE + 1] !== length) return undefined;
	const kind = bytes[VALUE + 3]!;
	return kind === 0 ? NO_DIGEST : describeDigest(kind, VALUE + HEADER, length - HEADER);
}

/** Sets the mark on what is open on `file`. `digest`: as {@link digestIn} gives it. Returns 0 or -errno. */
export function writeMetacopy(file: Fd, namespace: RedirectNamespace, digest: ByteString): number {
	// Its first byte is its kind.
	const length = digest === NO_DIGEST ? 0 : HEADER - 1 + digest.length;
	writeString(VALUE + HEADER - 1, digest);
	bytes.set([0, length, 0], VALUE);
	return asOwner(() => setAttributeOf(file, ATTRIBUTES[namespace], VALUE, length, 0), [file, EMPTY_NAME]);
}

/**
 * The file, open on `file`, has its own data: the mark that counted is removed last, before it one that would count then.
 * Returns 0 or -errno.
 */
export function removeMetacopy(file: Fd, namespace: RedirectNamespace): number {
	const marks = namespace === "user" ? [ATTRIBUTES.user] : [ATTRIBUTES.user, ATTRIBUTES.trusted];
	for (const mark of marks) {
		const removed = asOwner(() => removeAttributeOf(file, mark), [file, EMPTY_NAME]);
		if (removed < 0 && removed !== -ENODATA && removed !== -EOPNOTSUPP) return removed;
	}
	return 0;
}
