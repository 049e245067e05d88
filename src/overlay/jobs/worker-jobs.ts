/**
 * Jobs on other threads. Syncs are left to the kernel's (syncs.ts). Else tasks and results are records in pipes: a Worker
 * blocks in reading the one, and whoever answers requests sees the other become readable. Long work has a few Workers; what
 * waits for distant file systems has as many as wait, and does not keep the process from ending.
 */

import { EAGAIN, EINTR, ENOMEM } from "../../native/layout.ts";
import type { Call } from "../../native/libc/call.ts";
import { check } from "../../native/libc/errno.ts";
import type { Fd } from "../../native/libc/file.ts";
import { openPipe } from "../../native/libc/process.ts";
import { beginRun, endRun, Pending, type Replay, whenEnded } from "../../native/libc/replay.ts";
import type { Int64 } from "../../native/memory.ts";
import { DistantWork } from "./distant-work.ts";
import type { Jobs, Task } from "./job.ts";
import { doWork, sendResult, takeResult, type Work } from "./record.ts";
import { Syncs } from "./syncs.ts";
import { WorkerPool } from "./worker-pool.ts";

const LARGEST_WORKERS = 2;
/** For all that is distant: a few file systems that hang, and those that do not. */
const LARGEST_DISTANT_WORKERS = 64;
/** Of the descriptors that there may be Workers for distant file systems, who have two each, get this part. */
const SHARE_OF_WORKERS = 1 / 8;
const DESCRIPTORS_OF_WORKER = 2;
/** Likewise tasks, which have up to three. */
const SHARE_OF_TASKS = 1 / 5;
const DESCRIPTORS_OF_TASK = 3;
const MOST_TASKS = 1024;

/** How many descriptors jobs may have in all, where there may be `limit`. */
export function descriptorsOfJobs(limit: number): number {
	return mostTasks(limit) * DESCRIPTORS_OF_TASK + mostDistantWorkers(limit) * DESCRIPTORS_OF_WORKER;
}

function mostTasks(limit: number): number {
	return Math.min(Math.ceil((limit * SHARE_OF_TASKS) / DESCRIPTORS_OF_TASK), MOST_TASKS);
}

function mostDistantWorkers(limit: number): number {
	return Math.min(Math.ceil((limit * SHARE_OF_WORKERS) / DESCRIPTORS_OF_WORKER), LARGEST_DISTANT_WORKERS);
}

/** The queue of what is written when nobody waits; those of distant file systems follow. */
const IDLE_QUEUE = 0;

/** Results that are none: a Worker has started. */
const READY = 0;
const DISTANT_READY = 1;

interface Pended {
	readonly done: (result: Int64) => void;
	/** The process must not end before it. */
	readonly isAwaited: boolean;
	/** It has files open. */
	readonly isTask: boolean;
}

interface Step {
	readonly run: () => boolean;
	readonly replay: Replay | undefined;
}

export class WorkerJobs implements Jobs {
	/** Whether requests wait to be served, as whoever answers them knows. */
	hasRequests: () => boolean = () => false;
	/** Becomes readable when a Worker has done a task; then {@link collect}. */
	readonly results: Fd;
	private readonly resultsEnd: Fd;
	private readonly pending = new Map<number, Pended>();
	private awaited = 0;
	private tasks = 0;
	private readonly mostTasks: number;
	/** Those that were done at once, but whose results nobody has taken yet. */
	private readonly doneHere = new Set<number>();
	/** Those that {@link workers} do. */
	private readonly handed = new Set<number>();
	private readonly workers: WorkerPool;
	private readonly distantWorkers: WorkerPool;
	private readonly distant: DistantWork;
	/** What is done in steps by whoever answers requests, the next one first. */
	private readonly steps: Step[] = [];
	private readonly syncs = new Syncs();
	private lastId = DISTANT_READY;
	private readonly onBroken: (error: unknown) => void;

	/**
	 * @param signals blocked by the thread that answers requests, which is to have them
	 * @param onBroken told of what goes wrong outside any request
	 * @param limit how many descriptors there may be, of which each Worker has some
	 */
	constructor(
		signals: readonly number[],
		onBroken: (error: unknown) => void,
		limit = Number.POSITIVE_INFINITY,
	) {
		[this.results, this.resultsEnd] = openPipe(true);
		const settings = { results: this.resultsEnd, signals, onBroken };
		this.workers = new WorkerPool(settings, LARGEST_WORKERS, READY);
		this.distantWorkers = new WorkerPool(settings, mostDistantWorkers(limit), DISTANT_READY);
		this.mostTasks = mostTasks(limit);
		this.distant = new DistantWork(this.distantWorkers, (id, work) => this.performHere(id, work));
		this.onBroken = onBroken;
	}

	/** Tasks that must be done before the process ends. */
	get count(): number {
		return this.awaited;
	}

	/** Whether anything is under way. */
	get isActive(): boolean {
		return this.pending.size > 0;
	}

	/** Whether calls on distant file systems are under way, for which whoever asks next may wait, too. */
	get waitsForDistant(): boolean {
		return this.distant.count > 0;
	}

