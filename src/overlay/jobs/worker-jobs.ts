/**
 * Jobs on other threads. Syncs are left to the kernel's (syncs.ts). Else tasks and results are records in two pipes: a Worker
 * blocks in reading the one, and whoever answers requests sees the other become readable. Workers start with the first
 * task that needs them.
 */

import { EAGAIN, EINTR, ENOMEM } from "../../native/layout.ts";
import { check } from "../../native/libc/errno.ts";
import { close, type Fd, read, write } from "../../native/libc/file.ts";
import { openPipe } from "../../native/libc/process.ts";
import { handSignalsBack, keepSignalsPending } from "../../native/libc/signals.ts";
import { getInt64, getNumber, reserve, setInt64, setNumber, view } from "../../native/memory.ts";
import { type Jobs, perform, type Task } from "./job.ts";
import { Syncs } from "./syncs.ts";

const LARGEST_WORKERS = 2;
const KINDS = ["copy", "sync", "dataSync", "writeBack", "send"] as const;

/** A task in a pipe. */
const TASK = { sizeof: 32, id: 0, kind: 4, from: 8, to: 12, length: 16, address: 24 };
/** A result in a pipe. */
const RESULT = { sizeof: 8, id: 0, result: 4 };

const BUFFER = reserve(TASK.sizeof);

/** What a Worker is started with. */
export interface WorkerPipes {
	readonly tasks: Fd;
	readonly results: Fd;
	/** Signals that are for the thread that answers requests. */
	readonly signals: readonly number[];
}

export class WorkerJobs implements Jobs {
	/** Whether requests wait to be served, as whoever answers them knows. */
	hasRequests: () => boolean = () => false;
	/** Becomes readable when a Worker has done a task; then {@link collect}. */
	readonly results: Fd;
	private readonly resultsEnd: Fd;
	private readonly tasks: Fd;
	private readonly tasksEnd: Fd;
	private readonly pending = new Map<number, (result: number) => void>();
	private readonly workers: Worker[] = [];
	/** What is done in steps by whoever answers requests, the next one first. */
	private readonly steps: (() => boolean)[] = [];
	private readonly syncs = new Syncs();
	private lastId = 0;
	/** The last attempt to start a Worker has failed. */
	private isRefused = false;
	private readonly signals: readonly number[];
	private readonly onBroken: (error: unknown) => void;

	/**
	 * @param signals blocked by the thread that answers requests, which is to have them
	 * @param onBroken told of what goes wrong outside any request
	 */
	constructor(signals: readonly number[], onBroken: (error: unknown) => void) {
		this.signals = signals;
		[this.tasksEnd, this.tasks] = openPipe(false);
		[this.results, this.resultsEnd] = openPipe(true);
		this.onBroken = onBroken;
	}

	/** Tasks not yet done. */
	get count(): number {
		return this.pending.size;
	}

	/** As {@link results}, when a sync has ended; NO_FD where there was none. */
	get syncsEnded(): Fd {
		return this.syncs.events;
	}

	get hasOthers(): boolean {
		return this.pending.size > 0 || this.hasRequests();
	}

	get shareSyncs(): boolean {
		return this.syncs.isPossible();
	}

	run(task: Task, done: (result: number) => void): void {
		this.lastId = (this.lastId + 1) >>> 0;
		this.pending.set(this.lastId, done);
		const isSync = task.kind === "sync" || task.kind === "dataSync";
		if (isSync && this.syncs.start(task.fd, task.kind === "dataSync", this.lastId)) return;
		if (this.workers.length < Math.min(this.pending.size - this.syncs.count, LARGEST_WORKERS))
			this.startWorker();
		if (this.workers.length === 0) {
			this.performHere(this.lastId, task);
			return;
		}
		writeTask(this.lastId, task);
		check(write(this.tasks, BUFFER, TASK.sizeof));
	}

	inSteps(step: () => boolean): void {
		this.steps.push(step);
	}

