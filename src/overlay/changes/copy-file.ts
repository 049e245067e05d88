/**
 * Copy-up of regular files: a copy of a file's content, or, with `metacopy=on`, one that leaves its data where it is
 * (marks/metacopy.ts), in the workdir; then what describes it, durable, and its name.
 * Source: Linux fs/overlayfs/copy_up.c, ovl_copy_up_workdir.
 */

import { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR, statx } from "../../native/layout.ts";
import { removeName } from "../../native/libc/directory.ts";
import { queueOf } from "../../native/libc/distant.ts";
import { check, Errno, isForLackOfSpace } from "../../native/libc/errno.ts";
import { close, duplicate, type Fd, NO_FD, openAt, truncate } from "../../native/libc/file.ts";
import { changeTimesOfOpen, statDescriptor } from "../../native/libc/metadata.ts";
import { remembering } from "../../native/libc/replay.ts";
import { linkCount, sizeOf } from "../../native/libc/stat.ts";
import { getNumber, type Int64, lengthOf, readString, release, smaller, store } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import type { Task } from "../jobs/job.ts";
import { cloneContent, copyContent, LARGEST_INLINE_COPY } from "../layers/copy-content.ts";
import type { Durability } from "../layers/durability.ts";
import { checkMade, type Workdir } from "../layers/workdir.ts";
import { writeMetacopy } from "../marks/metacopy.ts";
import { measureVerity, NO_DIGEST } from "../marks/verity.ts";
import { awaitRoom } from "../nodes/deferred.ts";
import type { Left } from "../nodes/metacopies.ts";
import type { NodeId } from "../nodes/node.ts";
import type { Overlay } from "../overlay.ts";
import { copyMetadata, foresee, lookAt, MODIFIED_NOW, type Original, SOURCE } from "./copy-metadata.ts";
import { makingDurable, waitsHere } from "./durable.ts";
import { type Copy, linkOwnName, moveToPlace, neededFor } from "./move-in.ts";
import { outlastsDescriptors } from "./nameless.ts";

interface FileCopy extends Copy {
	/** Open on it. */
	readonly to: Fd;
	/** Not all of the original's content is in it. */
	readonly isCut: boolean;
	/** What it has left behind, if it is without data; undefined: it has its own. */
	readonly left: Left | undefined;
	readonly durability: Durability;
}

/** Copies a file with its data, `limit` bytes of it at most. */
export function raiseFile(overlay: Overlay, work: Workdir, node: NodeId, limit: Int64): void {
	const { files, metacopies } = overlay;
	awaitRoom(overlay.jobs);
	const from = files.readable(node);
	if (metacopies.has(node)) lookAt(overlay, node);
	else check(statDescriptor(from, SOURCE));
	const size = sizeOf(SOURCE);
	const length = smaller(size, limit);
	foresee(overlay, node);
	const temporary = work.temporaryName();
	const to = checkMade(openAt(work.fd, temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600));
	const durability = neededFor(overlay, node);
	const copy = { overlay, work, node, temporary, to, isCut: length < size, left: undefined, durability };
	const isAll = length === size && length > 0 && !metacopies.isCut(node);
	const cloned = isAll && cloneContent(overlay.dataLayer(node), from, to);
	const queue = queueOf(from);
	if (!cloned && (length > LARGEST_INLINE_COPY || (queue !== undefined && length > 0))) {
		const source = orDiscard(copy, () => check(duplicate(from)));
		finishLater(copy, { kind: "copy", from: source, to, length, queue }, undefined, source);
		return;
	}
	const original = orDiscard(copy, () => {
		if (!cloned) check(copyContent(from, to, length));
		return describeFile(copy);
	});
	finish(copy, original);
}

/**
 * Makes a copy of a file that is without its data, if it has any. False: nothing was done, as that is not wanted, or there is
 * no room for the mark.
 */
export function raiseWithoutData(overlay: Overlay, work: Workdir, node: NodeId): boolean {
	const { nodes, directories, metacopies } = overlay;
	if (!overlay.leavesData || !nodes.isNamed(node) || metacopies.isCut(node)) return false;
	awaitRoom(overlay.jobs);
	const { directory, name } = overlay.locate(node);
	if (!metacopies.has(node)) metacopies.look(node, directory, name);
	const digest = digestToName(overlay, node);
	if (digest === undefined) return false;
	const original = lookAt(overlay, node);
	const size = sizeOf(SOURCE);
	if (size === 0) return false;
	foresee(overlay, node);
	// Marks of files are looked for where that is set.
	if (directories.markImpure(directories.get(nodes.parent(node)), work) < 0) return false;
	const left: Left = {
		namespace: work.trustedAttributes ? "trusted" : "user",
		isLinkedBelow: linkCount(SOURCE) > 1,
		size,
		blocks: getNumber(SOURCE + statx.stxBlocks),
		digest,
	};
	const temporary = work.temporaryName();
	const to = checkMade(openAt(work.fd, temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600));
	// There is no data to wait for, and all else is in the journal before the name is.
	const needed = neededFor(overlay, node);
	const durability = needed === "synced" || needed === "whole" ? needed : "none";
	const copy: FileCopy = { overlay, work, node, temporary, to, isCut: false, left, durability };
	try {
		orDiscard(copy, () => {
			check(truncate(to, size));
			copyMetadata(overlay, node, original, work.fd, temporary);
			// After the origin, as by the kernel: what there is no room for in an ext4 inode is alike, and takes one block for many.
			check(writeMetacopy(to, left.namespace, digest));
		});
	} catch (error) {
		if (error instanceof Errno && isForLackOfSpace(-error.code)) return false;
		throw error;
	}
	finish(copy, original);
	return true;
}

