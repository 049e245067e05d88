/**
 * Renaming. What is moved lies in the upper layer: files are copied up first. A directory that lower layers contribute to
 * is refused (EXDEV), and callers such as mv(1) copy it then; with `redirect_dir=on` it is copied up alone, without what
 * is in it, and marked (redirect.ts). Source: Linux fs/overlayfs/dir.c, ovl_rename.
 */

import {
	DT_DIR,
	EEXIST,
	EINVAL,
	EISDIR,
	ENOENT,
	ENOTDIR,
	ENOTEMPTY,
	EXDEV,
	O_DIRECTORY,
	O_NOFOLLOW,
	O_RDONLY,
	RENAME_EXCHANGE,
	RENAME_NOREPLACE,
	statx,
} from "../../native/layout.ts";
import { makeDirectory, moveName } from "../../native/libc/directory.ts";
import { check, fail } from "../../native/libc/errno.ts";
import { close, openAt } from "../../native/libc/file.ts";
import { stat } from "../../native/libc/metadata.ts";
import { inodeHigh, inodeLow } from "../../native/libc/stat.ts";
import { type Name, reserve } from "../../native/memory.ts";
import { moveAsOwner } from "../layers/owner-access.ts";
import { emptyDirectory } from "../layers/remove-tree.ts";
import { checkMade, type Workdir } from "../layers/workdir.ts";
import { ATTRIBUTE_WHITEOUTS, isWhiteoutName, makeOpaque } from "../marks/whiteout.ts";
import type { Directory } from "../nodes/directory.ts";
import { PLAIN } from "../nodes/flags.ts";
import { change } from "../nodes/journal.ts";
import { measure } from "../nodes/name.ts";
import { NO_NODE, type NodeId, type NodeTable } from "../nodes/node.ts";
import type { Overlay } from "../overlay.ts";
import { checkNewName, isBelow, lookup, lookupExisting } from "../reading/lookup.ts";
import { copyAppearance } from "./copy-metadata.ts";
import { copyUp } from "./copy-up.ts";
import { freeName } from "./free-name.ts";
import { counted } from "./hard-links.ts";
import { covered, moveAway, moveDirectoryOverWhiteout } from "./move.ts";
import { withoutName } from "./nameless.ts";
import { raiseName } from "./raise-name.ts";
import { keepData, markToMove } from "./redirect.ts";
import { noteRemoval } from "./remove.ts";

const PROBE = reserve(statx.sizeof);

/** A name to be renamed, replaced or made. */
interface Asked {
	readonly parent: NodeId;
	readonly name: Name;
	/** NO_NODE for a new name that is free. */
	readonly node: NodeId;
}

/** One end of a rename, brought up to the upper layer. */
interface End {
	readonly directory: Directory;
	readonly name: Name;
	readonly node: NodeId;
	/** A lower layer shows something under this name. */
	readonly below: boolean;
}

/**
 * Renames, replaces or exchanges. `flags`: RENAME_NOREPLACE, RENAME_EXCHANGE; others, such as RENAME_WHITEOUT, are EINVAL,
 * and so is RENAME_EXCHANGE where the upper layer's file system does not take it.
 * Throws EXDEV for directories with lower content that cannot be marked, ENOTEMPTY, EEXIST, EROFS and what renaming may.
 */
export function rename(
	overlay: Overlay,
	parent: NodeId,
	name: Name,
	newParent: NodeId,
	newName: Name,
	flags: number,
): void {
	const { nodes } = overlay;
	const work = overlay.writable();
	if (overlay.journal?.isDone) return;
	// A user's whiteout would be ours: it would hide what is below from another overlay above, not for it.
	if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) !== 0) fail(EINVAL);
	if ((flags & RENAME_EXCHANGE) !== 0 && !work.takes(RENAME_EXCHANGE)) fail(EINVAL);
	checkNewName(newName);
	overlay.settle(parent);
	overlay.settle(newParent);
	const exchange = (flags & RENAME_EXCHANGE) !== 0;
	const from = { parent, name, node: knownOr(overlay, parent, name, lookupExisting) };
	// Held until the end: the kernel need not know them.
	nodes.hold(from.node);
	try {
		const to = { parent: newParent, name: newName, node: knownOr(overlay, newParent, newName, lookup) };
		if (to.node === NO_NODE) {
			if (exchange) fail(ENOENT);
			renameNodes(overlay, work, from, to, exchange);
			return;
		}
		nodes.hold(to.node);
		try {
			if ((flags & RENAME_NOREPLACE) !== 0) fail(EEXIST);
			renameNodes(overlay, work, from, to, exchange);
		} finally {
			nodes.letGo(to.node);
		}
	} finally {
		nodes.letGo(from.node);
	}
}

