/** Messages to the kernel that nobody asked for. They are written by a job: the kernel may first have requests of its own. */

import { FUSE_NOTIFY_INVAL_INODE, fuseNotifyInvalInodeOut, fuseOutHeader } from "../native/layout.ts";
import { type Fd, NO_FD } from "../native/libc/file.ts";
import { allocate, base, bytes, release, setNumber, view } from "../native/memory.ts";
import type { Jobs } from "../overlay/job.ts";
import type { NodeId } from "../overlay/node.ts";

const MESSAGE_SIZE = fuseOutHeader.sizeof + fuseNotifyInvalInodeOut.sizeof;

export class Notifications {
	/** The connection to the kernel; set once mounted. */
	fd: Fd = NO_FD;
	private readonly jobs: Jobs;

	constructor(jobs: Jobs) {
		this.jobs = jobs;
	}

	/** Has the kernel write out and drop what it caches of a file from `offset` on, then calls `done`. */
	flushPages(node: NodeId, offset: number, done: () => void): void {
		const message = allocate(MESSAGE_SIZE);
		bytes.fill(0, message, message + MESSAGE_SIZE);
		view.setUint32(message + fuseOutHeader.len, MESSAGE_SIZE, true);
		view.setInt32(message + fuseOutHeader.error, FUSE_NOTIFY_INVAL_INODE, true);
		const body = message + fuseOutHeader.sizeof;
		setNumber(body + fuseNotifyInvalInodeOut.ino, node);
		setNumber(body + fuseNotifyInvalInodeOut.off, offset);
		const task = { kind: "send", fd: this.fd, address: base + message, length: MESSAGE_SIZE } as const;
		this.jobs.run(task, () => {
			release(message, MESSAGE_SIZE);
			// A kernel that has dropped the node already has nothing to write.
			done();
		});
	}
}
