/**
 * Some Workers that read one pipe. They start when work has waited for one, one after the other: each takes some
 * milliseconds of a processor, which the thread that answers requests may need.
 */

import { EINTR } from "../../native/layout.ts";
import { close, type Fd } from "../../native/libc/file.ts";
import { openPipe } from "../../native/libc/process.ts";
import { handSignalsBack, keepSignalsPending } from "../../native/libc/signals.ts";
import { doNextWork, sendResult, sendWork, type Work } from "./record.ts";

/**
 * No more than so much is in the pipe, which has room for that if it is of one page: who writes to a full one waits for a Worker,
 * which may wait for a request to be answered.
 */
const MOST_SENT = 64;

/** What a Worker is started with. */
export interface WorkerPipes {
	readonly tasks: Fd;
	readonly results: Fd;
	/** What it sends as the id of a result when it has started. */
	readonly ready: number;
	/** Signals that are for the thread that answers requests. */
	readonly signals: readonly number[];
}

/** What pools share. */
export interface PoolSettings {
	/** Where results go. */
	readonly results: Fd;
	/** Blocked by the thread that answers requests, which is to have them. */
	readonly signals: readonly number[];
	/** Told of what goes wrong outside any request. */
	readonly onBroken: (error: unknown) => void;
}

/** Workers end after so long without work, in nanoseconds: each has some memory of its own. */
const LONGEST_LEISURE = 10e9;
/** For a further Worker something must have waited so long, in nanoseconds: starting one takes longer than most calls do. */
const LONGEST_WAIT = 5e6;

export class WorkerPool {
	private readonly settings: PoolSettings;
	private readonly largest: number;
	private readonly ready: number;
	private readonly reading: Fd;
	private readonly writing: Fd;
	private count = 0;
	/** Work that was handed over and is not done. */
	private underWay = 0;
	/** How much of it is in the pipe or being done, and what is to follow. */
	private sent = 0;
	private readonly waiting: { readonly id: number; readonly work: Work }[] = [];
	private isStarting = false;
	/** Since when there has been more work than there are Workers; 0: there is not. */
	private waitsSince = 0;
	/** When there was last something to do, as far as that was looked at; 0: there was. */
	private lastUse = 0;
	/** The last attempt to start a Worker has failed. */
	private isRefused = false;

	/**
	 * @param largest Workers at most
	 * @param ready the id of a result that says a Worker has started; then {@link started}
	 */
	constructor(settings: PoolSettings, largest: number, ready: number) {
		this.ready = ready;
		this.settings = settings;
		this.largest = largest;
		[this.reading, this.writing] = openPipe(false);
	}

	/** Whether there is something to come from it. */
	get isBusy(): boolean {
		return this.isStarting || this.underWay > 0;
	}

	/** Starts a first Worker, for work that is to come. */
	prepare(): void {
		if (this.count === 0) this.start();
	}

	/** Hands work over; false: there is no Worker to do it. */
	hand(id: number, work: Work): boolean {
		this.underWay++;
		this.lastUse = 0;
		this.grow(Bun.nanoseconds());
		if (this.count === 0) this.underWay--;
		else if (this.sent === MOST_SENT) this.waiting.push({ id, work });
		else this.send(id, work);
		return this.count > 0;
	}

	private send(id: number, work: Work): void {
		this.sent++;
		sendWork(this.writing, id, work);
	}

	/** Told of all work that was handed over, when it is done. */
	end(): void {
		this.underWay--;
		this.sent--;
		const next = this.waiting.shift();
		if (next !== undefined) this.send(next.id, next.work);
		if (this.underWay <= this.count) this.waitsSince = 0;
	}

	/** A Worker has started. */
	started(): void {
		this.isStarting = false;
		this.waitsSince = 0;
	}

	/** Starts a Worker where work has waited for one; in how many milliseconds to look again, -1: not before there is more. */
	private grow(now: number): number {
		if (this.isStarting || this.count >= Math.min(this.underWay, this.largest)) return -1;
		if (this.waitsSince === 0) this.waitsSince = now;
		const left = this.count === 0 ? 0 : this.waitsSince + LONGEST_WAIT - now;
		if (left > 0) return Math.ceil(left / 1e6);
		// Where it is refused, the next attempt has some time.
		this.waitsSince = now;
		this.start();
		return -1;
	}

	/** As {@link WorkerJobs.rest}, of these. */
	rest(now: number): number {
		const growth = this.grow(now);
		if (growth >= 0) return growth;
		if (this.count === 0) return -1;
		if (this.isBusy || this.lastUse === 0) this.lastUse = now;
		if (now - this.lastUse < LONGEST_LEISURE) return Math.ceil((this.lastUse + LONGEST_LEISURE - now) / 1e6);
		for (; this.count > 0; this.count--) sendWork(this.writing, 0, { kind: "end" });
		this.lastUse = 0;
		return -1;
	}

	private start(): void {
		const { results, signals, onBroken } = this.settings;
		keepSignalsPending(signals);
		const pipes: WorkerPipes = { tasks: this.reading, results, ready: this.ready, signals };
		let worker: Worker;
		try {
			worker = new Worker(new URL("./copy-worker.ts", import.meta.url), {
				workerData: pipes,
			} as WorkerOptions);
		} catch (error) {
			// As where there may be no more processes. The next task is another attempt.
			if (!this.isRefused) onBroken(`cannot be started, others wait for long work: ${String(error)}`);
			this.isRefused = true;
			return;
		}
		this.isRefused = false;
		this.isStarting = true;
		worker.addEventListener("error", (event) => onBroken(event.message));
		this.count++;
	}

	/** Ends the Workers once they have done what is pending. */
	close(): void {
		close(this.writing);
	}
}

/** A Worker's life: does one piece of work after the other until the pipe is closed. */
export function serveTasks({ tasks, results, ready, signals }: WorkerPipes): void {
	handSignalsBack(signals);
	sendResult(results, ready, 0);
	for (;;) {
		const length = doNextWork(tasks, results);
		if (length === undefined || (length < 0 && length !== -EINTR)) return;
	}
}
