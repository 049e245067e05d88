/**
 * Copy-up: a lower object gets a copy in the upper layer, which stands for it from then on. The copy is made in the
 * workdir - content, owner, attributes, mode, times, in this order - made durable, and moved into place by one
 * rename, so that the upper layer never shows a part of a file, not even after a power loss.
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
	timespec,
	UTIME_NOW,
	UTIME_OMIT,
} from "../../native/layout.ts";
import { makeDirectory, makeNode, makeSymlink, readLink, removeName } from "../../native/libc/directory.ts";
import { check, Errno, fail } from "../../native/libc/errno.ts";
import { cloneFile, close, duplicate, type Fd, openAt } from "../../native/libc/file.ts";
import {
	changeMode,
	changeOwner,
	changeTimes,
	changeTimesOf,
	changeTimesOfOpen,
	stat,
	statDescriptor,
	statFlagged,
} from "../../native/libc/metadata.ts";
import {
	deviceOf,
	inodeHigh,
	inodeLow,
	kindOf,
	linkCount,
	modeOf,
	sizeOf,
	timesOf,
} from "../../native/libc/stat.ts";
import {
	bytes,
	type Int64,
	lengthOf,
	type Name,
	readString,
	release,
	reserve,
	setNumber,
	smaller,
	store,
	words,
} from "../../native/memory.ts";
import { copyContent } from "../layers/copy-content.ts";
import type { Durability } from "../layers/durability.ts";
import type { Layer, Place } from "../layers/layer.ts";
import { moveAsOwner } from "../layers/owner-access.ts";
import { checkMade, type Workdir } from "../layers/workdir.ts";
import { ownAccess } from "../marks/identity.ts";
import { writeOrigin } from "../marks/origin.ts";
import { isWhiteoutDevice } from "../marks/whiteout.ts";
import { type NodeId, PURE, ROOT } from "../nodes/node.ts";
import type { Overlay } from "../overlay.ts";
import { confirmName } from "../reading/live.ts";
import { copyAttributes } from "./copy-attributes.ts";

/** Up to this many bytes are copied at once, by the thread that answers requests. */
const LARGEST_INLINE_COPY = 1 << 20;
const MODE_BITS = 0o7777;
const PERMISSION_BITS = 0o777;

/** The lower object's attributes, with an override applied: filled by {@link lookAt}, whose result goes with it. */
const SOURCE = reserve(statx.sizeof);
const PARENT = reserve(statx.sizeof);
/** A copy with an inode number of its own. */
const PARTED = reserve(statx.sizeof);
const TARGET = reserve(PATH_MAX + 1);
/** Two `struct timespec`: the access time stays, the modification time is now. */
const MODIFIED_NOW = reserve(2 * timespec.sizeof);
setNumber(MODIFIED_NOW + timespec.tvNsec, UTIME_OMIT);
setNumber(MODIFIED_NOW + timespec.sizeof + timespec.tvNsec, UTIME_NOW);

/** A copy on its way through the steps. */
interface Copy {
	readonly overlay: Overlay;
	readonly work: Workdir;
	readonly node: NodeId;
	/** Its name in the workdir. */
	readonly temporary: Name;
}

/** What is copied up, as it was found. */
interface Original {
	readonly place: Place;
	/** `DT_*`. */
	readonly kind: number;
	/** The mode before an override was applied. */
	readonly inodeMode: number;
	/**
	 * Whether the copy stands for it and keeps its inode number by a note of its origin. A directory needs none: it is merged
	 * with the lower one of its name, and takes its number. A file with several names is parted from them: two different
	 * files must not have one number.
	 */
	readonly takesOrigin: boolean;
}

/**
 * Makes sure a node is in the upper layer, and its parents before it. Throws EROFS without one, Deferred where the
 * copy goes on in the background, and what copying may.
 */
export function copyUp(overlay: Overlay, node: NodeId): void {
	if (!overlay.isUpper(node)) raise(overlay, node, Number.POSITIVE_INFINITY);
}

/** As {@link copyUp}, of a file about to be cut to `size` bytes: what lies behind is not copied. */
export function copyUpTruncated(overlay: Overlay, node: NodeId, size: Int64): void {
	if (!overlay.isUpper(node)) raise(overlay, node, size);
}