/**
 * The fs-verity digest that a copy without data is to name, so that `verity` holds of it as well; empty: none. Undefined: it must
 * name one, and its data has none. Throws what opening that may. Source: Linux fs/overlayfs/util.c, ovl_get_verity_digest.
 */
function digestToName({ metacopies, files, options }: Overlay, node: NodeId): ByteString | undefined {
	const known = metacopies.digestOf(node);
	if (options.verity === "off" || known !== NO_DIGEST) return known;
	return measureVerity(files.readable(node)) ?? (options.verity === "require" ? undefined : NO_DIGEST);
}

/** Goes on with a copy that has all that it is to have: once it is durable, it gets its name. */
function finish(copy: FileCopy, original: Original): void {
	const { overlay, to, durability } = copy;
	if (waitsHere(overlay, durability)) {
		orDiscard(copy, () => check(overlay.diskPace.makeDurable(to, durability, () => overlay.jobs.hasOthers)));
		nameFile(copy, original);
	} else {
		finishLater(copy, makingDurable(to, durability), original);
	}
}

/**
 * Goes on with a copy when `task` is done: with its attributes, unless they are there and `original` is what they are of;
 * then, once it is durable, with its name.
 * @param source closed at the end
 */
function finishLater(copy: FileCopy, task: Task, original: Original | undefined, source = NO_FD): void {
	const { overlay, node } = copy;
	// What is scratch here may change meanwhile.
	const kept = { ...copy, temporary: store(readString(copy.temporary)) };
	let described = original;
	const remember = remembering();
	const goOn = (result: number): Task | undefined => {
		// Who was killed has not cut the file.
		if (copy.isCut && !overlay.isAwaited(node)) {
			discard(kept);
			return undefined;
		}
		orDiscard(kept, () => check(result));
		if (described === undefined) {
			described = remember(() => orDiscard(kept, () => describeFile(kept)));
			if (kept.durability !== "none") return makingDurable(kept.to, kept.durability);
		}
		nameFile(kept, described);
		return undefined;
	};
	const done = (result: number) => {
		let next: Task | undefined;
		try {
			next = goOn(result);
		} catch (error) {
			if (!(error instanceof Errno)) throw error;
			overlay.failures.set(node, error.code);
		} finally {
			if (next === undefined) {
				if (source !== NO_FD) close(source);
				release(kept.temporary, lengthOf(kept.temporary) + 1);
			}
		}
		return next;
	};
	overlay.runJob(node, task, done);
	overlay.throwFailure(node);
}

/** A step of a copy: where it fails, nothing of the copy is left. */
function orDiscard<Result>(copy: FileCopy, step: () => Result): Result {
	try {
		return step();
	} catch (error) {
		discard(copy);
		throw error;
	}
}

function discard({ to, work, temporary }: FileCopy): void {
	close(to);
	removeName(work.fd, temporary, 0);
}

/** Gives a copy, whose content is there, all that describes it. */
function describeFile(copy: FileCopy): Original {
	const original = lookAt(copy.overlay, copy.node);
	copyMetadata(copy.overlay, copy.node, original, copy.work.fd, copy.temporary);
	// What is cut off by not being copied is a change of content all the same.
	if (copy.isCut) check(changeTimesOfOpen(copy.to, MODIFIED_NOW));
	return original;
}

/** Gives a finished copy its name; takes over its descriptor. */
function nameFile(copy: FileCopy, original: Original): void {
	const { overlay, node, to, left } = copy;
	const { nodes, files, metacopies } = overlay;
	orDiscard(copy, () => moveToPlace(copy, original));
	if (left !== undefined) metacopies.leave(node, left);
	else metacopies.forget(node);
	nodes.setLayer(node, 0);
	if (left !== undefined) {
		// What is read is opened where it is.
		files.drop(node);
		close(to);
		linkOwnName(overlay, node);
		return;
	}
	files.replace(node, to);
	// As for what was in the upper layer when it lost its name.
	const mustBeNamed = overlay.layers[0]!.losesRemoved || outlastsDescriptors(overlay, node);
	if (!nodes.isNamed(node) && !mustBeNamed && files.hold(node, false)) overlay.parked.remove(node);
	linkOwnName(overlay, node);
}
