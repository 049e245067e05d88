/**
 * Making a file of the upper layer whole whose data lies in a layer below (nodes/metacopies.ts): its data is copied into it,
 * made durable, and last of all the mark is removed. At every moment before that the data below counts, whatever the file
 * holds by then. It stays the same file, as it may have several names.
 * Source: Linux fs/overlayfs/copy_up.c, ovl_copy_up_meta_inode_data.
 */

import { DT_REG, ENODATA, EOPNOTSUPP, O_RDWR, S_ISGID, S_ISUID, statx } from "../../native/layout.ts";
import { queueOf } from "../../native/libc/distant.ts";
import { check, Errno } from "../../native/libc/errno.ts";
import { close, duplicate, type Fd, truncate } from "../../native/libc/file.ts";
import { changeModeOf, changeTimesOfOpen, statDescriptor } from "../../native/libc/metadata.ts";
import { repeatably } from "../../native/libc/replay.ts";
import { modeOf, sizeOf, timesOf } from "../../native/libc/stat.ts";
import { getAttributeOf, setAttributeOf } from "../../native/libc/xattr.ts";
import {
	allocate,
	copy,
	type Int64,
	type Offset,
	readBytes,
	release,
	reserve,
	smaller,
	store,
	writeString,
} from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import type { Task } from "../jobs/job.ts";
import { cloneContent, copyContent, LARGEST_INLINE_COPY } from "../layers/copy-content.ts";
import type { Durability } from "../layers/durability.ts";
import { removeMetacopy } from "../marks/metacopy.ts";
import { awaitRoom } from "../nodes/deferred.ts";
import { PLAIN } from "../nodes/flags.ts";
import type { NodeId } from "../nodes/node.ts";
import type { Overlay } from "../overlay.ts";
import { confirmName } from "../reading/live.ts";
import { MODIFIED_NOW } from "./copy-metadata.ts";
import { makingDurable, waitsHere } from "./durable.ts";

/** What limits nothing. */
export const ALL = Number.POSITIVE_INFINITY;
const CAPABILITY = store("security.capability" as ByteString);
const LONGEST_CAPABILITY = 64;
const VALUE = reserve(LONGEST_CAPABILITY + 1);
const STAT = reserve(statx.sizeof);
const MODE_BITS = 0o7777;

/** A file on its way to be whole. */
interface Completion {
	readonly overlay: Overlay;
	readonly node: NodeId;
	/** Open on the file and on its data, for this alone. */
	readonly to: Fd;
	readonly from: Fd;
	/** Bytes that it is to have. */
	readonly length: Int64;
	/** It had more before. */
	readonly isCut: boolean;
	readonly durability: Durability;
	/** Its `struct statx` from before, and its file capability: writing changes both. */
	readonly before: Offset;
	readonly capability: ByteString | undefined;
}

/** Whether an object of the upper layer is a file whose data lies in a layer below; looked at where that is not known. */
export function hasDataBelow(overlay: Overlay, node: NodeId): boolean {
	const { nodes, metacopies } = overlay;
	if (metacopies.has(node)) return true;
	if (nodes.kind(node) !== DT_REG || nodes.flag(node, PLAIN)) return false;
	const { directory, name } = overlay.locate(node);
	metacopies.look(node, directory, name);
	return metacopies.has(node);
}

/**
 * Copies a file's data, or the first `limit` bytes of it, from the layer below. Throws Deferred where that goes on in the
 * background, and what copying may.
 */
export function complete(overlay: Overlay, node: NodeId, limit: Int64): void {
	overlay.settle(node);
	overlay.throwFailure(node);
	awaitRoom(overlay.jobs);
	confirmName(overlay, node);
	const completion = begin(overlay, node, overlay.writable().durability, limit);
	// Whoever has it copied may be run again: then it is there.
	repeatably(() => carryOut(completion));
}

function carryOut(completion: Completion): void {
	const { overlay, node, to, from, length, isCut, durability } = completion;
	const queue = queueOf(from);
	const isInline = orEnd(completion, () => {
		const isAll = !isCut && length > 0 && !overlay.metacopies.isCut(node);
		const cloned = isAll && cloneContent(overlay.dataLayer(node), from, to);
		if (!cloned && (length > LARGEST_INLINE_COPY || (queue !== undefined && length > 0))) return false;
		if (!cloned) check(copyContent(from, to, length));
		settle(completion);
		return true;
	});
	if (!isInline) {
		finishLater(completion, { kind: "copy", from, to, length, queue }, false);
	} else if (waitsHere(overlay, durability)) {
		const { diskPace, jobs } = overlay;
		orEnd(completion, () => {
			check(diskPace.makeDurable(to, durability, () => jobs.hasOthers));
			finish(completion);
		});
	} else {
		finishLater(completion, makingDurable(to, durability), true);
	}
}

