/**
 * Which processor the thread that serves runs on. A caller that waits for each answer and a daemon on another processor
 * wake each other by interrupts, which cost more than most requests; on one processor they take turns. The scheduler does
 * not know that they belong together: it is told so, for as long as it helps.
 */

import { FUSE_GETATTR, FUSE_LOOKUP, FUSE_OPEN, fuseInHeader } from "../native/layout.ts";
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
import { opcode, REQUEST } from "./request.ts";

/** So many requests, less one (a power of two), are served between two looks at where the caller is. */
const STRIDE = 63;
/** With more changes of the caller between two looks there are several at a time. */
const MOST_CHANGES = 8;
/** Nanoseconds a request may wait for the processor on which others compute, before another is better. */
const LONGEST_WAIT = 20_000;
/** After an attempt that did not help the next one waits for this many looks, then twice as many, and so on. */
const FIRST_PAUSE = 4;
const LONGEST_PAUSE = 4096;

/**
 * Whether the sender of such a message is sure to be in no execve. Until an execve has written back what was written to
 * mapped files, and has closed files, all of which waits for this daemon, the kernel has whoever reads /proc/PID/stat wait
 * (exec_update_lock). A lookup is made before that, and its sender waits for the answer, which not all messages' do.
 */
function mayBeLookedAt(operation: number): boolean {
	return operation === FUSE_LOOKUP || operation === FUSE_GETATTR || operation === FUSE_OPEN;
}

export class CallerProcessor {
	/** How many processors this thread may run on, 0 where that is not told. */
	private readonly allowed = noteAllowed();
	private readonly scheduling: Fd;
	private caller = 0;
	private changes = 0;
	private requests = 0;
	private isDue = false;
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

	private get canMove(): boolean {
		return this.allowed > 1;
	}

	/** Whether it is to be expected that this thread takes the processor from its caller while it does not sleep. */
	get isShared(): boolean {
		return this.held !== UNKNOWN || this.allowed === 1;
	}

	/** Notes whose request has come. */
	note(): void {
		const caller = words[(REQUEST + fuseInHeader.pid) >>> 2]!;
		// What the kernel sends by itself, as FORGET, is nobody's.
		if (caller !== this.caller && caller !== 0) {
			this.caller = caller;
			this.changes++;
		}
		if ((++this.requests & STRIDE) === 0 && this.canMove) {
			// There was no occasion since the last was due.
			if (this.isDue) this.look(UNKNOWN);
			this.isDue = true;
		}
		if (this.isDue && caller !== 0 && mayBeLookedAt(opcode())) {
			this.isDue = false;
			this.look(caller);
		}
	}

	close(): void {
		if (this.scheduling !== NO_FD) close(this.scheduling);
	}

	/** @param caller UNKNOWN: it cannot be told where the caller is */
	private look(caller: number): void {
		const { changes } = this;
		this.changes = 0;
		if (this.pause > 0) {
			this.pause--;
			return;
		}
		const processor = changes > MOST_CHANGES || caller === UNKNOWN ? UNKNOWN : processorOf(caller);
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
