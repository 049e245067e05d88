/**
 * The names that files get which are removed while they are open, on file systems that cannot keep a file without one: they
 * stay in the directory until the last who has them open closes them. Sources: Linux fs/nfs/unlink.c, nfs_sillyrename; libfuse
 * lib/fuse.c, hidden_name.
 */

import { bytes, lengthOf, type Name, startsWith } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";

export interface RemovedName {
	readonly prefix: ByteString;
	/** Hexadecimal digits after it. */
	readonly digits: number;
}

export const removedOnNfs: RemovedName = { prefix: ".nfs" as ByteString, digits: 24 };
export const removedOnFuse: RemovedName = { prefix: ".fuse_hidden" as ByteString, digits: 16 };

/** Whether a name, one that begins with a dot, is of that form. */
export function isRemovedName({ prefix, digits }: RemovedName, name: Name): boolean {
	if (!startsWith(name, prefix) || lengthOf(name) !== prefix.length + digits) return false;
	for (let at = name + prefix.length; bytes[at] !== 0; at++) if (!isHexDigit(bytes[at]!)) return false;
	return true;
}

function isHexDigit(byte: number): boolean {
	return (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x66);
}
