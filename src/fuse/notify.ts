/** Messages to the kernel that nobody asked for. They are written by a job: the kernel may first have requests of its own. */

import {
	ENOENT,
	ENOMEM,
	FUSE_NOTIFY_INVAL_INODE,
	FUSE_NOTIFY_PRUNE,
	FUSE_NOTIFY_RESEND,
	FUSE_NOTIFY_STORE,
	fuseNotifyInvalInodeOut,
	fuseNotifyPruneOut,
	fuseNotifyStoreOut,
	fuseOutHeader,
} from "../native/layout.ts";
import { fail } from "../native/libc/errno.ts";
import { type Fd, NO_FD, pread, write } from "../native/libc/file.ts";
import {
	allocate,
	base,
	bytes,
	type Int64,
	type Offset,
	release,
	reserve,
	reserveScratch,
	setInt64,
	setNumber,
	view,
	words,
} from "../native/memory.ts";
import type { Jobs, Task } from "../overlay/jobs/job.ts";

const MESSAGE_SIZE = fuseOutHeader.sizeof + fuseNotifyInvalInodeOut.sizeof;
const ATTRIBUTES = reserve(MESSAGE_SIZE);
/** As much as the kernel reads ahead in its first READ. */
export const LARGEST_STORE = 128 << 10;
const STORE_HEADER = fuseOutHeader.sizeof + fuseNotifyStoreOut.sizeof;
const STORED = reserveScratch(STORE_HEADER + LARGEST_STORE);
const PRUNE_HEADER = fuseOutHeader.sizeof + fuseNotifyPruneOut.sizeof;
const ID_SIZE = 8;
/** Nodes that the kernel is told of at once not to be in use. */
export const LARGEST_PRUNE = 4096;
const PRUNED = reserve(PRUNE_HEADER + LARGEST_PRUNE * ID_SIZE);

export class Notifications {
	/** The connection to the kernel; set once mounted. */
	fd: Fd = NO_FD;
	private readonly jobs: Jobs;
	/** Messages that jobs are writing. */
	private underWay = 0;
	private whenTaken: (() => void) | undefined;

	constructor(jobs: Jobs) {
		this.jobs = jobs;
	}

	/** Whether there are messages that the kernel has not taken yet, and may need answers for. */
	get areUnderWay(): boolean {
		return this.underWay > 0;
	}

	/**
	 * Calls `action` as soon as there are none: now, or later. No further job begins: who waits for one is told that the mount
	 * has ended.
	 */
	end(action: () => void): void {
		this.whenTaken = action;
		if (this.underWay === 0) action();
	}

	private send(task: Task, done: (result: number) => void): void {
		this.underWay++;
		this.jobs.run(task, (result) => {
			this.underWay--;
			try {
				done(result);
			} finally {
				if (this.underWay === 0) this.whenTaken?.();
			}
		});
	}

	/**
	 * Has the kernel write out and drop what it caches of a file or directory from `offset` on, then calls `done`, with
	 * -ENOMEM where it could not be told.
	 */
	flushPages(id: number, offset: Int64, done: (result: number) => void): void {
		if (this.whenTaken !== undefined) return;
		const message = allocate(MESSAGE_SIZE);
		writeInvalidation(message, id);
		setInt64(message + fuseOutHeader.sizeof + fuseNotifyInvalInodeOut.off, offset);
		const task = { kind: "send", fd: this.fd, address: base + message, length: MESSAGE_SIZE } as const;
		this.send(task, (result) => {
			release(message, MESSAGE_SIZE);
			// A kernel that has dropped the node already has nothing to write.
			done(result === -ENOMEM ? result : 0);
		});
	}

	/**
	 * Gives the kernel the first `size` bytes of a file, up to {@link LARGEST_STORE}, which then need not be asked for.
	 * Nobody may have the file open: the kernel would wait for the end of a READ that waits for us.
	 */
	storeContent(id: number, fd: Fd, size: number): void {
		if (pread(fd, STORED + STORE_HEADER, size, 0) !== size) return;
		writeStore(STORED, id, size);
		// Where it is refused, for want of memory, the kernel asks by READ.
		write(this.fd, STORED, STORE_HEADER + size);
	}

	/** Has the kernel send once more what a predecessor has read and not answered. Returns 0 or -errno. */
	resend(): number {
		bytes.fill(0, ATTRIBUTES, ATTRIBUTES + fuseOutHeader.sizeof);
		words[(ATTRIBUTES + fuseOutHeader.len) >>> 2] = fuseOutHeader.sizeof;
		words[(ATTRIBUTES + fuseOutHeader.error) >>> 2] = FUSE_NOTIFY_RESEND;
		return write(this.fd, ATTRIBUTES, fuseOutHeader.sizeof);
	}

	/**
	 * Has the kernel look at up to {@link LARGEST_PRUNE} nodes, and forget those that nobody uses, then calls `done` with
	 * -errno or more. One at a time. By another thread: to drop what it has read ahead of a file, the kernel waits for our
	 * answer.
	 */
	prune(ids: readonly number[], done: (result: number) => void): void {
		if (this.whenTaken !== undefined) return;
		const length = PRUNE_HEADER + ids.length * ID_SIZE;
		bytes.fill(0, PRUNED, PRUNED + PRUNE_HEADER);
		words[(PRUNED + fuseOutHeader.len) >>> 2] = length;
		words[(PRUNED + fuseOutHeader.error) >>> 2] = FUSE_NOTIFY_PRUNE;
		words[(PRUNED + fuseOutHeader.sizeof + fuseNotifyPruneOut.count) >>> 2] = ids.length;
		ids.forEach((id, index) => void setNumber(PRUNED + PRUNE_HEADER + index * ID_SIZE, id));
		this.send({ kind: "send", fd: this.fd, address: base + PRUNED, length, isIdle: true }, done);
	}

	/** Has the kernel ask for a node's attributes anew. That needs no answer of ours, so it is sent at once. */
	invalidateAttributes(id: number): void {
		writeInvalidation(ATTRIBUTES, id);
		view.setBigInt64(ATTRIBUTES + fuseOutHeader.sizeof + fuseNotifyInvalInodeOut.off, -1n, true);
		const result = write(this.fd, ATTRIBUTES, MESSAGE_SIZE);
		if (result < 0 && result !== -ENOENT) fail(-result);
	}
}

/** The header of a FUSE_NOTIFY_STORE of a file's first `size` bytes, which follow it. */
function writeStore(message: Offset, id: number, size: number): void {
	const out = message + fuseOutHeader.sizeof;
	bytes.fill(0, message, message + STORE_HEADER);
	words[(message + fuseOutHeader.len) >>> 2] = STORE_HEADER + size;
	words[(message + fuseOutHeader.error) >>> 2] = FUSE_NOTIFY_STORE;
	setNumber(out + fuseNotifyStoreOut.nodeid, id);
	words[(out + fuseNotifyStoreOut.size) >>> 2] = size;
}

/** A FUSE_NOTIFY_INVAL_INODE for all of what the kernel calls by `id`. */
function writeInvalidation(message: Offset, id: number): void {
	bytes.fill(0, message, message + MESSAGE_SIZE);
	words[(message + fuseOutHeader.len) >>> 2] = MESSAGE_SIZE;
	words[(message + fuseOutHeader.error) >>> 2] = FUSE_NOTIFY_INVAL_INODE;
	setNumber(message + fuseOutHeader.sizeof + fuseNotifyInvalInodeOut.ino, id);
}
