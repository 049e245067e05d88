/**
 * File handles that are kept in attributes and names, as kernel overlayfs keeps them: `struct ovl_fb`, without alignment. They
 * say which file system and which file of it, whatever becomes of its names.
 * Source: Linux fs/overlayfs/overlayfs.h, struct ovl_fb; copy_up.c, ovl_encode_real_fh; namei.c, ovl_check_fb_len,
 * ovl_decode_real_fh.
 */

import { fileHandle, MAX_HANDLE_SZ, O_NOFOLLOW, O_PATH } from "../../native/layout.ts";
import { type Fd, NO_FD } from "../../native/libc/file.ts";
import { getHandle, openHandle } from "../../native/libc/metadata.ts";
import { bytes, copy, type Offset, reserve, sameBytes, view } from "../../native/memory.ts";
import type { Layer, Place } from "../layers/layer.ts";
import { readUuid, UUID_SIZE } from "../layers/uuid.ts";

/** Version, magic, its own length, flags, handle type, file system's uuid, handle. */
const FB = { sizeof: 21, version: 0, magic: 1, len: 2, flags: 3, type: 4, uuid: 5, fid: 21 };
const FB_MAGIC = 0xfb;
const BIG_ENDIAN = 1;
const ANY_ENDIAN = 2;
/** The object is in the upper layer. */
const PATH_UPPER = 4;
const KNOWN_FLAGS = BIG_ENDIAN | ANY_ENDIAN | PATH_UPPER;

/** The shortest there may be, and the longest. */
export const SHORTEST_FB = FB.sizeof + 1;
export const LONGEST_FB = FB.sizeof + MAX_HANDLE_SZ;

const NO_UUID = reserve(UUID_SIZE);
const UUID = reserve(UUID_SIZE);
const HANDLE = reserve(fileHandle.sizeof + MAX_HANDLE_SZ);
const uuids = new Map<Layer, Offset>();

/** The uuid of a layer's file system; zeros where it is not to be named or has none, as both sides then have. */
export function uuidOf(layer: Layer): Offset {
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
 * Writes what leads to an object of a layer to `target`, of LONGEST_FB bytes. Returns its length; 0 where the file system has no
 * handles that last, or -errno where it has none of this object.
 */
export function encodeHandle(layer: Layer, source: Place, target: Offset, isUpper = false): number {
	if (!layer.keepsHandles) return 0;
	view.setUint32(HANDLE + fileHandle.handleBytes, MAX_HANDLE_SZ, true);
	const found = getHandle(source.directory, source.name, HANDLE, source.flags);
	if (found < 0) return found;
	const size = view.getUint32(HANDLE + fileHandle.handleBytes, true);
	const length = FB.sizeof + size;
	bytes[target + FB.version] = 0;
	bytes[target + FB.magic] = FB_MAGIC;
	bytes[target + FB.len] = length;
	bytes[target + FB.flags] = isUpper ? PATH_UPPER : 0;
	bytes[target + FB.type] = view.getInt32(HANDLE + fileHandle.handleType, true);
	copy(target + FB.uuid, uuidOf(layer), UUID_SIZE);
	copy(target + FB.fid, HANDLE + fileHandle.fHandle, size);
	return length;
}

/** Whether `length` bytes are a handle that this machine may have written. */
export function isHandle(value: Offset, length: number): boolean {
	if (length < SHORTEST_FB || bytes[value + FB.magic] !== FB_MAGIC) return false;
	const itsLength = bytes[value + FB.len]!;
	const flags = bytes[value + FB.flags]!;
	const isForeign = (flags & BIG_ENDIAN) !== 0 && (flags & ANY_ENDIAN) === 0;
	const isKnown = bytes[value + FB.version] === 0 && (flags & ~KNOWN_FLAGS) === 0 && !isForeign;
	return isKnown && itsLength >= SHORTEST_FB && itsLength <= length && itsLength <= LONGEST_FB;
}

/** Opens (O_PATH) what a handle leads to in a layer's file system; negative where it leads nowhere there. */
export function openByHandle(layer: Layer, value: Offset, length: number): Fd {
	if (!layer.keepsHandles || !isHandle(value, length)) return NO_FD;
	if (!sameBytes(value + FB.uuid, uuidOf(layer), UUID_SIZE)) return NO_FD;
	const size = bytes[value + FB.len]! - FB.sizeof;
	view.setUint32(HANDLE + fileHandle.handleBytes, size, true);
	view.setInt32(HANDLE + fileHandle.handleType, bytes[value + FB.type]!, true);
	copy(HANDLE + fileHandle.fHandle, value + FB.fid, size);
	return openHandle(layer.root, HANDLE, O_PATH | O_NOFOLLOW);
}
