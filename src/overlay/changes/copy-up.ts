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
	O_CREAT,
	O_DIRECTORY,
	O_EXCL,
	O_NOFOLLOW,
	O_RDONLY,
	O_RDWR,
	PATH_MAX,
	S_IFMT,
	S_IFREG,
	statx,
} from "../../native/layout.ts";
import { makeDirectory, makeNode, makeSymlink, readLink, removeName } from "../../native/libc/directory.ts";
import { check, Errno, fail, isForLackOfSpace } from "../../native/libc/errno.ts";
import { close, duplicate, type Fd, NO_FD, openAt, truncate } from "../../native/libc/file.ts";
import { changeTimesOf, changeTimesOfOpen, stat, statDescriptor } from "../../native/libc/metadata.ts";
import { deviceOf, inodeHigh, inodeLow, linkCount, modeOf, sizeOf, timesOf } from "../../native/libc/stat.ts";
import {
	bytes,
	getNumber,
	type Int64,
	lengthOf,
	type Name,
	readString,
	release,
	reserve,
	smaller,
	store,
} from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import type { Task } from "../jobs/job.ts";
import { cloneContent, copyContent, LARGEST_INLINE_COPY } from "../layers/copy-content.ts";
import type { Durability } from "../layers/durability.ts";
import { moveAsOwner } from "../layers/owner-access.ts";
import { checkMade, type Workdir } from "../layers/workdir.ts";
import { writeMetacopy } from "../marks/metacopy.ts";
import { measureVerity, NO_DIGEST } from "../marks/verity.ts";
import { isWhiteoutDevice } from "../marks/whiteout.ts";
import type { Left } from "../nodes/metacopies.ts";
import { type NodeId, PURE, ROOT } from "../nodes/node.ts";
import type { Overlay } from "../overlay.ts";
import { confirmName } from "../reading/live.ts";
import { ALL, complete, hasDataBelow } from "./complete.ts";
import { copyMetadata, lookAt, MODIFIED_NOW, type Original, SOURCE } from "./copy-metadata.ts";
import { makingDurable, waitsHere } from "./durable.ts";

const PARENT = reserve(statx.sizeof);
/** A copy with an inode number of its own. */
const PARTED = reserve(statx.sizeof);
const TARGET = reserve(PATH_MAX + 1);

/** A copy on its way through the steps. */
interface Copy {
	readonly overlay: Overlay;
	readonly work: Workdir;
	readonly node: NodeId;
	/** Its name in the workdir. */
	readonly temporary: Name;
}

interface FileCopy extends Copy {
	/** Open on it. */
	readonly to: Fd;
	/** Not all of the original's content is in it. */
	readonly isCut: boolean;
	/** What it has left behind, if it is without data; undefined: it has its own. */
	readonly left: Left | undefined;
	readonly durability: Durability;
}

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
	const kind = overlay.nodes.kind(node);
	if (kind === DT_DIR) raiseDirectory(overlay, work, node);
	else if (kind !== DT_REG) raiseSpecial(overlay, work, node);
	else if (limit !== undefined || !raiseWithoutData(overlay, work, node))
		raiseFile(overlay, work, node, limit ?? ALL);
}

/** How a copy is made durable before it gets its name. */
function neededFor({ options, nodes, work }: Overlay, node: NodeId): Durability {
	return options.fsync && work !== undefined && nodes.isNamed(node) ? work.durability : "none";
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
		raiseDirectory(overlay, overlay.writable(), parent);
	}
}

