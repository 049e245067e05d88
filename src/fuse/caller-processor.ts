/**
 * Which processor the thread that serves runs on. A caller that waits for each answer and a daemon on another processor
 * wake each other by interrupts, which cost more than most requests; on one processor they take turns. The scheduler does
 * not know that they belong together: it is told so, for as long as it helps.
 */

import { fuseInHeader } from "../native/layout.ts";
import { close, type Fd, NO_FD } from "../native/libc/file.ts";
import {
	currentProcessor,
	holdOn,
	letOthersRun,
	letRun,
	noteAllowed,
	openScheduling,
	processorAwaited,
	processorOf,
	threadCount,
	UNKNOWN,
} from "../native/libc/processor.ts";
import { words } from "../native/memory.ts";
import { REQUEST } from "./request.ts";

/** So many requests, less one (a power of two), are served between two looks at where the caller is. */
const STRIDE = 63;
/** With more changes of the caller between two looks there are several at a time. */
const MOST_CHANGES = 8;
/** Nanoseconds a request may wait for the processor on which others compute, before another is better. */
const LONGEST_WAIT = 20_000;
/** After an attempt that did not help the next one waits for this many looks, then twice as many, and so on. */
const FIRST_PAUSE = 4;
const LONGEST_PAUSE = 4096;

export class CallerProcessor {
	private readonly canMove = noteAllowed() > 1;
	private readonly scheduling: Fd;
	private caller = 0;
	private changes = 0;
	private requests = 0;
	/** Where the last look saw the caller. */
	private seen = UNKNOWN;
	/** The one processor that this thread is held on. */
	private held = UNKNOWN;
	private awaited = 0;
	private threads = 0;
	/** Looks to be left out. */
	private pause = 0;
	private nextPause = FIRST_PAUSE;

	constructor() {
		this.scheduling = this.canMove ? openScheduling() : NO_FD;
	}

	/** Whether this thread is on its caller's processor, which it takes from that while it does not sleep. */
	get isShared(): boolean {
		return this.held !== UNKNOWN;
	}

	/** Notes whose request has come. */
	note(): void {
		const caller = words[(REQUEST + fuseInHeader.pid) >>> 2]!;
		// What the kernel sends by itself, as FORGET, is nobody's.
		if (caller !== this.caller && caller !== 0) {
			this.caller = caller;
			this.changes++;
		}
		if ((++this.requests & STRIDE) === 0 && this.canMove) this.look();
	}

	close(): void {
		if (this.scheduling !== NO_FD) close(this.scheduling);
	}

	private look(): void {
		const { changes } = this;
		this.changes = 0;
		if (this.pause > 0) {
			this.pause--;
			return;
		}
		const processor = changes > MOST_CHANGES || this.caller === 0 ? UNKNOWN : processorOf(this.caller);
		if (this.held === UNKNOWN) this.follow(processor);
		else if (processor === this.held && !this.waitsLong()) this.letNewThreadsRun();
		else this.part();
		this.seen = processor;
	}

	private follow(processor: number): void {
		if (processor === UNKNOWN || processor !== this.seen || processor === currentProcessor()) return;
		if (!holdOn(processor)) return;
		this.held = processor;
		this.threads = threadCount();
		this.awaited = this.countAwaited();
	}

	/** The caller has gone elsewhere, or does not wait, or others compute here. */
	private part(): void {
		this.held = UNKNOWN;
		letRun();
		letOthersRun();
		this.pause = this.nextPause;
		this.nextPause = Math.min(2 * this.nextPause, LONGEST_PAUSE);
	}

	private waitsLong(): boolean {
		const before = this.awaited;
		this.awaited = this.countAwaited();
		return this.awaited - before > LONGEST_WAIT * (STRIDE + 1);
	}

	private countAwaited(): number {
		return this.scheduling === NO_FD ? 0 : processorAwaited(this.scheduling);
	}

	private letNewThreadsRun(): void {
		const threads = threadCount();
		if (threads === this.threads) return;
		this.threads = threads;
		letOthersRun();
	}
}
