/**
 * Opening and closing. Without passthrough the kernel is told, once, that it need not ask: files are known by their
 * node, and their pages stay cached from one opening to the next. With it every opening is heard of, and tells the
 * kernel which real file stands behind the node. So it is where others may change the layers, and then nothing stays
 * cached.
 */

import {
	DT_DIR,
	DT_REG,
	ENOSYS,
	ENOTDIR,
	FOPEN_KEEP_CACHE,
	FUSE_OPEN_KILL_SUIDGID,
	fuseCreateIn,
	fuseOpenIn,
	fuseReleaseIn,
	O_ACCMODE,
	O_RDONLY,
	O_RDWR,
	O_TRUNC,
	S_IFMT,
	S_IFREG,
} from "../native/layout.ts";
import { check, fail } from "../native/libc/errno.ts";
import { truncate } from "../native/libc/file.ts";
import { EMPTY_NAME } from "../native/memory.ts";
import { killPrivileges } from "../overlay/changes/attributes.ts";
import { copyUpToWrite, copyUpTruncated } from "../overlay/changes/copy-up.ts";
import { create, createNameless } from "../overlay/changes/create.ts";
import type { NodeId } from "../overlay/nodes/node.ts";
import type { Context } from "./context.ts";
import { blueprintOf, callerWith } from "./creation.ts";
import { argument32, CALLER, kernelId, nameAt, requestId, requestNode } from "./request.ts";

export function openOperations({ overlay, replies, passthrough, notifications }: Context) {
	return {
		create() {
			const parent = requestNode(overlay);
			const mode = (argument32(fuseCreateIn.mode) & ~S_IFMT) | S_IFREG;
			const who = callerWith(argument32(fuseCreateIn.umask));
			const name = nameAt(fuseCreateIn.sizeof);
			const access = passthrough.takesNew ? O_RDONLY : O_RDWR;
			answerCreated(create(overlay, parent, name, who, blueprintOf(mode, 0, EMPTY_NAME, access)));
		},

		tmpfile() {
			const parent = requestNode(overlay);
			const who = callerWith(argument32(fuseCreateIn.umask));
			answerCreated(createNameless(overlay, parent, who, argument32(fuseCreateIn.mode)));
		},

		open() {
			if (!passthrough.hearsOpenings) fail(ENOSYS);
			const node = requestNode(overlay);
			const flags = argument32(fuseOpenIn.flags);
			const writing = mayWrite(flags);
			if (overlay.nodes.kind(node) === DT_REG && (writing || (flags & O_TRUNC) !== 0)) prepare(node, flags);
			const id = requestId();
			passthrough.open(node, id, writing);
			// What is written through a mapping is noted in the real file only, and the kernel must ask for it.
			if (writing) notifications.invalidateAttributes(id);
			if (!replies.opened(passthrough.flags, passthrough.backing)) passthrough.release(node, id, writing);
		},

		opendir() {
			if (overlay.nodes.kind(requestNode(overlay)) !== DT_DIR) fail(ENOTDIR);
			// What the kernel then keeps of listings is checked by nothing.
			if (!overlay.options.live) fail(ENOSYS);
			replies.opened(0, 0);
		},

		flush() {
			fail(ENOSYS);
		},

		release() {
			const node = requestNode(overlay);
			if (!passthrough.isReleased)
				passthrough.release(node, requestId(), mayWrite(argument32(fuseReleaseIn.flags)));
			replies.success();
		},

		releasedir() {
			replies.success();
		},
	};

	/** Brings a file up that will be written to, as kernel overlayfs does when it is opened. */
	function prepare(node: NodeId, flags: number): void {
		if ((flags & O_TRUNC) === 0) {
			copyUpToWrite(overlay, node);
			return;
		}
		const kills = (argument32(fuseOpenIn.openFlags) & FUSE_OPEN_KILL_SUIDGID) !== 0;
		copyUpTruncated(overlay, node, 0);
		check(truncate(overlay.files.writable(node), 0));
		if (kills) killPrivileges(overlay, node, CALLER);
	}

	function answerCreated(node: NodeId): void {
		if (!passthrough.hearsOpenings) {
			replies.created(node, FOPEN_KEEP_CACHE, 0);
			return;
		}
		const writing = mayWrite(argument32(fuseCreateIn.flags));
		const id = kernelId(overlay, node);
		passthrough.create(node, id, writing);
		if (!replies.created(node, passthrough.flags, passthrough.backing))
			passthrough.release(node, id, writing);
	}
}

function mayWrite(flags: number): boolean {
	return (flags & O_ACCMODE) !== O_RDONLY;
}
