/**
 * Where a copied-up file came from, so that it keeps its inode number across mounts.
 *
 * With the privilege for it as kernel overlayfs keeps it: a file handle in `trusted.overlay.origin`. Otherwise, and where
 * the lower layer's file system has no handles that last, as C fuse-overlayfs does: the path in the lower layers and a
 * NUL in `user.fuseoverlayfs.origin`. Both are read, and so is the handle in `user.overlay.origin`, which kernel overlayfs
 * writes with `userxattr`. Only the inode number hangs on it, so whatever cannot be written or read is left out.
 * Source: Linux fs/overlayfs/copy_up.c, ovl_set_origin; namei.c, ovl_check_origin.
 */

import { ENAMETOOLONG, ENOENT, O_NOFOLLOW, O_PATH } from "../../native/layout.ts";
import { openWithin } from "../../native/libc/confined.ts";
import { succeeds } from "../../native/libc/errno.ts";
import { close, type Fd } from "../../native/libc/file.ts";
import { statDescriptor } from "../../native/libc/metadata.ts";
import { getAttribute, setAttribute } from "../../native/libc/xattr.ts";
import { bytes, type Name, type Offset, reserve, store, writeString } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import type { Layer, Place } from "../layers/layer.ts";
import { encodeHandle, openByHandle } from "./file-handle.ts";

const KERNEL_ORIGIN = store("trusted.overlay.origin" as ByteString);
const KERNEL_USER_ORIGIN = store("user.overlay.origin" as ByteString);
const PATH_ORIGIN = store("user.fuseoverlayfs.origin" as ByteString);

const SLASH = 0x2f;
const VALUE_SIZE = 8192;
const VALUE = reserve(VALUE_SIZE);

/**
 * The lower layer of a file's origin, the origin's `struct statx` in `target`; -1 where there is none, or none that can be looked
 * at. `attributes`: their names, undefined where they cannot be listed.
 */
export function readOrigin(
	layers: readonly Layer[],
	directory: Fd,
	name: Name,
	attributes: ByteString | undefined,
	target: Offset,
): number {
	if (attributes?.includes(".origin\0") === false) return -1;
	return lookForOrigin(layers, directory, name, target, (result) => result >= 0);
}

/** As {@link readOrigin}, where more than a number hangs on it. Throws what looking may. */
export function findOrigin(layers: readonly Layer[], directory: Fd, name: Name, target: Offset): number {
	return lookForOrigin(layers, directory, name, target, succeeds);
}

function lookForOrigin(
	layers: readonly Layer[],
	directory: Fd,
	name: Name,
	target: Offset,
	isThere: (result: number) => boolean,
): number {
	const read = (attribute: Name) => getAttribute(directory, name, attribute, VALUE, VALUE_SIZE - 1);
	let length = read(KERNEL_ORIGIN);
	if (!isThere(length) || length === 0) length = read(KERNEL_USER_ORIGIN);
	const isHandle = isThere(length) && length > 0;
	if (!isHandle) length = read(PATH_ORIGIN);
	if (!isThere(length) || length === 0) return -1;
	bytes[VALUE + length] = 0;
	for (const layer of layers) {
		if (layer.index === 0) continue;
		const fd = isHandle ? openByHandle(layer, VALUE, length) : openByPath(layer);
		if (!isThere(fd)) continue;
		try {
			if (isThere(statDescriptor(fd, target))) return layer.index;
		} finally {
			close(fd);
		}
	}
	return -1;
}

function openByPath(layer: Layer): Fd {
	let path = VALUE;
	while (bytes[path] === SLASH) path++;
	return openWithin(layer.root, path, O_PATH | O_NOFOLLOW);
}

/**
 * Notes at the copy `name` in `directory` that it stands for the object at `source` in `layer`: by its handle, if that may
 * be kept in a `trusted` attribute, else by the path that `pathOf` gives, from the root and without a leading slash, if it gives
 * one. Returns 0, or -errno where that could not be noted.
 */
export function writeOrigin(
	layer: Layer,
	source: Place,
	trusted: boolean,
	pathOf: () => ByteString | undefined,
	directory: Fd,
	name: Name,
): number {
	const length = trusted ? encodeHandle(layer, source, VALUE) : 0;
	if (length > 0) return setAttribute(directory, name, KERNEL_ORIGIN, VALUE, length, 0);
	const path = pathOf();
	if (path === undefined) return -ENOENT;
	if (path.length + 1 >= VALUE_SIZE) return -ENAMETOOLONG;
	writeString(VALUE, path);
	return setAttribute(directory, name, PATH_ORIGIN, VALUE, path.length + 1, 0);
}
