/**
 * System calls on distant descriptors are made by other threads. The request that meets one is given up by throwing
 * {@link Pending}; once the call has ended it is run again from its start, and what it had learned is told to it again by its
 * {@link Replay}, each call's result as it was: a file system need not keep anything for that. Whoever uses the wrappers of
 * system calls does not see any of this, but
 *
 * - is run again, and so must not have changed anything before it has asked for all that it needs: after that it waits here;
 * - may be given up at any such call: what it has opened it must have closed then, or put where it will be found.
 */

import { SYS_getdents64 } from "../layout.ts";
import type { Int64, Offset } from "../memory.ts";
import { type Answered, type Argument, Output, perform, prepare, takeOutput } from "./call.ts";
import { closeNow, hasCaller, idOf, inherit, startCall } from "./distant.ts";
import { giveBlock } from "./warm-blocks.ts";

/** No request has so many calls to wait for. */
const MOST_RUNS = 1 << 16;

/** Thrown out of a request that must wait for a system call: see {@link whenEnded}. */
export class Pending extends Error {
	override readonly name = "Pending";
}
/** Made once: throwing it is cheap. */
const PENDING = new Pending("waits for a distant file system");

/** A request that can be given up and run again is being handled. */
let isRepeatable = false;
/** It has changed something since. */
let hasChanged = false;
let current: Replay | undefined;
/** What follows the call that was started last. */
let last: { onEnd: () => void } = { onEnd() {} };

/** The request has changed something, and so must not be run again. */
export function noteChange(): void {
	hasChanged = true;
}

/** Does something after which the request can be run again as before, whatever it changes: a step that is not done twice. */
export function repeatably<Result>(action: () => Result): Result {
	const before = hasChanged;
	const result = action();
	hasChanged = before;
	return result;
}

/** To be called for whoever was given up by {@link Pending}, before anything else: `action` is done when that call has ended. */
export function whenEnded(action: () => void): void {
	last.onEnd = action;
}

/** Begins a request, or something like it; `replay` is what {@link endRun} has returned, if it is run again. */
export function beginRun(replay: Replay | undefined): void {
	isRepeatable = hasCaller();
	hasChanged = false;
	current = replay;
	replay?.begin();
}

/** Ends it; unless it `isOver`, it is run again with what this returns. */
export function endRun(isOver: boolean): Replay | undefined {
	const replay = current;
	isRepeatable = false;
	current = undefined;
	replay?.end(isOver);
	return replay;
}

/**
 * For what goes on after the request was given up, and before it is run again: what it does there is told what the request has
 * learned. It cannot wait by being given up itself.
 */
export function remembering(): <Result>(action: () => Result) => Result {
	const replay = current;
	return (action) => {
		if (replay === undefined || replay === current) return action();
		const outer = { current, isRepeatable };
		current = replay;
		isRepeatable = false;
		replay.begin();
		try {
			return action();
		} finally {
			replay.end(false);
			current = outer.current;
			isRepeatable = outer.isRepeatable;
		}
	};
}

/** Lets go of what a request has learned that is not run again. */
export function discard(replay: Replay | undefined): void {
	replay?.begin();
	replay?.end(true);
}

/** Notes for further runs of the request that it has met something, as far as it can be run again. */
export function note(what: object): void {
	if (!isRepeatable) return;
	current ??= new Replay();
	current.noted.add(what);
}

/** Whether an earlier run of the request, or this one, has noted it. */
export function isNoted(what: object): boolean {
	return current?.noted.has(what) ?? false;
}

interface Answer extends Answered {
	readonly block: Offset;
	readonly size: number;
	readonly opens: boolean;
}

/** What a request has learned from system calls that others made for it. */
export class Replay {
	private readonly answers = new Map<string, Answer>();
	/** How often it was run again. */
	runs = 0;
	readonly noted = new Set<object>();
	/** What descriptors opened for this request are called, by their ids. */
	private readonly names = new Map<number, string>();
	/** The whole key of the call that was asked for last. */
	lastKey = "";
	/** Of the calls that are not the same each time, how many were made in this run. */
	private readonly counts = new Map<string, number>();
	/** Descriptors that were answered in this run, and by which call. */
	private readonly opened = new Map<number, string>();
	/** Those of them that the run has closed: they are still open. */
	private readonly closed = new Set<number>();

	begin(): void {
		this.runs++;
		this.counts.clear();
		this.opened.clear();
		this.closed.clear();
	}

