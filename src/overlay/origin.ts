/**
 * Where a copied-up file came from, so that it keeps its inode number across mounts. Kept as C fuse-overlayfs does,
 * the path in the lower layers with a NUL, in `user.fuseoverlayfs.origin`; with the privilege for it in
 * `trusted.fuseoverlayfs.origin` instead, which does not show when the layer is mounted by others, and which
 * symlinks and devices can have too.
 */

import { O_NOFOLLOW, O_PATH, RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS } from "../native/layout.ts";
import { close, type Fd, openResolved } from "../native/libc/file.ts";
import { statDescriptor } from "../native/libc/metadata.ts";
import { getAttribute, setAttribute } from "../native/libc/xattr.ts";
import { bytes, type Name, type Offset, readBytes, reserve, store, writeString } from "../native/memory.ts";
import type { ByteString } from "../options.ts";
import { type NodeId, ROOT } from "./node.ts";
import type { Overlay } from "./overlay.ts";

const TRUSTED = store("trusted.fuseoverlayfs.origin" as ByteString);
const USER = store("user.fuseoverlayfs.origin" as ByteString);
const PATH_SIZE = 8192;
const PATH = reserve(PATH_SIZE);

/** The lower layer of a file's origin, the origin's `struct statx` in `target`; -1 where there is none. */
export function readOrigin(overlay: Overlay, directory: Fd, name: Name, target: Offset): number {
	let length = getAttribute(directory, name, TRUSTED, PATH, PATH_SIZE - 1);
	if (length <= 0) length = getAttribute(directory, name, USER, PATH, PATH_SIZE - 1);
	if (length <= 0) return -1;
	bytes[PATH + length] = 0;
	for (const layer of overlay.layers.slice(1)) {
		const fd = openResolved(layer.root, PATH, O_PATH | O_NOFOLLOW, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
		if (fd < 0) continue;
		const result = statDescriptor(fd, target);
		close(fd);
		if (result === 0) return layer.index;
	}
	return -1;
}

/** Notes at the copy `name` in `directory` that it stands for `node`. Best effort: only the inode number hangs on it. */
export function writeOrigin(
	overlay: Overlay,
	node: NodeId,
	directory: Fd,
	name: Name,
	trusted: boolean,
): boolean {
	const path = pathOf(overlay, node);
	if (path.length + 1 >= PATH_SIZE) return false;
	writeString(PATH, path);
	return setAttribute(directory, name, trusted ? TRUSTED : USER, PATH, path.length + 1, 0) === 0;
}

/** A node's path from the root, without a leading slash. */
export function pathOf(overlay: Overlay, node: NodeId): ByteString {
	const { nodes } = overlay;
	const names: string[] = [];
	for (let current = node; current !== ROOT && nodes.isNamed(current); current = nodes.parent(current)) {
		names.push(readNodeName(overlay, current));
	}
	return names.reverse().join("/") as ByteString;
}

function readNodeName(overlay: Overlay, node: NodeId): ByteString {
	const { nodes } = overlay;
	return readBytes(nodes.name(node), nodes.nameLength(node));
}