	/** Does one step of what is done in steps; false where there is nothing of that kind. */
	advance(): boolean {
		const step = this.steps.shift();
		if (step === undefined) return false;
		try {
			if (!step()) this.steps.push(step);
		} catch (error) {
			this.onBroken(error);
		}
		return true;
	}

	private startWorker(): void {
		keepSignalsPending(this.signals);
		const pipes: WorkerPipes = { tasks: this.tasksEnd, results: this.resultsEnd, signals: this.signals };
		let worker: Worker;
		try {
			worker = new Worker(new URL("./copy-worker.ts", import.meta.url), {
				workerData: pipes,
			} as WorkerOptions);
		} catch (error) {
			// As where there may be no more processes. The next task is another attempt.
			if (!this.isRefused) this.onBroken(`cannot be started, others wait for long work: ${String(error)}`);
			this.isRefused = true;
			return;
		}
		this.isRefused = false;
		worker.addEventListener("error", (event) => this.onBroken(event.message));
		this.workers.push(worker);
	}

	/** Without a Worker the task is done at once. */
	private performHere(id: number, task: Task): void {
		// To take a message, the kernel may wait for an answer of this thread.
		const result = task.kind === "send" ? -ENOMEM : perform(task);
		writeResult(this.resultsEnd, id, result);
	}

	/** Goes on with every task that is done. */
	collect(): void {
		this.syncs.collect((id, result) => this.goOn(id, result));
		while (this.pending.size > this.syncs.count) {
			const length = read(this.results, BUFFER, RESULT.sizeof);
			if (length === -EAGAIN) return;
			if (length === -EINTR) continue;
			check(length);
			this.goOn(view.getUint32(BUFFER + RESULT.id, true), view.getInt32(BUFFER + RESULT.result, true));
		}
	}

	private goOn(id: number, result: number): void {
		const done = this.pending.get(id);
		this.pending.delete(id);
		try {
			done?.(result);
		} catch (error) {
			this.onBroken(error);
		}
	}

	/** Ends the Workers once they have done what is pending. */
	close(): void {
		close(this.tasks);
	}
}

function writeTask(id: number, task: Task): void {
	view.setUint32(BUFFER + TASK.id, id, true);
	view.setUint32(BUFFER + TASK.kind, KINDS.indexOf(task.kind), true);
	if (task.kind === "copy") {
		view.setInt32(BUFFER + TASK.from, task.from, true);
		view.setInt32(BUFFER + TASK.to, task.to, true);
		setInt64(BUFFER + TASK.length, task.length);
		return;
	}
	view.setInt32(BUFFER + TASK.from, task.fd, true);
	if (task.kind === "send") {
		setNumber(BUFFER + TASK.length, task.length);
		setNumber(BUFFER + TASK.address, task.address);
	}
}

function readTask(): Task {
	const kind = KINDS[view.getUint32(BUFFER + TASK.kind, true)] ?? "sync";
	const from = view.getInt32(BUFFER + TASK.from, true) as Fd;
	if (kind === "send") {
		const length = getNumber(BUFFER + TASK.length);
		return { kind, fd: from, address: getNumber(BUFFER + TASK.address), length };
	}
	if (kind !== "copy") return { kind, fd: from };
	const to = view.getInt32(BUFFER + TASK.to, true) as Fd;
	return { kind, from, to, length: getInt64(BUFFER + TASK.length) };
}

/** A Worker's life: does one task after the other until the pipe is closed. */
export function serveTasks({ tasks, results, signals }: WorkerPipes): void {
	handSignalsBack(signals);
	for (;;) {
		const length = read(tasks, BUFFER, TASK.sizeof);
		if (length === -EINTR) continue;
		if (length !== TASK.sizeof) return;
		const id = view.getUint32(BUFFER + TASK.id, true);
		writeResult(results, id, perform(readTask()));
	}
}

function writeResult(results: Fd, id: number, result: number): void {
	view.setUint32(BUFFER + RESULT.id, id, true);
	view.setInt32(BUFFER + RESULT.result, result, true);
	check(write(results, BUFFER, RESULT.sizeof));
}