	/** What to call a descriptor: the same in each run, also where each opens it anew. */
	nameOf(fd: number): string | number {
		return this.names.get(idOf(fd)) ?? idOf(fd);
	}

	/**
	 * The answer to a call, if there was one.
	 * @param isFresh it answers differently each time it is made
	 */
	get(key: string, isFresh: boolean): Answer | undefined {
		this.lastKey = key;
		if (isFresh) {
			const count = this.counts.get(key) ?? 0;
			this.counts.set(key, count + 1);
			this.lastKey = `${key}\0${count}`;
		}
		const answer = this.answers.get(this.lastKey);
		if (answer?.opens && answer.result >= 0) {
			const fd = Number(answer.result);
			this.opened.set(fd, this.lastKey);
			this.names.set(idOf(fd), key);
		}
		return answer;
	}

	put(key: string, answer: Answer): void {
		this.answers.set(key, answer);
	}

	/** Whether the run closes what is to be open for the next one: then only that is noted. */
	keepsOpen(fd: number): boolean {
		if (!this.opened.has(fd)) return false;
		this.closed.add(fd);
		return true;
	}

	end(isOver: boolean): void {
		for (const [fd, key] of this.opened) {
			// It is somebody's by now, who will close it.
			if (!this.closed.has(fd)) this.drop(key, this.answers.get(key)!, false);
		}
		if (isOver) for (const [key, answer] of this.answers) this.drop(key, answer, answer.opens);
	}

	private drop(key: string, { block, size, result }: Answer, closes: boolean): void {
		this.answers.delete(key);
		giveBlock(block, size);
		if (closes && result >= 0) closeNow(Number(result));
	}
}

interface AnswerKind {
	/** The flags with which it opens what it answers. */
	readonly opens?: number;
	/** Its result says how much of the output it has filled. */
	readonly isCounted?: boolean;
}

/**
 * Makes a system call on the distant descriptor `fd`, whose output of at most `size` bytes is copied to `target`. Returns its
 * result or -errno; throws {@link Pending} where it must be waited for.
 */
export function ask(
	fd: number,
	number: number,
	args: readonly Argument[],
	target: Offset,
	size: number,
	kind: AnswerKind = {},
): Int64 {
	return askWith(fd, number, args, size, kind, (answer) => takeOutput(answer, target, kind.isCounted, size));
}

/** As {@link ask}; `take` is told of the answer, whose output stays where it is until then. Returns what `take` does. */
export function askWith<Result>(
	fd: number,
	number: number,
	args: readonly Argument[],
	size: number,
	{ opens }: AnswerKind,
	take: (answer: Answered) => Result,
): Result {
	const mayWait = isRepeatable && !hasChanged;
	if (current !== undefined || mayWait) {
		current ??= new Replay();
		const key = `${number}\0${current.nameOf(fd)}\0${size}\0${keyOf(fd, args)}`;
		const known = current.get(key, opens !== undefined || number === SYS_getdents64);
		if (known !== undefined) return take(known);
	}
	const call = prepare(number, args, size);
	if (!mayWait) {
		const result = perform(call);
		if (opens !== undefined && result >= 0) inherit(fd, Number(result), opens);
		try {
			return take({ output: call.output, result });
		} finally {
			giveBlock(call.block, call.size);
		}
	}
	const replay = current!;
	const key = replay.lastKey;
	if (replay.runs > MOST_RUNS) throw new Error("a request that comes to no end");
	const next = { onEnd() {} };
	last = next;
	startCall(call, fd, opens, (result) => {
		replay.put(key, { ...call, result, opens: opens !== undefined });
		next.onEnd();
	});
	throw PENDING;
}

/** What the arguments say beside the descriptor, whose number may be another one in the next run. */
function keyOf(fd: number, args: readonly Argument[]): string {
	const path = `/proc/self/fd/${fd}`;
	const parts = args.map((argument, index) => {
		if (argument instanceof Output || (index === 0 && argument === fd)) return "";
		if (argument instanceof Uint8Array) return argument.join();
		return typeof argument === "string" && argument.startsWith(path)
			? argument.slice(path.length)
			: String(argument);
	});
	return parts.join("\0");
}

/** Closes a distant descriptor, if this run is not given up. */
export function closeDistant(fd: number): void {
	if (!current?.keepsOpen(fd)) closeNow(fd);
}