function begin(overlay: Overlay, node: NodeId, needed: Durability, limit: Int64): Completion {
	const { files, nodes, metacopies, options } = overlay;
	const to = files.openOwn(node, O_RDWR);
	let from: Fd | undefined;
	try {
		from = check(duplicate(metacopies.readable(node)));
		check(statDescriptor(to, STAT));
		const capability = readCapability(to);
		const size = sizeOf(STAT);
		const length = smaller(size, limit);
		const durability = options.fsync && nodes.isNamed(node) ? needed : "none";
		const before = allocate(statx.sizeof);
		copy(before, STAT, statx.sizeof);
		return { overlay, node, to, from, length, isCut: length < size, durability, before, capability };
	} catch (error) {
		close(to);
		if (from !== undefined) close(from);
		throw error;
	}
}

function readCapability(file: Fd): ByteString | undefined {
	const length = getAttributeOf(file, CAPABILITY, VALUE, LONGEST_CAPABILITY);
	return length === -ENODATA || length === -EOPNOTSUPP ? undefined : readBytes(VALUE, check(length));
}

/** Goes on when `task` is done. `isSettled`: the file is as it is to be but for its mark. */
function finishLater(completion: Completion, task: Task, isSettled: boolean): void {
	const { overlay, node, to, durability } = completion;
	let settled = isSettled;
	const done = (result: number) => {
		// Who was killed has not cut the file.
		if (completion.isCut && !overlay.isAwaited(node)) {
			giveUp(completion);
			return undefined;
		}
		try {
			return orEnd(completion, () => {
				check(result);
				if (!settled) {
					settled = true;
					settle(completion);
					if (durability !== "none") return makingDurable(to, durability);
				}
				finish(completion);
				return undefined;
			});
		} catch (error) {
			if (!(error instanceof Errno)) throw error;
			overlay.failures.set(node, error.code);
			return undefined;
		}
	};
	overlay.runJob(node, task, done);
	overlay.throwFailure(node);
}

/** A step: where it fails the file is as it was to users, its data below. */
function orEnd<Result>(completion: Completion, step: () => Result): Result {
	try {
		return step();
	} catch (error) {
		giveUp(completion);
		throw error;
	}
}

function giveUp(completion: Completion): void {
	undo(completion);
	close(completion.to);
	end(completion);
}

function undo(completion: Completion): void {
	const { overlay, node, to, isCut, before } = completion;
	try {
		if (isCut) check(truncate(to, sizeOf(before)));
		restore(completion, timesOf(before));
	} catch (error) {
		if (!(error instanceof Errno)) throw error;
		// What is known of it may be true no more: it is looked at again.
		overlay.metacopies.forget(node);
	}
}

function end({ from, before }: Completion): void {
	close(from);
	release(before, statx.sizeof);
}

/** Has the file as it is to be but for its mark. */
function settle(completion: Completion): void {
	const { to, length, isCut, before } = completion;
	if (isCut) check(truncate(to, length));
	restore(completion, isCut ? MODIFIED_NOW : timesOf(before));
}

/** Makes good what writing to the file has changed. */
function restore({ to, before, capability }: Completion, times: Offset): void {
	if (capability !== undefined) {
		writeString(VALUE, capability);
		check(setAttributeOf(to, CAPABILITY, VALUE, capability.length, 0));
	}
	const mode = modeOf(before);
	if ((mode & (S_ISUID | S_ISGID)) !== 0) check(changeModeOf(to, mode & MODE_BITS));
	check(changeTimesOfOpen(to, times));
}

/** The file has its data: what is open on it serves from now on. */
function finish(completion: Completion): void {
	const { overlay, node, to } = completion;
	check(removeMetacopy(to, overlay.metacopies.namespaceOf(node)!));
	overlay.metacopies.forget(node);
	overlay.files.replace(node, to);
	end(completion);
}
