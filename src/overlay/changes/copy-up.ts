/**
 * Copy-up: a lower object gets a copy in the upper layer, which stands for it from then on. The copy is made in the
 * workdir - content, owner, attributes, mode, times, in this order - made durable with all of them, and moved into place by one
 * rename, so that the upper layer never shows a part of a file, not even after a power loss. With `metacopy=on` a file of which
 * the content is not to change leaves it where it is (marks/metacopy.ts).
 * Source: Linux fs/overlayfs/copy_up.c.
 */

import {
	AT_REMOVEDIR,
	DT_DIR,
	DT_LNK,
	DT_REG,
	ENOENT,
	EPERM,
	O_DIRECTORY,
	O_NOFOLLOW,
	O_RDONLY,
	PATH_MAX,
	S_IFMT,
	S_IFREG,
} from "../../native/layout.ts";
import { makeDirectory, makeNode, makeSymlink, readLink, removeName } from "../../native/libc/directory.ts";
import { check, Errno, fail } from "../../native/libc/errno.ts";
import { close, type Fd, NO_FD, openAt } from "../../native/libc/file.ts";
import { repeatably } from "../../native/libc/replay.ts";
import { deviceOf, modeOf } from "../../native/libc/stat.ts";
import { bytes, type Int64, lengthOf, readString, release, reserve, store } from "../../native/memory.ts";
import type { Task } from "../jobs/job.ts";
import { checkMade, type Workdir } from "../layers/workdir.ts";
import { isWhiteoutDevice } from "../marks/whiteout.ts";
import { awaitRoom } from "../nodes/deferred.ts";
import { PURE } from "../nodes/flags.ts";
import { type NodeId, ROOT } from "../nodes/node.ts";
import type { Overlay } from "../overlay.ts";
import { confirmName } from "../reading/live.ts";
import { ALL, complete, hasDataBelow } from "./complete.ts";
import { raiseFile, raiseWithoutData } from "./copy-file.ts";
import { copyMetadata, foresee, lookAt, type Original, SOURCE } from "./copy-metadata.ts";
import { makingDurable, waitsHere } from "./durable.ts";
import { type Copy, linkOwnName, moveToPlace, neededFor } from "./move-in.ts";

const TARGET = reserve(PATH_MAX + 1);

/**
 * Makes sure a node is in the upper layer, and its parents before it. Throws EROFS without one, Deferred where the
 * copy goes on in the background, and what copying may. A file's data may be in another layer still.
 */
export function copyUp(overlay: Overlay, node: NodeId): void {
	if (!overlay.isUpper(node)) raise(overlay, node, undefined);
	else if (overlay.metacopies.has(node)) overlay.settle(node);
}

/** As {@link copyUp}, of a regular file that is about to be written to: with its data. */
export function copyUpToWrite(overlay: Overlay, node: NodeId): void {
	copyUpTruncated(overlay, node, ALL);
}

/** As {@link copyUpToWrite}, of a file about to be cut to `size` bytes: what lies behind is not copied. */
export function copyUpTruncated(overlay: Overlay, node: NodeId, size: Int64): void {
	if (!overlay.isUpper(node)) raise(overlay, node, size);
	else if (overlay.files.lacksData(node)) complete(overlay, node, size);
}

/** As {@link copyUp}, with a file's data, but where the file may be closed to writers. */
export function copyUpWhole(overlay: Overlay, node: NodeId): void {
	if (!overlay.isUpper(node)) raise(overlay, node, ALL);
	else if (hasDataBelow(overlay, node)) complete(overlay, node, ALL);
}

/** @param limit bytes of a file's data that are copied at most; undefined: it may stay where it is */
function raise(overlay: Overlay, node: NodeId, limit: Int64 | undefined): void {
	const work = overlay.writable();
	overlay.settle(node);
	overlay.throwFailure(node);
	confirmName(overlay, node);
	if (overlay.nodes.isNamed(node)) raiseParents(overlay, node);
	// Whoever has it copied may be run again: then it is there.
	repeatably(() => {
		const kind = overlay.nodes.kind(node);
		if (kind === DT_DIR) raiseDirectory(overlay, work, node);
		else if (kind !== DT_REG) raiseSpecial(overlay, work, node);
		else if (limit !== undefined || !repeatably(() => raiseWithoutData(overlay, work, node)))
			raiseFile(overlay, work, node, limit ?? ALL);
	});
}

