/**
 * Where a copied-up file came from, so that it keeps its inode number across mounts.
 *
 * With the privilege for it as kernel overlayfs keeps it: a file handle in `trusted.overlay.origin`. Otherwise, and where
 * the lower layer's file system has no handles that last, as C fuse-overlayfs does: the path in the lower layers and a
 * NUL in `user.fuseoverlayfs.origin`. Both are read, and so is the handle in `user.overlay.origin`, which kernel overlayfs
 * writes with `userxattr`. Only the inode number hangs on it, so whatever cannot be written or read is left out.
 * Source: Linux fs/overlayfs/overlayfs.h, struct ovl_fb; copy_up.c, ovl_encode_real_fh; namei.c, ovl_decode_real_fh.
 */

import { fileHandle, MAX_HANDLE_SZ, O_NOFOLLOW, O_PATH } from "../../native/layout.ts";
import { openWithin } from "../../native/libc/confined.ts";
import { close, type Fd, NO_FD } from "../../native/libc/file.ts";
import { getHandle, openHandle, statDescriptor } from "../../native/libc/metadata.ts";
import { getAttribute, setAttribute } from "../../native/libc/xattr.ts";
import {
	bytes,
	copy,
	type Name,
	type Offset,
	reserve,
	sameBytes,
	store,
	view,
	writeString,
} from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import type { Layer, Place } from "../layers/layer.ts";
import { readUuid, UUID_SIZE } from "../layers/uuid.ts";

const KERNEL_ORIGIN = store("trusted.overlay.origin" as ByteString);
const KERNEL_USER_ORIGIN = store("user.overlay.origin" as ByteString);
const PATH_ORIGIN = store("user.fuseoverlayfs.origin" as ByteString);

/** `struct ovl_fb`, without alignment: version, magic, its own length, flags, handle type, file system's uuid, handle. */
const FB = { sizeof: 21, version: 0, magic: 1, len: 2, flags: 3, type: 4, uuid: 5, fid: 21 };
const FB_MAGIC = 0xfb;
const NO_UUID = reserve(UUID_SIZE);
const UUID = reserve(UUID_SIZE);
const SLASH = 0x2f;
const VALUE_SIZE = 8192;
const VALUE = reserve(VALUE_SIZE);
const HANDLE = reserve(fileHandle.sizeof + MAX_HANDLE_SZ);

/**
 * The lower layer of a file's origin, the origin's `struct statx` in `target`; -1 where there is none. `attributes`: their
 * names, undefined where they cannot be listed.
 */
export function readOrigin(
	layers: readonly Layer[],
	directory: Fd,
	name: Name,
	attributes: ByteString | undefined,
	target: Offset,
): number {
	if (attributes?.includes(".origin\0") === false) return -1;
	let length = getAttribute(directory, name, KERNEL_ORIGIN, VALUE, VALUE_SIZE - 1);
	if (length <= 0) length = getAttribute(directory, name, KERNEL_USER_ORIGIN, VALUE, VALUE_SIZE - 1);
	const find = length > 0 ? openByHandle : openByPath;
	if (length <= 0) length = getAttribute(directory, name, PATH_ORIGIN, VALUE, VALUE_SIZE - 1);
	if (length <= 0) return -1;
	bytes[VALUE + length] = 0;
	for (const layer of layers) {
		if (layer.index === 0) continue;
		const fd = find(layer, length);
		if (fd < 0) continue;
		try {
			if (statDescriptor(fd, target) === 0) return layer.index;
		} finally {
			close(fd);
		}
	}
	return -1;
}

function openByHandle(layer: Layer, length: number): Fd {
	const size = length - FB.sizeof;
	if (
		!layer.keepsHandles ||
		size <= 0 ||
		size > MAX_HANDLE_SZ ||
		bytes[VALUE + FB.version] !== 0 ||
		bytes[VALUE + FB.magic] !== FB_MAGIC
	) {
		return NO_FD;
	}
	if (!sameBytes(VALUE + FB.uuid, uuidOf(layer), UUID_SIZE)) return NO_FD;
	view.setUint32(HANDLE + fileHandle.handleBytes, size, true);
	view.setInt32(HANDLE + fileHandle.handleType, bytes[VALUE + FB.type]!, true);
	copy(HANDLE + fileHandle.fHandle, VALUE + FB.fid, size);
	return openHandle(layer.root, HANDLE, O_PATH | O_NOFOLLOW);
}

function openByPath(layer: Layer, _length: number): Fd {
	let path = VALUE;
	while (bytes[path] === SLASH) path++;
	return openWithin(layer.root, path, O_PATH | O_NOFOLLOW);
}

const uuids = new Map<Layer, Offset>();

/** The uuid of a layer's file system; zeros where it is not to be named or has none, as both sides then have. */
function uuidOf(layer: Layer): Offset {
	if (!layer.namesFileSystem) return NO_UUID;
	const known = uuids.get(layer);
	if (known !== undefined) return known;
	readUuid(layer.root, UUID);
	const uuid = reserve(UUID_SIZE);
	copy(uuid, UUID, UUID_SIZE);
	uuids.set(layer, uuid);
	return uuid;
}

/**
 * Notes at the copy `name` in `directory` that it stands for the object at `source` in `layer`: by its handle, if that may
 * be kept in a `trusted` attribute, else by the path that `pathOf` gives, from the root and without a leading slash.
 */
export function writeOrigin(
	layer: Layer,
	source: Place,
	trusted: boolean,
	pathOf: () => ByteString,
	directory: Fd,
	name: Name,
): void {
	const length = trusted ? encodeHandle(layer, source) : 0;
	if (length > 0) {
		setAttribute(directory, name, KERNEL_ORIGIN, VALUE, length, 0);
		return;
	}
	const path = pathOf();
	if (path.length + 1 >= VALUE_SIZE) return;
	writeString(VALUE, path);
	setAttribute(directory, name, PATH_ORIGIN, VALUE, path.length + 1, 0);
}

/** Writes the lower object's `struct ovl_fb` to VALUE; returns its length, 0 where its file system has none that last. */
function encodeHandle(layer: Layer, source: Place): number {
	if (!layer.keepsHandles) return 0;
	view.setUint32(HANDLE + fileHandle.handleBytes, MAX_HANDLE_SZ, true);
	if (getHandle(source.directory, source.name, HANDLE, source.flags) < 0) return 0;
	const size = view.getUint32(HANDLE + fileHandle.handleBytes, true);
	const length = FB.sizeof + size;
	bytes[VALUE + FB.version] = 0;
	bytes[VALUE + FB.magic] = FB_MAGIC;
	bytes[VALUE + FB.len] = length;
	bytes[VALUE + FB.flags] = 0;
	bytes[VALUE + FB.type] = view.getInt32(HANDLE + fileHandle.handleType, true);
	copy(VALUE + FB.uuid, uuidOf(layer), UUID_SIZE);
	copy(VALUE + FB.fid, HANDLE + fileHandle.fHandle, size);
	return length;
}
