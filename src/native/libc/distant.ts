/**
 * Descriptors whose file system asks another program or machine, as FUSE and network file systems do, and may not answer
 * for long: distant ones. The thread that answers requests does not wait for them: see replay.ts.
 */

import { dlopen } from "bun:ffi";
import { O_DIRECTORY, O_PATH, POSIX_FADV_SEQUENTIAL, SYS_close } from "../layout.ts";
import { bytes, type Int64, reserve, words } from "../memory.ts";
import type { Call } from "./call.ts";

const libc = dlopen("libc.so.6", {
	close: { args: ["i32"], returns: "i32" },
	posix_fadvise: { args: ["i32", "i64", "i64", "i32"], returns: "i32" },
}).symbols;

/** Larger ones are not kept at a distance. */
const LARGEST_DESCRIPTOR = 1 << 16;
/** The last number of a queue. */
export const LARGEST_QUEUE = 255;

/** Has calls made by other threads; `done` is told the result or -errno from this one, once, and not before it returns. */
export type Caller = (queue: number, call: Call, done: (result: Int64) => void) => void;

/** By descriptor, four bytes: what no other has been called; 0: it is not distant. */
const IDS = reserve(4 * LARGEST_DESCRIPTOR) >>> 2;
/** By descriptor, a byte. */
const QUEUES = reserve(LARGEST_DESCRIPTOR);
/** By descriptor: 1 where closing it may have to wait, as for the server of a regular file. */
const LINGERS = reserve(LARGEST_DESCRIPTOR);
/** Descriptors that calls are under way on, how many, and whether they are to be closed when those have ended. */
const uses = new Map<number, { count: number; isToClose: boolean }>();
let lastId = 0;
/** Without any, asking costs nothing. */
let areThereAny = false;
let caller: Caller | undefined;

/** To be told once how calls are made by other threads; before that each is waited for. */
export function callBy(other: Caller): void {
	caller = other;
}

/** `fd`, and what is opened from it, is distant. `queue`, from 1 on: of calls that may wait for each other. */
export function keepAtDistance(fd: number, queue: number, waitsToClose = false): void {
	if (fd >= LARGEST_DESCRIPTOR) return;
	areThereAny = true;
	lastId = (lastId + 1) >>> 0 || 1;
	words[IDS + fd] = lastId;
	bytes[QUEUES + fd] = queue;
	bytes[LINGERS + fd] = waitsToClose ? 1 : 0;
}

/** The queue of a distant descriptor; undefined of others. */
export function queueOf(fd: number): number | undefined {
	return isDistant(fd) ? bytes[QUEUES + fd] : undefined;
}

/** Whether a descriptor is distant. */
export function isDistant(fd: number): boolean {
	return areThereAny && fd >= 0 && fd < LARGEST_DESCRIPTOR && words[IDS + fd] !== 0;
}

/** What no other descriptor has been called, before or after. */
export function idOf(fd: number): number {
	return words[IDS + fd]!;
}

/** Whether others make calls. */
export function hasCaller(): boolean {
	return caller !== undefined;
}

/**
 * Has a call on a distant descriptor made, which stays open until then.
 * @param opens it answers a descriptor, opened with these flags, which is distant, too
 */
export function startCall(
	call: Call,
	fd: number,
	opens: number | undefined,
	done: (result: Int64) => void,
): void {
	const use = uses.get(fd);
	const queue = bytes[QUEUES + fd]!;
	if (use === undefined) uses.set(fd, { count: 1, isToClose: false });
	else use.count++;
	caller!(queue, call, (result) => {
		endUse(fd);
		if (opens !== undefined && result >= 0) keepOpened(queue, Number(result), opens);
		done(result);
	});
}

function endUse(fd: number): void {
	const use = uses.get(fd)!;
	if (--use.count > 0) return;
	uses.delete(fd);
	if (use.isToClose) closeNow(fd);
}

/** `opened` was opened from the distant descriptor `fd` with these flags, and is distant, too. */
export function inherit(fd: number, opened: number, flags: number): void {
	keepOpened(bytes[QUEUES + fd]!, opened, flags);
}

function keepOpened(queue: number, opened: number, flags: number): void {
	const hasData = (flags & (O_DIRECTORY | O_PATH)) === 0;
	// Who reads on then has the kernel ask for twice as much at a time, and so wait half as often.
	if (hasData) libc.posix_fadvise(opened, 0, 0, POSIX_FADV_SEQUENTIAL);
	keepAtDistance(opened, queue, hasData);
}

/** `copied` is open on what the distant descriptor `fd` is open on. */
export function inheritAll(fd: number, copied: number): void {
	keepAtDistance(copied, bytes[QUEUES + fd]!, bytes[LINGERS + fd] === 1);
}

/** Closes a distant descriptor, when no call is under way on it any more. */
export function closeNow(fd: number): void {
	const use = uses.get(fd);
	if (use !== undefined) {
		use.isToClose = true;
		return;
	}
	const waits = bytes[LINGERS + fd] === 1 && caller !== undefined;
	words[IDS + fd] = 0;
	if (waits) caller!(bytes[QUEUES + fd]!, { number: SYS_close, args: [fd] }, () => {});
	else libc.close(fd);
}