	/** As {@link results}, when a sync has ended; NO_FD where there was none. */
	get syncsEnded(): Fd {
		return this.syncs.events;
	}

	/** As {@link results}, when the kernel has made a call on a distant file system. */
	get callsEnded(): Fd {
		return this.distant.events;
	}

	/** Whether nobody need be started for what is to be sent while nobody waits. */
	get hasKernelThreads(): boolean {
		return this.distant.hasRing;
	}

	get hasOthers(): boolean {
		return this.pending.size > 0 || this.hasRequests();
	}

	get hasRoom(): boolean {
		return this.tasks < this.mostTasks;
	}

	get shareSyncs(): boolean {
		return this.syncs.isPossible();
	}

	run(task: Task, done: (result: number) => void): void {
		const isDistant = task.kind === "copy" && task.queue !== undefined;
		const id = this.pend(done as (result: Int64) => void, !isDistant, task.kind !== "send");
		if (isDistant) {
			this.distant.add(id, task, task.queue);
			return;
		}
		if (task.kind === "send" && task.isIdle) {
			this.distant.add(id, task, IDLE_QUEUE);
			return;
		}
		const isSync = task.kind === "sync" || task.kind === "dataSync";
		if (isSync && this.syncs.start(task.fd, task.kind === "dataSync", id)) return;
		if (this.workers.hand(id, task)) this.handed.add(id);
		else this.performHere(id, task);
	}

	/** There will be calls on distant file systems. */
	expectCalls(): void {
		this.distantWorkers.prepare();
	}

	/** Has a system call made that may have to wait for another program or machine. */
	readonly call = (queue: number, call: Call, done: (result: Int64) => void): void => {
		this.distant.add(this.pend(done, false, false), { kind: "call", call }, queue);
	};

	private pend(done: (result: Int64) => void, isAwaited: boolean, isTask: boolean): number {
		this.lastId = (this.lastId + 1) >>> 0 || DISTANT_READY + 1;
		this.pending.set(this.lastId, { done, isAwaited, isTask });
		if (isAwaited) this.awaited++;
		if (isTask) this.tasks++;
		return this.lastId;
	}

	inSteps(step: () => boolean): void {
		this.steps.push({ run: step, replay: undefined });
	}

	/** Does one step of what is done in steps; false where there is nothing of that kind. */
	advance(): boolean {
		if (this.steps.length === 0) return false;
		this.step();
		return true;
	}

	/** Apart from {@link advance}, which is called all the time and must not make the room that a closure shares. */
	private step(): void {
		const step = this.steps.shift()!;
		let isOver = true;
		let isEnd = true;
		beginRun(step.replay);
		try {
			isEnd = step.run();
		} catch (error) {
			if (error instanceof Pending) {
				isOver = false;
				whenEnded(() => this.steps.push({ run: step.run, replay }));
			} else {
				this.onBroken(error);
			}
		}
		const replay = endRun(isOver);
		if (isOver && !isEnd) this.steps.push({ run: step.run, replay: undefined });
	}

	/** Without a Worker the work is done at once. */
	private performHere(id: number, work: Work): void {
		if (work.kind === "end") return;
		this.doneHere.add(id);
		// To take a message, the kernel may wait for an answer of this thread.
		sendResult(this.resultsEnd, id, work.kind === "send" ? -ENOMEM : doWork(work));
	}

	/** Goes on with every task that is done. */
	collect(): void {
		this.syncs.collect((id, result) => this.goOn(id, result));
		this.distant.collect((id, result) => this.goOn(id, result));
		while (this.workers.isBusy || this.distantWorkers.isBusy || this.doneHere.size > 0) {
			const length = takeResult(this.results, (id, result) => this.goOn(id, result));
			if (length === -EAGAIN) return;
			if (length !== -EINTR) check(length);
		}
	}

	private goOn(id: number, result: Int64): void {
		if (id === READY) this.workers.started();
		if (id === DISTANT_READY) this.distantWorkers.started();
		const pended = this.pending.get(id);
		this.pending.delete(id);
		if (pended?.isAwaited) this.awaited--;
		if (pended?.isTask) this.tasks--;
		this.doneHere.delete(id);
		if (this.handed.delete(id)) this.workers.end();
		this.distant.end(id, result);
		try {
			pended?.done(result);
		} catch (error) {
			this.onBroken(error);
		}
	}

	/**
	 * Ends Workers that have had nothing to do for long, and gives back memory. To be called between requests, with the time in
	 * nanoseconds; returns in how many milliseconds again, -1: not before there was work.
	 */
	rest(now: number): number {
		const workers = sooner(this.workers.rest(now), this.distantWorkers.rest(now));
		return sooner(workers, this.distant.rest(now));
	}

	/** Ends the Workers once they have done what is pending. */
	close(): void {
		this.workers.close();
		this.distantWorkers.close();
	}
}

/** The sooner of two times from now; -1 is never. */
export function sooner(one: number, other: number): number {
	return one < 0 || (other >= 0 && other < one) ? other : one;
}
