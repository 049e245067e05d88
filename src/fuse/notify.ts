/** Messages to the kernel that nobody asked for. They are written by a job: the kernel may first have requests of its own. */

import { ENOENT, FUSE_NOTIFY_INVAL_INODE, fuseNotifyInvalInodeOut, fuseOutHeader } from "../native/layout.ts";
import { fail } from "../native/libc/errno.ts";
import { type Fd, NO_FD, write } from "../native/libc/file.ts";
import { allocate, base, bytes, type Offset, release, reserve, setNumber, view } from "../native/memory.ts";
import type { Jobs } from "../overlay/job.ts";

const MESSAGE_SIZE = fuseOutHeader.sizeof + fuseNotifyInvalInodeOut.sizeof;
const ATTRIBUTES = reserve(MESSAGE_SIZE);

export class Notifications {
	/** The connection to the kernel; set once mounted. */
	fd: Fd = NO_FD;
	private readonly jobs: Jobs;

	constructor(jobs: Jobs) {
		this.jobs = jobs;
	}

	/** Has the kernel write out and drop what it caches of a file or directory from `offset` on, then calls `done`. */
	flushPages(id: number, offset: number, done: () => void): void {
		const message = allocate(MESSAGE_SIZE);
		writeInvalidation(message, id);
		setNumber(message + fuseOutHeader.sizeof + fuseNotifyInvalInodeOut.off, offset);
		const task = { kind: "send", fd: this.fd, address: base + message, length: MESSAGE_SIZE } as const;
		this.jobs.run(task, () => {
			release(message, MESSAGE_SIZE);
			// A kernel that has dropped the node already has nothing to write.
			done();
		});
	}

	/** Has the kernel ask for a node's attributes anew. That needs no answer of ours, so it is sent at once. */
	invalidateAttributes(id: number): void {
		writeInvalidation(ATTRIBUTES, id);
		view.setBigInt64(ATTRIBUTES + fuseOutHeader.sizeof + fuseNotifyInvalInodeOut.off, -1n, true);
		const result = write(this.fd, ATTRIBUTES, MESSAGE_SIZE);
		if (result < 0 && result !== -ENOENT) fail(-result);
	}
}

/** A FUSE_NOTIFY_INVAL_INODE for all of what the kernel calls by `id`. */
function writeInvalidation(message: Offset, id: number): void {
	bytes.fill(0, message, message + MESSAGE_SIZE);
	view.setUint32(message + fuseOutHeader.len, MESSAGE_SIZE, true);
	view.setInt32(message + fuseOutHeader.error, FUSE_NOTIFY_INVAL_INODE, true);
	setNumber(message + fuseOutHeader.sizeof + fuseNotifyInvalInodeOut.ino, id);
}
