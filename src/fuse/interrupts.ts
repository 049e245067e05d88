/**
 * Requests that wait for layers, whose callers may be killed meanwhile. The kernel then tells by INTERRUPT, and lets the
 * caller go only when the request is answered. It does so for any signal; only to who is being killed nothing can be said
 * that they would take for the answer. It does so once for a request: whether who had another signal is killed later must be
 * looked at.
 */

import { EINTR, fuseInHeader, fuseInterruptIn, fuseOutHeader, SIGKILL } from "../native/layout.ts";
import { readText } from "../native/libc/by-path.ts";
import { type Fd, NO_FD, write } from "../native/libc/file.ts";
import type { Replay } from "../native/libc/replay.ts";
import { reserve, view, words } from "../native/memory.ts";
import { argumentAt } from "./request.ts";

const ANSWER = reserve(fuseOutHeader.sizeof);
/** In milliseconds: how often to look whether who had a signal is being killed by now. */
const NEXT_LOOK = 200;

/** A request to be handled again, once what it waits for has ended. */
export interface Waiting {
	/** Its message; where it was taken out of its message, how it goes on. */
	readonly request: Uint8Array | (() => void);
	/** What it has learned from distant layers. */
	readonly replay: Replay | undefined;
	/** It was answered meanwhile, and is not to be run again. */
	isOver: boolean;
}

export class Interrupts {
	/** The connection to the kernel; set once mounted. */
	fd: Fd = NO_FD;
	/** By the number of the request. */
	private readonly waiting = new Map<number, Waiting>();
	/** Numbers of those whose callers had a signal, and when it was last seen what became of them, in nanoseconds. */
	private readonly signalled = new Set<number>();
	private looked = 0;

	/** How many requests wait. */
	get count(): number {
		return this.waiting.size;
	}

	/** A request waits, which has changed nothing. */
	add(waiting: Waiting): void {
		this.waiting.set(numberOfWaiting(waiting), waiting);
	}

	/** It does not wait any more. */
	delete(waiting: Waiting): void {
		if (typeof waiting.request !== "function") this.waiting.delete(numberOfWaiting(waiting));
	}

	/** The message is an INTERRUPT: answers the request that it is about, if whoever waits for that is being killed. */
	take(): void {
		const at = argumentAt(fuseInterruptIn.unique, 8);
		const unique = numberOf(words[at >>> 2]!, words[(at + 4) >>> 2]!);
		if (this.waiting.has(unique) && !this.answerIfKilled(unique)) this.signalled.add(unique);
	}

	/**
	 * Answers those whose callers are being killed by now. To be called between requests, with the time in nanoseconds; returns
	 * in how many milliseconds again, -1: not before the next request.
	 */
	rest(now: number): number {
		if (this.signalled.size === 0) return -1;
		if (now - this.looked >= NEXT_LOOK * 1e6) {
			this.looked = now;
			for (const unique of this.signalled)
				if (!this.waiting.has(unique) || this.answerIfKilled(unique)) this.signalled.delete(unique);
			if (this.signalled.size === 0) return -1;
		}
		return Math.ceil(NEXT_LOOK - (now - this.looked) / 1e6);
	}

	private answerIfKilled(unique: number): boolean {
		const waiting = this.waiting.get(unique)!;
		const header = headerOf(waiting);
		if (!isBeingKilled(header.getUint32(fuseInHeader.pid, true))) return false;
		this.waiting.delete(unique);
		waiting.isOver = true;
		words[(ANSWER + fuseOutHeader.len) >>> 2] = fuseOutHeader.sizeof;
		view.setInt32(ANSWER + fuseOutHeader.error, -EINTR, true);
		view.setBigUint64(ANSWER + fuseOutHeader.unique, header.getBigUint64(fuseInHeader.unique, true), true);
		// That it is refused says that nobody waits.
		write(this.fd, ANSWER, fuseOutHeader.sizeof);
		return true;
	}
}

/** The number of a request that has a message. */
function numberOfWaiting(waiting: Waiting): number {
	const header = headerOf(waiting);
	return numberOf(
		header.getUint32(fuseInHeader.unique, true),
		header.getUint32(fuseInHeader.unique + 4, true),
	);
}

/** The highest bit only says that the request is sent again. */
function numberOf(low: number, high: number): number {
	return low + (high & 0x7fffffff) * 2 ** 32;
}

function headerOf({ request }: Waiting): DataView {
	const { buffer, byteOffset } = request as Uint8Array;
	return new DataView(buffer, byteOffset, fuseInHeader.sizeof);
}

/** Whether a thread is to end: whatever the signal, the kernel then has SIGKILL wait for it. */
function isBeingKilled(pid: number): boolean {
	try {
		const status = readText(`/proc/${pid}/status`);
		const pending = /^SigPnd:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0";
		return ((BigInt(`0x${pending}`) >> BigInt(SIGKILL - 1)) & 1n) === 1n;
	} catch {
		// Of another pid namespace, or gone.
		return false;
	}
}