function raise(overlay: Overlay, node: NodeId, limit: Int64): void {
	const work = overlay.writable();
	overlay.settle(node);
	throwFailure(overlay, node);
	confirmName(overlay, node);
	if (overlay.nodes.isNamed(node)) raiseParents(overlay, node);
	const kind = overlay.nodes.kind(node);
	if (kind === DT_REG) raiseFile(overlay, work, node, limit);
	else if (kind === DT_DIR) raiseDirectory(overlay, work, node);
	else raiseSpecial(overlay, work, node);
}

/** By a loop, not by recursion: a path may be thousands of directories deep. */
function raiseParents(overlay: Overlay, node: NodeId): void {
	const { nodes } = overlay;
	const pending: NodeId[] = [];
	for (let parent = nodes.parent(node); !overlay.isUpper(parent); parent = nodes.parent(parent)) {
		if (!nodes.isNamed(parent)) fail(ENOENT);
		overlay.settle(parent);
		pending.push(parent);
		if (parent === ROOT) break;
	}
	for (let parent = pending.pop(); parent !== undefined; parent = pending.pop()) {
		raiseDirectory(overlay, overlay.writable(), parent);
	}
}

function raiseFile(overlay: Overlay, work: Workdir, node: NodeId, limit: Int64): void {
	const { nodes, files, options } = overlay;
	const from = files.readable(node);
	check(statDescriptor(from, SOURCE));
	const size = sizeOf(SOURCE);
	const length = smaller(size, limit);
	const copy = { overlay, work, node, temporary: work.temporaryName() };
	const to = checkMade(openAt(work.fd, copy.temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600));
	const layer = overlay.layers[nodes.layer(node)]!;
	const durability = options.fsync && nodes.isNamed(node) ? work.durability : "none";
	const cloned = length === size && length > 0 && clone(layer, from, to);
	const isSmall = cloned || length <= LARGEST_INLINE_COPY;
	if (isSmall) {
		let result = cloned ? 0 : copyContent(from, to, length);
		if (result !== 0 || waitsHere(overlay, durability)) {
			if (result === 0) result = overlay.diskPace.makeDurable(to, durability);
			finishFile(copy, to, length < size, result);
			return;
		}
	}
	// The job has a descriptor and a name of its own: what is cached or scratch here may change meanwhile.
	const source = duplicate(from);
	if (source < 0) {
		close(to);
		removeName(work.fd, copy.temporary, 0);
		fail(-source);
	}
	const name = store(readString(copy.temporary));
	const copying = { kind: "copy", from: source, to, length: isSmall ? 0 : length, durability } as const;
	const syncing = { kind: "dataSync", fd: to } as const;
	overlay.runJob(node, isSmall && durability === "synced" ? syncing : copying, (result) => {
		close(source);
		try {
			finishFile({ ...copy, temporary: name }, to, length < size, result);
		} catch (error) {
			if (!(error instanceof Errno)) throw error;
			overlay.failures.set(node, error.code);
		} finally {
			release(name, lengthOf(name) + 1);
		}
	});
	throwFailure(overlay, node);
}

/** Whether to wait for the disk in this thread. */
function waitsHere({ jobs, diskPace }: Overlay, durability: Durability): boolean {
	if (durability === "none") return true;
	return !(durability === "synced" && jobs.shareSyncs) && diskPace.isQuick();
}

/** The copy a request waited for has failed: that is its answer. */
function throwFailure(overlay: Overlay, node: NodeId): void {
	const failure = overlay.failures.get(node);
	if (failure === undefined) return;
	overlay.failures.delete(node);
	fail(failure);
}

/** Shares the blocks, where the file system can. Where it cannot, that is not tried again. */
function clone(layer: Layer, from: Fd, to: Fd): boolean {
	if (!layer.mayShareBlocks) return false;
	layer.mayShareBlocks = cloneFile(from, to) === 0;
	return layer.mayShareBlocks;
}

