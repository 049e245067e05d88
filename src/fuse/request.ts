/**
 * The request being handled: one message from the kernel at a time, read where it lies. Nothing is read that is not in
 * it: what lies behind are parts of earlier messages.
 * Source: Linux include/uapi/linux/fuse.h.
 */

import { ESTALE, fuseInHeader } from "../native/layout.ts";
import { readText } from "../native/libc/by-path.ts";
import { fail } from "../native/libc/errno.ts";
import {
	bytes,
	getInt64,
	getNumber,
	type Int64,
	lengthOf,
	type Name,
	type Offset,
	reserveScratch,
	words,
} from "../native/memory.ts";
import type { Writer } from "../overlay/changes/attributes.ts";
import type { NodeId } from "../overlay/nodes/node.ts";
import { nameOnDisk, reserveName } from "../overlay/nodes/user-name.ts";
import type { Overlay } from "../overlay/overlay.ts";

/** The most data one WRITE carries. */
export const LARGEST_WRITE = 1 << 20;
/** Room for the largest message: a page of headers before the data. */
export const REQUEST_SIZE = LARGEST_WRITE + 4096;
/** With a NUL behind it; in memory that can be shared with a successor (overlay/nodes/state.ts). */
export const REQUEST: Offset = reserveScratch(REQUEST_SIZE + 1);
/** Where an operation's own arguments begin. */
const ARGUMENTS: Offset = REQUEST + fuseInHeader.sizeof;
/** Where the message ends. */
let end: Offset = REQUEST;
const NAME = reserveName();
const SECOND_NAME = reserveName();

/** A message that the kernel would not send. */
export class MessageBroken extends Error {
	override readonly name = "MessageBroken";
}

/**
 * Notes that the `size` bytes in the place of a request are a message. A string in it that does not end there ends right
 * behind, for whoever looks at it without asking here: libfuse does.
 */
export function beginMessage(size: number): void {
	end = REQUEST + size;
	bytes[end] = 0;
}

/** The whole message, to be put back later. */
export function copyMessage(): Uint8Array {
	return bytes.slice(REQUEST, end);
}

/** The message was a FORGET that is done: nobody is to do it once more. */
export function endForget(): void {
	words[(REQUEST + fuseInHeader.opcode) >>> 2] = 0;
}

export function opcode(): number {
	return words[(REQUEST + fuseInHeader.opcode) >>> 2]!;
}

/**
 * What the kernel calls a node by: its number in the lower half of 64 bits, its generation in the upper one. A node
 * that was given a new generation may still be called by its old id, by whoever has it open.
 */
export function kernelId(overlay: Overlay, node: NodeId): number {
	return node + overlay.nodes.generation(node) * 2 ** 32;
}

/** The id that the request names its node by. */
export function requestId(): number {
	return getNumber(REQUEST + fuseInHeader.nodeid);
}

/** The node of the id at `offset` of a message. */
export function nodeOfId(offset: Offset): NodeId {
	return words[offset >>> 2]! as NodeId;
}

/** The node the request is about. Throws ESTALE for one the kernel cannot hold. */
export function requestNode(overlay: Overlay): NodeId {
	return knownNode(overlay, REQUEST + fuseInHeader.nodeid);
}

/** The node of the id at `offset` of a message. Throws ESTALE for one the kernel cannot hold. */
export function knownNode(overlay: Overlay, offset: Offset): NodeId {
	const node = nodeOfId(offset);
	return overlay.nodes.has(node) ? node : fail(ESTALE);
}

export function callerUid(): number {
	return words[(REQUEST + fuseInHeader.uid) >>> 2]!;
}

export function callerGid(): number {
	return words[(REQUEST + fuseInHeader.gid) >>> 2]!;
}

/** The process that asks, by whose groups set-group-id is kept or lost. Root keeps it: chown says nothing of CAP_FSETID. */
export const CALLER: Writer = {
	isInGroup: (gid) => callerUid() === 0 || gid === callerGid() || hasGroup(gid),
};

/** Whether the caller has this supplementary group. One that cannot be looked at, of another pid namespace, may have. */
function hasGroup(gid: number): boolean {
	try {
		const status = readText(`/proc/${words[(REQUEST + fuseInHeader.pid) >>> 2]!}/status`);
		return /^Groups:.*$/m.exec(status)?.[0].split(/\s+/).includes(String(gid)) ?? true;
	} catch {
		return true;
	}
}

/** Where `size` bytes of the operation's arguments begin, `offset` bytes into them. Throws MessageBroken. */
export function argumentAt(offset: number, size: number): Offset {
	const at = ARGUMENTS + offset;
	if (at + size > end) throw new MessageBroken(`it ends ${at + size - end} bytes too early`);
	return at;
}

/** A 32-bit argument at `offset` of the operation's arguments. Throws MessageBroken. */
export function argument32(offset: number): number {
	return words[argumentAt(offset, 4) >>> 2]!;
}

/** A 64-bit argument at `offset` of the operation's arguments. Throws MessageBroken. */
export function argument64(offset: number): Int64 {
	return getInt64(argumentAt(offset, 8));
}

/** The string that begins `offset` bytes into the operation's arguments; it, or another, ends them. Throws MessageBroken. */
export function stringAt(offset: number): Name {
	const at = argumentAt(offset, 1);
	if (bytes[end - 1] !== 0) throw new MessageBroken("a string in it does not end");
	return at as Name;
}

/** The string behind the one at `offset`. Throws MessageBroken. */
export function secondStringAt(offset: number): Name {
	return stringAt(behind(stringAt(offset)) - ARGUMENTS);
}

/** The value of `size` bytes behind the string that begins `offset` bytes into the arguments. Throws MessageBroken. */
export function valueAt(offset: number, size: number): Offset {
	return argumentAt(behind(argumentAt(offset, 1)) - ARGUMENTS, size);
}

/** The name of a file that begins `offset` bytes into the operation's arguments, as it is in the layers. */
export function nameAt(offset: number): Name {
	return nameOnDisk(stringAt(offset), NAME);
}

/** As {@link nameAt}, the one that follows the string there. */
export function secondNameAt(offset: number): Name {
	return nameOnDisk(secondStringAt(offset), SECOND_NAME);
}

/** What follows the NUL of a string. */
function behind(string: Offset): Offset {
	return string + lengthOf(string) + 1;
}