/** The node of a name the kernel has looked up already; else what `look` finds. */
function knownOr(overlay: Overlay, parent: NodeId, name: Name, look: typeof lookup): NodeId {
	const known = overlay.nodes.find(parent, name, measure(name));
	return known === NO_NODE ? look(overlay, parent, name) : known;
}

function renameNodes(overlay: Overlay, work: Workdir, from: Asked, to: Asked, exchange: boolean): void {
	// Two names of one file: POSIX has nothing done.
	if (from.node === to.node) return;
	// What will be refused is refused before anything is copied up for it.
	const staysInParent = from.parent === to.parent;
	checkMovable(overlay, from.node, staysInParent);
	if (exchange) checkMovable(overlay, to.node, staysInParent);
	else if (to.node !== NO_NODE) checkReplaceable(overlay, from.node, to.node);
	copyUp(overlay, from.node);
	if (exchange) copyUp(overlay, to.node);
	copyUp(overlay, from.parent);
	copyUp(overlay, to.parent);
	for (const { node, parent, name } of [from, to]) raiseName(overlay, node, parent, name);
	const ends = [endOf(overlay, from), endOf(overlay, to)] as const;
	const [source, target] = ends;
	if (to.node === NO_NODE) freeName(work, target.directory, to.name);
	keepData(overlay, work, from.node, target.directory, staysInParent);
	if (exchange) keepData(overlay, work, to.node, source.directory, staysInParent);
	if (exchange) exchangeNames(overlay, work, ...ends);
	else moveTo(overlay, work, ...ends);
}

function endOf(overlay: Overlay, { parent, name, node }: Asked): End {
	const directory = overlay.directory(parent);
	if (directory.removed) fail(ENOENT);
	return { directory, name, node, below: isBelow(overlay, directory, name) };
}

/** Refuses directories with lower content for which there is no mark. */
function checkMovable(overlay: Overlay, node: NodeId, staysInParent: boolean): void {
	const { redirects } = overlay;
	overlay.settle(node);
	if (overlay.nodes.kind(node) !== DT_DIR) return;
	if (overlay.isUpper(node) && !overlay.directories.get(node).isMerged) return;
	if (!redirects.areMade) fail(EXDEV);
	if (redirects.valueFor(node, staysInParent) === undefined) fail(EXDEV);
}

/**
 * Sees to it that a directory keeps its lower content and gets no other by its move. Returns where lower layers have what
 * belongs to it, if any do.
 */
function prepareContent(overlay: Overlay, work: Workdir, { node, directory }: End, to: End) {
	if (overlay.nodes.kind(node) !== DT_DIR) return undefined;
	const { isMerged, fds, marks } = overlay.directories.get(node);
	if (isMerged) return markToMove(overlay, work, node, directory, to.directory);
	if (!to.below) return undefined;
	// Opaque, it would show its whiteouts as files: the mark says either.
	if ((marks[0]! & ATTRIBUTE_WHITEOUTS) !== 0) fail(EXDEV);
	makeOpaque(work, fds[0]!);
	return undefined;
}

function checkReplaceable(overlay: Overlay, node: NodeId, target: NodeId): void {
	const { nodes, directories, listings } = overlay;
	overlay.settle(target);
	const isDirectory = nodes.kind(node) === DT_DIR;
	if (nodes.kind(target) !== DT_DIR) {
		if (isDirectory) fail(ENOTDIR);
		return;
	}
	if (!isDirectory) fail(EISDIR);
	if (listings.list(directories.get(target)).visible > 0) fail(ENOTEMPTY);
}

function moveTo(overlay: Overlay, work: Workdir, from: End, to: End): void {
	const { nodes } = overlay;
	const isDirectory = nodes.kind(from.node) === DT_DIR;
	const ways = prepareContent(overlay, work, from, to);
	const move = () => {
		if (to.node !== NO_NODE && isDirectory && overlay.isUpper(to.node))
			moveOverEmpty(overlay, work, from, to);
		else moveInUpper(overlay, work, from, to);
	};
	counted(overlay, to.node, -1, () =>
		withoutName(overlay, to.directory.node, to.name, to.node, {
			isUpper: overlay.isUpper(to.node),
			run: move,
			isNoted: true,
		}),
	);
	if (ways !== undefined) overlay.redirects.setWays(from.node, ways);
	to.directory.clearWhiteoutFile(to.name);
	noteArrival(overlay, work, from, to);
	noteRemoval(work, from.directory, from.name, from.below);
	if (goesBy(nodes, from)) nodes.detach(from.node);
	overlay.meetAt(from.node, to.directory.node, to.name);
}

