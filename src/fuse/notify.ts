/** Messages to the kernel that nobody asked for. They are written by a job: the kernel may first have requests of its own. */

import {
	ENOENT,
	FUSE_NOTIFY_INVAL_INODE,
	FUSE_NOTIFY_STORE,
	fuseNotifyInvalInodeOut,
	fuseNotifyStoreOut,
	fuseOutHeader,
} from "../native/layout.ts";
import { fail } from "../native/libc/errno.ts";
import { type Fd, NO_FD, pread, write } from "../native/libc/file.ts";
import { allocate, base, bytes, type Offset, release, reserve, setNumber, view } from "../native/memory.ts";
import type { Jobs } from "../overlay/job.ts";

const MESSAGE_SIZE = fuseOutHeader.sizeof + fuseNotifyInvalInodeOut.sizeof;
const ATTRIBUTES = reserve(MESSAGE_SIZE);
/** As much as the kernel reads ahead in its first READ. */
export const LARGEST_STORE = 128 << 10;
const STORE_HEADER = fuseOutHeader.sizeof + fuseNotifyStoreOut.sizeof;
const STORED = reserve(STORE_HEADER + LARGEST_STORE);

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

	/**
	 * Gives the kernel the first `size` bytes of a file, up to {@link LARGEST_STORE}, which then need not be asked for.
	 * Nobody may have the file open: the kernel would wait for the end of a READ that waits for us.
	 */
	storeContent(id: number, fd: Fd, size: number): void {
		if (pread(fd, STORED + STORE_HEADER, size, 0) !== size) return;
		const length = STORE_HEADER + size;
		const out = STORED + fuseOutHeader.sizeof;
		bytes.fill(0, STORED, STORED + STORE_HEADER);
		view.setUint32(STORED + fuseOutHeader.len, length, true);
		view.setInt32(STORED + fuseOutHeader.error, FUSE_NOTIFY_STORE, true);
		setNumber(out + fuseNotifyStoreOut.nodeid, id);
		view.setUint32(out + fuseNotifyStoreOut.size, size, true);
		// Where it is refused, for want of memory, the kernel asks by READ.
		write(this.fd, STORED, length);
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
