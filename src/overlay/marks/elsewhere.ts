/**
 * Files of a layer whose data lies elsewhere, as kernel overlayfs leaves them: with `metacopy=on` a file whose owner, mode or
 * the like was changed is copied up without its data. It has the size and nothing but a hole, and the attribute
 * `overlay.metacopy`.
 *
 * That is not followed. Shown as they are, these would be zeros: they are refused, see refusals.ts. Attributes of the
 * `trusted` namespace are hidden from whoever has no privilege on the machine, who then cannot tell such files from others.
 * Source: Linux fs/overlayfs/namei.c, ovl_lookup.
 */

import { statx } from "../../native/layout.ts";
import { succeeds } from "../../native/libc/errno.ts";
import type { Fd } from "../../native/libc/file.ts";
import { sizeOf } from "../../native/libc/stat.ts";
import { getAttribute } from "../../native/libc/xattr.ts";
import { EMPTY_NAME, getNumber, type Name, type Offset, store } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";

const METACOPY = /(?:^|\0)(?:trusted|user)\.overlay\.metacopy\0/;
const METACOPIES = ["trusted.overlay.metacopy", "user.overlay.metacopy"].map((name) =>
	store(name as ByteString),
);
/**
 * Whether a `struct statx` is that of a file that has a size and no data. A file without data need not show as such:
 * some file systems count blocks of attributes with those of data, and read-only ones make them up.
 */
export function looksHollow(stat: Offset): boolean {
	return getNumber(stat + statx.stxBlocks) === 0 && sizeOf(stat) !== 0;
}

/**
 * Whether a regular file, `name` in `directory` or what `directory` is open on, was copied up without its data.
 * `attributes`: their names, undefined where they cannot be listed.
 */
export function isMetacopy(directory: Fd, name: Name, attributes: ByteString | undefined): boolean {
	return attributes === undefined ? hasAny(directory, name, METACOPIES) : METACOPY.test(attributes);
}

function hasAny(directory: Fd, name: Name, attributes: readonly Name[]): boolean {
	return attributes.some((attribute) => succeeds(getAttribute(directory, name, attribute, EMPTY_NAME, 0)));
}
