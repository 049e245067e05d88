/** Tasks and results as records in pipes between the thread that answers requests and Workers. */

import { type Call, perform as performCall } from "../../native/libc/call.ts";
import { check } from "../../native/libc/errno.ts";
import { type Fd, read, write } from "../../native/libc/file.ts";
import { getInt64, getNumber, type Int64, reserve, setInt64, setNumber, view } from "../../native/memory.ts";
import { perform, type Task } from "./job.ts";

/** `end` ends the Worker that reads it. */
const KINDS = ["copy", "sync", "dataSync", "writeBack", "send", "call", "end"] as const;

/** A task in a pipe; of a call `args` are as many numbers of 64 bits as fit. */
const TASK = { sizeof: 64, id: 0, kind: 4, from: 8, to: 12, length: 16, address: 24, number: 8, args: 16 };
/** A result in a pipe. */
const RESULT = { sizeof: 16, id: 0, result: 8 };

const BUFFER = reserve(TASK.sizeof);

/** What a Worker is to do. */
export type Work = Task | { readonly kind: "call"; readonly call: Call } | { readonly kind: "end" };

/** Hands work to whichever Worker reads the pipe next. */
export function sendWork(pipe: Fd, id: number, work: Work): void {
	view.setUint32(BUFFER + TASK.id, id, true);
	view.setUint32(BUFFER + TASK.kind, KINDS.indexOf(work.kind), true);
	if (work.kind === "call") {
		view.setUint32(BUFFER + TASK.number, work.call.number, true);
		for (let at = BUFFER + TASK.args, index = 0; at < BUFFER + TASK.sizeof; at += 8, index++)
			setInt64(at, work.call.args[index] ?? 0);
	} else if (work.kind !== "end") {
		writeTask(work);
	}
	check(write(pipe, BUFFER, TASK.sizeof));
}

function writeTask(task: Task): void {
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

/** The work in BUFFER. */
function readWork(): Work {
	const kind = KINDS[view.getUint32(BUFFER + TASK.kind, true)] ?? "end";
	const from = view.getInt32(BUFFER + TASK.from, true) as Fd;
	switch (kind) {
		case "end":
			return { kind };
		case "call": {
			const args: Int64[] = [];
			for (let at = BUFFER + TASK.args; at < BUFFER + TASK.sizeof; at += 8) args.push(getInt64(at));
			return { kind, call: { number: view.getUint32(BUFFER + TASK.number, true), args } };
		}
		case "send": {
			const length = getNumber(BUFFER + TASK.length);
			return { kind, fd: from, address: getNumber(BUFFER + TASK.address), length };
		}
		case "copy": {
			const to = view.getInt32(BUFFER + TASK.to, true) as Fd;
			return { kind, from, to, length: getInt64(BUFFER + TASK.length) };
		}
		default:
			return { kind, fd: from };
	}
}

/** Does the next work in a pipe, and tells its result; undefined: there is to be no further one, else the length or -errno. */
export function doNextWork(pipe: Fd, results: Fd): number | undefined {
	const length = read(pipe, BUFFER, TASK.sizeof);
	if (length < 0) return length;
	if (length !== TASK.sizeof) return undefined;
	const id = view.getUint32(BUFFER + TASK.id, true);
	const work = readWork();
	if (work.kind === "end") return undefined;
	sendResult(results, id, doWork(work));
	return length;
}

/** Does work on the calling thread; returns its result or -errno. */
export function doWork(work: Exclude<Work, { kind: "end" }>): Int64 {
	return work.kind === "call" ? performCall(work.call) : perform(work);
}

export function sendResult(results: Fd, id: number, result: Int64): void {
	view.setUint32(BUFFER + RESULT.id, id, true);
	setInt64(BUFFER + RESULT.result, result);
	check(write(results, BUFFER, RESULT.sizeof));
}

/** Reads the next result, and tells it to `take`; the length or -errno. */
export function takeResult(results: Fd, take: (id: number, result: Int64) => void): number {
	const length = read(results, BUFFER, RESULT.sizeof);
	if (length > 0) take(view.getUint32(BUFFER + RESULT.id, true), getInt64(BUFFER + RESULT.result));
	return length;
}