/** A hard link may go by another name than the one that is moved. */
function goesBy(nodes: NodeTable, { directory, name, node }: End): boolean {
	return nodes.find(directory.node, name, measure(name)) === node;
}

/** Whether it is done can be told by where the object is then. */
function noteMove({ journal }: Overlay, kind: number, from: End, to: End): void {
	if (journal === undefined) return;
	check(stat(from.directory.fds[0]!, from.name, PROBE));
	journal.begin(kind, namesOf(from), namesOf(to), inodeLow(PROBE), inodeHigh(PROBE));
}

function namesOf({ node, directory, name }: End) {
	return { node, parent: directory.node, name };
}

/** The renames on disk: at every moment the upper layer shows either the old tree or the new one. */
function moveInUpper(overlay: Overlay, work: Workdir, from: End, to: End): void {
	const fromFd = from.directory.fds[0]!;
	const toFd = to.directory.fds[0]!;
	const isDirectory = overlay.nodes.kind(from.node) === DT_DIR;
	const isOverWhiteout = isDirectory && to.node === NO_NODE && isWhiteoutName(toFd, to.name);
	const move = isOverWhiteout ? moveDirectoryOverWhiteout : moveAway;
	noteMove(overlay, change.moving, from, to);
	move(work, fromFd, from.name, toFd, to.name, from.below);
}

/**
 * Moves a directory over one of the upper layer that is empty to users, but may hold whiteouts, for which rename(2) would
 * not replace it. An empty opaque one that looks the same takes its place first. Source: ovl_clear_empty.
 */
function moveOverEmpty(overlay: Overlay, work: Workdir, from: End, to: End): void {
	const { directories } = overlay;
	const own = directories.get(to.node).fds[0]!;
	const move = () => {
		emptyDirectory(own);
		moveInUpper(overlay, work, from, to);
	};
	try {
		if (work.takes(RENAME_EXCHANGE) && exchangeForEmpty(overlay, work, to))
			moveInUpper(overlay, work, from, to);
		else if (to.below) covered(to.directory.fds[0]!, to.name, move);
		else move();
	} catch (error) {
		// It may be another directory by now, and what its whiteouts hid is hidden in another way.
		directories.drop(to.node);
		overlay.listings.drop(to.directory);
		throw error;
	}
}

/** False where that is not possible: another overlay is the file system under us, and has lower content in the directory. */
function exchangeForEmpty(overlay: Overlay, work: Workdir, end: End): boolean {
	const upper = end.directory.fds[0]!;
	const temporary = work.temporaryName();
	checkMade(makeDirectory(work.fd, temporary, 0o700));
	try {
		const fd = check(openAt(work.fd, temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
		try {
			makeOpaque(work, fd);
		} finally {
			close(fd);
		}
		copyAppearance(overlay, end.node, work.fd, temporary);
		const exchanged = moveAsOwner(work.fd, temporary, upper, end.name, RENAME_EXCHANGE);
		if (exchanged !== -EXDEV) check(exchanged);
		return exchanged === 0;
	} finally {
		work.discard(temporary);
	}
}

function exchangeNames(overlay: Overlay, work: Workdir, from: End, to: End): void {
	const { nodes, redirects } = overlay;
	const moves = [
		{ node: from.node, ways: prepareContent(overlay, work, from, to) },
		{ node: to.node, ways: prepareContent(overlay, work, to, from) },
	];
	noteMove(overlay, change.exchanging, from, to);
	check(moveName(from.directory.fds[0]!, from.name, to.directory.fds[0]!, to.name, RENAME_EXCHANGE));
	for (const { node, ways } of moves) if (ways !== undefined) redirects.setWays(node, ways);
	noteArrival(overlay, work, from, to);
	noteArrival(overlay, work, to, from);
	const [movesFrom, movesTo] = [goesBy(nodes, from), goesBy(nodes, to)];
	if (movesFrom) nodes.detach(from.node);
	if (movesTo) nodes.detach(to.node);
	overlay.meetAt(from.node, to.directory.node, to.name);
	overlay.meetAt(to.node, from.directory.node, from.name);
}

/** Keeps listing and marks of the directory at `to` in step with what was moved there from `from`. */
function noteArrival(overlay: Overlay, work: Workdir, { node }: End, { directory, name }: End): void {
	const { nodes } = overlay;
	const upper = directory.fds[0]!;
	const kind = nodes.kind(node);
	if (kind !== DT_DIR && !nodes.flag(node, PLAIN)) overlay.directories.markImpure(directory, work);
	if (directory.listing === undefined) return;
	if (stat(upper, name, PROBE) < 0) {
		overlay.listings.drop(directory);
		return;
	}
	directory.listing.create(name, measure(name), kind, inodeLow(PROBE), inodeHigh(PROBE));
}
