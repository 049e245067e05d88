/**
 * Names `.wh.*` that users of the mount make: another overlay above this one does, with its layers here. In a layer
 * such a name is a whiteout, so a user's `.wh.NAME` is kept as `.wh..wh.+NAME`. Other overlays take that for a
 * whiteout of `.wh.+NAME`, which hides nothing, and tools for images take it for a note that is none of theirs.
 */

import { ENAMETOOLONG, PATH_MAX } from "../../native/layout.ts";
import { fail } from "../../native/libc/errno.ts";
import {
	bytes,
	copy,
	lengthOf,
	type Name,
	type Offset,
	reserve,
	startsWith,
	writeString,
} from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import { isKept, KEPT_PREFIX, RESERVED_PREFIX } from "../marks/whiteout.ts";

/** Memory for one name on disk; a rename has two at a time. */
export function reserveName(): Offset {
	return reserve(PATH_MAX + KEPT_PREFIX.length + 1);
}

const SHOWN = reserveName();

/** A user's name as it is in the layers: itself, or its other form in `target`. */
export function nameOnDisk(name: Name, target: Offset): Name {
	if (bytes[name] !== 0x2e || !startsWith(name, RESERVED_PREFIX)) return name;
	return exchangePrefix(name, RESERVED_PREFIX, KEPT_PREFIX, target);
}

/** A name of a layer as users see it. Scratch memory. */
export function nameShown(name: Name): Name {
	if (bytes[name] !== 0x2e || !isKept(name)) return name;
	return exchangePrefix(name, KEPT_PREFIX, RESERVED_PREFIX, SHOWN);
}

/** How much longer a name is in its layer than users see it. */
export function surplus(name: Name): number {
	return bytes[name] === 0x2e && isKept(name) ? KEPT_PREFIX.length - RESERVED_PREFIX.length : 0;
}

function exchangePrefix(name: Name, from: ByteString, to: ByteString, target: Offset): Name {
	const length = lengthOf(name);
	if (length > PATH_MAX) fail(ENAMETOOLONG);
	writeString(target, to);
	copy(target + to.length, name + from.length, length - from.length + 1);
	return target as Name;
}