/** Goes on with a copy whose content is in `to`, or has failed to get there with `result`; takes over `to`. */
function finishFile(copy: Copy, to: Fd, isCut: boolean, result: number): void {
	const { overlay, work, node, temporary } = copy;
	const { nodes, files } = overlay;
	try {
		check(result);
		const original = lookAt(overlay, node);
		copyMetadata(overlay, node, original, work.fd, temporary);
		// What is cut off by not being copied is a change of content all the same.
		if (isCut) check(changeTimesOfOpen(to, MODIFIED_NOW));
		moveToPlace(copy, original);
	} catch (error) {
		close(to);
		removeName(work.fd, temporary, 0);
		throw error;
	}
	nodes.setLayer(node, 0);
	files.replace(node, to);
	// As for what was in the upper layer when it lost its name.
	if (!nodes.isNamed(node) && files.hold(node, false)) overlay.parked.remove(node);
}

function raiseDirectory(overlay: Overlay, work: Workdir, node: NodeId): void {
	const { nodes, directories } = overlay;
	const directory = directories.get(node);
	const original = lookAt(overlay, node);
	const temporary = work.temporaryName();
	checkMade(makeDirectory(work.fd, temporary, 0o700));
	let fd: Fd | undefined;
	try {
		fd = check(openAt(work.fd, temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
		copyMetadata(overlay, node, original, work.fd, temporary);
		moveToPlace({ overlay, work, node, temporary }, original);
	} catch (error) {
		if (fd !== undefined) close(fd);
		removeName(work.fd, temporary, AT_REMOVEDIR);
		throw error;
	}
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

/** Looks at the lower object of a node, and fills SOURCE. */
function lookAt(overlay: Overlay, node: NodeId): Original {
	const place = overlay.locate(node);
	check(statFlagged(place.directory, place.name, place.flags, SOURCE));
	const inodeMode = modeOf(SOURCE);
	overlay.identity?.applyOverride(overlay.nodes.layer(node), place.directory, place.name, SOURCE);
	const kind = kindOf(SOURCE);
	return { place, kind, inodeMode, takesOrigin: kind !== DT_DIR && linkCount(SOURCE) === 1 };
}

/** Gives the new directory `name` in `directory` the owner, mode, attributes and times of the directory `node`. */
export function copyAppearance(overlay: Overlay, node: NodeId, directory: Fd, name: Name): void {
	copyMetadata(overlay, node, lookAt(overlay, node), directory, name);
}

/**
 * Owner, origin, attributes, mode and times of the original, in SOURCE, for the copy `name` in `directory`. In this order:
 * a change of owner takes set-id bits and capabilities away, and where the mode shuts the owner out, no attribute can be set.
 */
function copyMetadata(overlay: Overlay, node: NodeId, original: Original, directory: Fd, name: Name): void {
	const { identity } = overlay;
	const isOverridden = identity?.attribute !== undefined;
	if (isOverridden) {
		identity.writeNew(directory, name, SOURCE);
	} else {
		const uid = words[(SOURCE + statx.stxUid) >>> 2]!;
		const gid = words[(SOURCE + statx.stxGid) >>> 2]!;
		if (!overlay.isOwn(uid, gid)) overlay.checkOwner(changeOwner(directory, name, uid, gid));
	}
	const { place, kind, inodeMode } = original;
	if (original.takesOrigin) {
		const { nodes, layers, work } = overlay;
		const trusted = work?.trustedAttributes ?? false;
		writeOrigin(layers[nodes.layer(node)]!, place, trusted, () => nodes.path(node), directory, name);
	}
	copyAttributes(overlay, node, place, directory, name);
	// With an override the inode's own mode is for whoever reads the layers, such as others who share an image store.
	const mode = isOverridden ? (inodeMode & PERMISSION_BITS) | ownAccess(kind) : modeOf(SOURCE) & MODE_BITS;
	if (kind !== DT_LNK) check(changeMode(directory, name, mode));
	check(changeTimes(directory, name, timesOf(SOURCE)));
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
	if (takesOrigin) directories.markImpure(parent, work);
	// In its place it may be out of reach: where the directory is closed to its owner, whom this process acts for.
	if (isParted) check(stat(work.fd, temporary, PARTED));
	check(statDescriptor(fd, PARENT));
	check(moveAsOwner(work.fd, temporary, fd, name, 0));
	check(changeTimesOf(fd, timesOf(PARENT)));
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