function raiseFile(overlay: Overlay, work: Workdir, node: NodeId, limit: Int64): void {
	const { files, metacopies } = overlay;
	const from = files.readable(node);
	if (metacopies.has(node)) lookAt(overlay, node);
	else check(statDescriptor(from, SOURCE));
	const size = sizeOf(SOURCE);
	const length = smaller(size, limit);
	const temporary = work.temporaryName();
	const to = checkMade(openAt(work.fd, temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600));
	const durability = neededFor(overlay, node);
	const copy = { overlay, work, node, temporary, to, isCut: length < size, left: undefined, durability };
	const isAll = length === size && length > 0 && !metacopies.isCut(node);
	const cloned = isAll && cloneContent(overlay.dataLayer(node), from, to);
	if (!cloned && length > LARGEST_INLINE_COPY) {
		const source = orDiscard(copy, () => check(duplicate(from)));
		finishLater(copy, { kind: "copy", from: source, to, length }, undefined, source);
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
function raiseWithoutData(overlay: Overlay, work: Workdir, node: NodeId): boolean {
	const { nodes, directories, metacopies } = overlay;
	if (!overlay.leavesData || !nodes.isNamed(node) || metacopies.isCut(node)) return false;
	const { directory, name } = overlay.locate(node);
	if (!metacopies.has(node)) metacopies.look(node, directory, name);
	const digest = digestToName(overlay, node);
	if (digest === undefined) return false;
	const original = lookAt(overlay, node);
	const size = sizeOf(SOURCE);
	if (size === 0) return false;
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
	const goOn = (result: number): Task | undefined => {
		orDiscard(kept, () => check(result));
		if (described === undefined) {
			described = orDiscard(kept, () => describeFile(kept));
			if (kept.durability !== "none") return makingDurable(kept.to, kept.durability);
		}
		nameFile(kept, described);
		return undefined;
	};
	overlay.runJob(node, task, (result) => {
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
	});
	overlay.throwFailure(node);
}

/** A step of a copy: where it fails, nothing of the copy is left. */
function orDiscard<Result>(copy: FileCopy, step: () => Result): Result {
	try {
		return step();
	} catch (error) {
		close(copy.to);
		removeName(copy.work.fd, copy.temporary, 0);
		throw error;
	}
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
		return;
	}
	files.replace(node, to);
	// As for what was in the upper layer when it lost its name.
	if (!nodes.isNamed(node) && files.hold(node, false)) overlay.parked.remove(node);
}

function raiseDirectory(overlay: Overlay, work: Workdir, node: NodeId): void {
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
	const directory = directories.get(node);
	orRemove(copy, fd, () => moveToPlace(copy, original));
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
}

/** Moves the finished copy to its name; where the original has none any more, to one in the workdir. */
function moveToPlace(copy: Copy, original: Original): void {
	const { overlay, work, node, temporary } = copy;
	if (overlay.nodes.isNamed(node)) {
		moveIn(copy, original);
		return;
	}
	overlay.parked.moveIn(work, node, temporary);
	// The former one leads to the original.
	overlay.nodes.detach(node);
}

/** Moves the finished copy to its name; the parent's times stay as they were, as nothing in it has changed. */
function moveIn({ overlay, work, node, temporary }: Copy, { kind, takesOrigin }: Original): void {
	const { nodes, directories, inodes } = overlay;
	const parent = directories.get(nodes.parent(node));
	const fd = parent.fds[0]!;
	const name = nodes.name(node);
	const isParted = kind !== DT_DIR && !takesOrigin;
	if (takesOrigin) {
		directories.markImpure(parent, work);
		overlay.originNumbers.claim(node, nodes.inodeLow(node), nodes.inodeHigh(node));
	}
	// In its place it may be out of reach: where the directory is closed to its owner, whom this process acts for.
	if (isParted) check(stat(work.fd, temporary, PARTED));
	check(statDescriptor(fd, PARENT));
	check(moveAsOwner(work.fd, temporary, fd, name, 0));
	// Who may write in another's directory may not set its times; the copy is in its place all the same.
	changeTimesOf(fd, timesOf(PARENT));
	overlay.listings.noteChange(parent, name, (listing, slot) => {
		if (listing.layer(slot) !== 0) listing.raise(slot);
	});
	if (isParted) {
		const [low, high] = [inodeLow(PARTED), inodeHigh(PARTED)];
		inodes.translate(0, low, high);
		nodes.setInode(node, inodes.low, inodes.high);
		overlay.listings.noteChange(parent, name, (listing, slot) => listing.renumber(slot, low, high));
		overlay.onParted(node, parent.node);
	}
}
