/**
 * Work that may have to wait for another program or machine. Who waits for one of them must not keep those waiting who
 * ask another, so each has a queue of its own, from which only so much is under way at once. System calls are left to the
 * kernel's threads where those can make them, all else to Workers.
 */

import { EINVAL, ENOSYS, SYS_write } from "../../native/layout.ts";
import type { Call } from "../../native/libc/call.ts";
import { type Fd, NO_FD } from "../../native/libc/file.ts";
import { Ring } from "../../native/libc/ring.ts";
import { areWarm, coolBlocks } from "../../native/libc/warm-blocks.ts";
import type { Int64 } from "../../native/memory.ts";
import type { Work } from "./record.ts";
import type { WorkerPool } from "./worker-pool.ts";

/** Of one queue at a time. */
const LARGEST_UNDER_WAY = 16;
/** Of all. */
const LARGEST_RING = 256;
const LARGEST_THREADS = 64;
/** What calls have filled keeps its memory so long after the last one, in nanoseconds. */
const LONGEST_WARMTH = 1e9;

interface Queue {
	underWay: number;
	readonly waiting: Item[];
}

interface Item {
	readonly id: number;
	readonly work: Work;
	readonly queue: Queue;
	by: "ring" | "Worker";
	/** The kernel's threads have answered that they do not know the call, or that it is wrong. */
	isRetried: boolean;
}

export class DistantWork {
	private readonly pool: WorkerPool;
	private readonly performHere: (id: number, work: Work) => void;
	private readonly queues = new Map<number, Queue>();
	private readonly underWay = new Map<number, Item>();
	/** Undefined before the first use, and where there is none. */
	private ring: Ring | undefined;
	private isRingRefused = false;
	/** When something was under way last, as far as that was looked at. */
	private lastUse = 0;

	/** @param performHere does work at once, where there is nobody else */
	constructor(pool: WorkerPool, performHere: (id: number, work: Work) => void) {
		this.pool = pool;
		this.performHere = performHere;
	}

	/** Under way. */
	get count(): number {
		return this.underWay.size;
	}

	/** Readable when the kernel's threads have made a call; NO_FD where they make none. */
	get events(): Fd {
		return this.ring?.fd ?? NO_FD;
	}

	/** Whether the kernel's threads make calls. */
	get hasRing(): boolean {
		return this.openRing() !== undefined;
	}

	add(id: number, work: Work, queueNumber: number): void {
		let queue = this.queues.get(queueNumber);
		if (queue === undefined) {
			queue = { underWay: 0, waiting: [] };
			this.queues.set(queueNumber, queue);
		}
		const item: Item = { id, work, queue, by: "ring", isRetried: false };
		if (queue.underWay < LARGEST_UNDER_WAY) this.begin(item);
		else queue.waiting.push(item);
	}

	/** Tells `done` of each call that the kernel's threads have made: its id, and its result or -errno. */
	collect(done: (id: number, result: number) => void): void {
		this.ring?.collect((id, result) => {
			const item = this.underWay.get(id)!;
			// That may be said of the way the call was made.
			if (isRefusal(result)) {
				item.isRetried = true;
				this.handToWorker(item);
			} else {
				done(id, result);
			}
		});
	}

	/** Told of all work that has ended, by whoever did it. */
	end(id: number, result: Int64): void {
		const item = this.underWay.get(id);
		if (item === undefined) return;
		const { queue, work, by, isRetried } = item;
		this.underWay.delete(id);
		if (by === "Worker") this.pool.end();
		const call = isRetried && !isRefusal(result) ? callOf(work) : undefined;
		if (call !== undefined) this.ring?.decline(call.number);
		queue.underWay--;
		const next = queue.waiting.shift();
		if (next !== undefined) this.begin(next);
	}

	/** As {@link WorkerJobs.rest}, of memory. */
	rest(now: number): number {
		if (!areWarm()) return -1;
		if (this.count > 0) {
			this.lastUse = now;
			return -1;
		}
		if (now - this.lastUse < LONGEST_WARMTH) return Math.ceil((this.lastUse + LONGEST_WARMTH - now) / 1e6);
		coolBlocks();
		return -1;
	}

	private begin(item: Item): void {
		item.queue.underWay++;
		this.underWay.set(item.id, item);
		const { work, id } = item;
		const call = callOf(work);
		if (call === undefined || !this.openRing()?.start(call, id)) this.handToWorker(item);
	}

	private handToWorker(item: Item): void {
		if (this.pool.hand(item.id, item.work)) item.by = "Worker";
		else this.performHere(item.id, item.work);
	}

	private openRing(): Ring | undefined {
		if (this.ring === undefined && !this.isRingRefused) {
			this.ring = Ring.open(LARGEST_RING, LARGEST_THREADS);
			this.isRingRefused = this.ring === undefined;
		}
		return this.ring;
	}
}

/** The system call that the work is; undefined: it is more than one. */
function callOf(work: Work): Call | undefined {
	if (work.kind === "send") return { number: SYS_write, args: [work.fd, work.address, work.length] };
	return work.kind === "call" ? work.call : undefined;
}

function isRefusal(result: Int64): boolean {
	return result === -EINVAL || result === -ENOSYS;
}