/** By a loop, not by recursion: a path may be thousands of directories deep. */
function raiseParents(overlay: Overlay, node: NodeId): void {
	const { nodes } = overlay;
	const pending: NodeId[] = [];
	for (let parent = nodes.parent(node); !overlay.isUpper(parent); parent = nodes.parent(parent)) {
		if (!nodes.isNamed(parent)) fail(ENOENT);
		overlay.settle(parent);
		overlay.throwFailure(parent);
		pending.push(parent);
		if (parent === ROOT) break;
	}
	for (let parent = pending.pop(); parent !== undefined; parent = pending.pop()) {
		const directory = parent;
		repeatably(() => raiseDirectory(overlay, overlay.writable(), directory));
	}
}

function raiseDirectory(overlay: Overlay, work: Workdir, node: NodeId): void {
	awaitRoom(overlay.jobs);
	foresee(overlay, node);
	const original = lookAt(overlay, node);
	const temporary = work.temporaryName();
	checkMade(makeDirectory(work.fd, temporary, 0o700));
	const copy = { overlay, work, node, temporary };
	const fd = orRemove(copy, NO_FD, () =>
		check(openAt(work.fd, temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)),
	);
	orRemove(copy, fd, () => copyMetadata(overlay, node, original, work.fd, temporary));
	const durability = neededFor(overlay, node);
	if (durability !== "whole") {
		nameDirectory(copy, fd, original);
	} else if (waitsHere(overlay, durability)) {
		const hasOthers = () => overlay.jobs.hasOthers;
		orRemove(copy, fd, () => check(overlay.diskPace.makeDurable(fd, durability, hasOthers)));
		nameDirectory(copy, fd, original);
	} else {
		nameDirectoryLater(copy, fd, original, makingDurable(fd, durability));
	}
}

/** Gives the copy of a directory its name once `task` is done. */
function nameDirectoryLater(copy: Copy, fd: Fd, original: Original, task: Task): void {
	const { overlay, node } = copy;
	// What is scratch here may change meanwhile.
	const kept = { ...copy, temporary: store(readString(copy.temporary)) };
	overlay.runJob(node, task, (result) => {
		try {
			orRemove(kept, fd, () => check(result));
			nameDirectory(kept, fd, original);
		} catch (error) {
			if (!(error instanceof Errno)) throw error;
			overlay.failures.set(node, error.code);
		} finally {
			release(kept.temporary, lengthOf(kept.temporary) + 1);
		}
		return undefined;
	});
	overlay.throwFailure(node);
}

/** Gives the finished copy of a directory its name; takes over `fd`, which is open on it. */
function nameDirectory(copy: Copy, fd: Fd, original: Original): void {
	const { overlay, node } = copy;
	const { nodes, directories } = overlay;
	const directory = orRemove(copy, fd, () => {
		const known = directories.get(node);
		moveToPlace(copy, original);
		return known;
	});
	nodes.setLayer(node, 0);
	// The lower directory now joins in under the copy.
	nodes.setFlag(node, PURE, false);
	if (nodes.isNamed(node)) {
		directories.raise(directory, fd);
	} else {
		close(fd);
		directories.drop(node);
	}
}

/** A step of a directory's copy: where it fails, nothing of the copy is left. */
function orRemove<Result>({ work, temporary }: Copy, fd: Fd, step: () => Result): Result {
	try {
		return step();
	} catch (error) {
		if (fd !== NO_FD) close(fd);
		removeName(work.fd, temporary, AT_REMOVEDIR);
		throw error;
	}
}

function raiseSpecial(overlay: Overlay, work: Workdir, node: NodeId): void {
	const { nodes } = overlay;
	foresee(overlay, node);
	const original = lookAt(overlay, node);
	const temporary = work.temporaryName();
	if (nodes.kind(node) === DT_LNK) {
		const { directory, name } = original.place;
		const length = check(readLink(directory, name, TARGET, PATH_MAX));
		bytes[TARGET + length] = 0;
		checkMade(makeSymlink(TARGET, work.fd, temporary));
	} else if (overlay.identity?.attribute !== undefined) {
		// The kind is kept in the attribute, because an unprivileged process may not make devices.
		checkMade(makeNode(work.fd, temporary, S_IFREG | 0o600, 0));
	} else {
		// Only an attribute can say that a lower object is such a device: its copy would hide its own name.
		if (isWhiteoutDevice(SOURCE)) fail(EPERM);
		checkMade(makeNode(work.fd, temporary, (modeOf(SOURCE) & S_IFMT) | 0o600, deviceOf(SOURCE)));
	}
	try {
		copyMetadata(overlay, node, original, work.fd, temporary);
		moveToPlace({ overlay, work, node, temporary }, original);
	} catch (error) {
		removeName(work.fd, temporary, 0);
		throw error;
	}
	nodes.setLayer(node, 0);
	overlay.files.drop(node);
	linkOwnName(overlay, node);
}
