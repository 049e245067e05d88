/**
 * Work that takes long: copying content, waiting for the disk. What starts it goes on when it is done; meanwhile
 * the thread that answers requests is free.
 */
import type { Fd } from "../../native/libc/file.ts";
import { dataSync, sync, writeFrom } from "../../native/libc/file.ts";
import type { Int64 } from "../../native/memory.ts";
import { copyContent } from "../layers/copy-content.ts";
import { makeDurable } from "../layers/durability.ts";

export type Task =
	| {
			readonly kind: "copy";
			readonly from: Fd;
			readonly to: Fd;
			readonly length: Int64;
			/** Where `from` is distant, whom it may have to wait for: see native/libc/distant.ts. */
			readonly queue?: number | undefined;
	  }
	/** "writeBack": as durability.ts has it for "written". */
	| { readonly kind: "sync" | "dataSync" | "writeBack"; readonly fd: Fd }
	| {
			/** Writes `length` bytes at an address of this process; they must stay there until it is done. */
			readonly kind: "send";
			readonly fd: Fd;
			readonly address: number;
			readonly length: number;
			/** Nobody waits for it: the kernel's threads do it, if they can, and not Workers. */
			readonly isIdle?: boolean;
	  };

export interface Jobs {
	/** Starts a task; `done` gets 0 or -errno, from the same thread, maybe before this returns. */
	run(task: Task, done: (result: number) => void): void;
	/** Whether requests wait to be served, or tasks are under way. */
	readonly hasOthers: boolean;
	/** Whether there may be a further task that has files open. */
	readonly hasRoom: boolean;
	/** Whether syncs that are run as tasks share the disk's work with others. */
	readonly shareSyncs: boolean;
	/** Calls `step` between other work on the same thread, maybe first before this returns, until it returns true. */
	inSteps(step: () => boolean): void;
}

/** Does a task on the calling thread; returns 0 or -errno. */
export function perform(task: Task): number {
	switch (task.kind) {
		case "copy":
			return copyContent(task.from, task.to, task.length);
		case "writeBack":
			return makeDurable(task.fd, "written");
		case "sync":
			return sync(task.fd);
		case "dataSync":
			return dataSync(task.fd);
		case "send":
			return Math.min(writeFrom(task.fd, task.address, task.length), 0);
	}
}

/** Jobs that are done at once: for callers that have nothing else to do meanwhile. */
export const inlineJobs: Jobs = {
	run: (task, done) => done(perform(task)),
	hasOthers: false,
	hasRoom: true,
	shareSyncs: false,
	inSteps(step) {
		while (!step());
	},
};
