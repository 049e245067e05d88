/**
 * Going on with an overlay that another process has left, at any moment: the node table is what it was, and is brought in step
 * with the layers where a change was being made (nodes/journal.ts); all that is derived from the two begins anew.
 */

import { DT_DIR, O_PATH, statx } from "../../native/layout.ts";
import { check, Errno, succeeds } from "../../native/libc/errno.ts";
import { close, type Fd } from "../../native/libc/file.ts";
import {
	changeMode,
	changeTimes,
	changeTimesOf,
	stat,
	statDescriptor,
	statFlagged,
} from "../../native/libc/metadata.ts";
import { inodeHigh, inodeLow } from "../../native/libc/stat.ts";
import { lengthOf, type Name, release, reserve, store } from "../../native/memory.ts";
import { namesIn } from "../layers/remove-tree.ts";
import { hasWhiteoutFile, isWhiteoutDevice } from "../marks/whiteout.ts";
import { LINKED, PLAIN, PURE, RETIRED } from "../nodes/flags.ts";
import { change, type Journal, type Names } from "../nodes/journal.ts";
import { measure } from "../nodes/name.ts";
import { NO_NODE, type NodeId, ROOT } from "../nodes/node.ts";
import type { RemovedDirectory } from "../nodes/removed-directories.ts";
import type { Overlay } from "../overlay.ts";
import { giveTo } from "./copy-metadata.ts";
import { makeCopy } from "./nameless.ts";

const STAT = reserve(statx.sizeof);
const MODE_BITS = 0o7777;

/**
 * Goes on with what the columns of the overlay's nodes hold; the workdir is open. `warn` is told of what could not be looked at.
 */
export function takeOver(overlay: Overlay, journal: Journal, warn: (message: string) => void): void {
	try {
		if (reconcile(overlay, journal)) journal.noteDone();
	} catch (error) {
		if (!(error instanceof Errno)) throw error;
		warn(`cannot tell whether the last change was made: ${error.message}`);
	}
	journal.end();
	takeOverWorkdir(overlay);
	takeOverRemoved(overlay, warn);
	overlay.metacopies.inherit();
	for (let node = (ROOT + 1) as NodeId; node < overlay.nodes.end; node++) {
		if (!overlay.nodes.has(node)) continue;
		try {
			takeOverFile(overlay, node);
			takeOverWay(overlay, node);
		} catch (error) {
			if (!(error instanceof Errno)) throw error;
			// What cannot be looked at now is not where its name says, and will be an error for who asks.
		}
	}
}

/** What several names lead to, and whose number is that of another, is known again. */
function takeOverFile(overlay: Overlay, node: NodeId): void {
	const { nodes, originNumbers } = overlay;
	if (!overlay.isUpper(node) || nodes.kind(node) === DT_DIR) return;
	if (!nodes.flag(node, PLAIN)) originNumbers.claim(node, nodes.inodeLow(node), nodes.inodeHigh(node));
	if (!nodes.flag(node, LINKED)) return;
	nodes.setFlag(node, LINKED, false);
	const { directory, name, flags } = overlay.locate(node);
	if (succeeds(statFlagged(directory, name, flags, STAT))) overlay.linkUpper(node, STAT);
	// There may be more directories than descriptors.
	overlay.trim();
}

/**
 * A removed object of a lower layer is reached by former names, of which directories above it may have got others since. Where
 * such a directory is gone, too, nothing says any more which, and the names may lead to another object.
 */
function takeOverWay(overlay: Overlay, node: NodeId): void {
	const { nodes, directories, redirects } = overlay;
	if (!nodes.flag(node, RETIRED) || redirects.areRefused) return;
	let above = nodes.parent(node);
	while (!nodes.isNamed(above) && above !== NO_NODE) above = nodes.parent(above);
	// Its mark, and those of all above it, are learned by that.
	if (above !== NO_NODE) directories.get(above);
	if (redirects.areMade && leadsElsewhere(overlay, node)) nodes.detach(node);
	overlay.trim();
}

function leadsElsewhere({ nodes, directories, inodes }: Overlay, node: NodeId): boolean {
	const fd = directories.openByNames(node, O_PATH);
	if (fd < 0) return false;
	const looked = statDescriptor(fd, STAT);
	close(fd);
	if (looked < 0) return false;
	inodes.translate(nodes.layer(node), inodeLow(STAT), inodeHigh(STAT));
	return inodes.low !== nodes.inodeLow(node) || inodes.high !== nodes.inodeHigh(node);
}

/** Names of what has none in the mount stay, as does what others have who use the same workdir. */
function takeOverWorkdir({ work, nodes, parked }: Overlay): void {
	if (work === undefined) return;
	for (const name of namesIn(work.fd)) {
		const node = parked.nodeOf(name);
		if (node !== NO_NODE && nodes.has(node) && !nodes.isNamed(node)) {
			parked.add(node);
		} else if (node !== NO_NODE || work.isLeftBehind(name)) {
			const scratch = store(name);
			work.discard(scratch);
			release(scratch, name.length + 1);
		}
	}
}

/** What somebody may still be in gets a copy that stands for it. */
function takeOverRemoved(overlay: Overlay, warn: (message: string) => void): void {
	const { nodes, work, parked } = overlay;
	const { removedDirectories } = parked;
	for (const directory of removedDirectories?.all ?? []) {
		const { node } = directory;
		if (work !== undefined && nodes.has(node) && !nodes.isNamed(node)) {
			// The predecessor may have begun with it.
			work.discard(parked.name(node));
			try {
				makeCopy(overlay, node, (fd, name) => appearAs(overlay, directory, fd, name));
			} catch (error) {
				if (!(error instanceof Errno)) throw error;
				warn(`a removed directory that may be in use is lost: ${error.message}`);
			}
		}
		removedDirectories!.forget(node);
	}
}

function appearAs(overlay: Overlay, { uid, gid, mode, times }: RemovedDirectory, fd: Fd, name: Name): void {
	giveTo(overlay, fd, name, uid, gid);
	check(changeMode(fd, name, mode & MODE_BITS));
	check(changeTimes(fd, name, times));
}

/** Has the node table follow the change in hand, if that was made; returns whether it was. */
function reconcile(overlay: Overlay, journal: Journal): boolean {
	const { kind, from, to } = journal;
	switch (kind) {
		case change.copying:
			if (overlay.nodes.has(from.node)) followCopy(overlay, journal, from);
			return false;
		case change.making:
			return look(overlay, from) === "there";
		case change.removing:
			return followRemoval(overlay, journal, from);
		case change.moving:
		case change.exchanging:
			return followMove(overlay, journal, from, to);
		case change.goingByAnother:
			followName(overlay, from);
			return false;
		case change.settingAttribute:
			return true;
		default:
			return false;
	}
}

/** What the upper layer has under a name, with its attributes in STAT if it is "there". */
function look(overlay: Overlay, { parent, name }: Names): "there" | "whiteout" | "absent" {
	const upper = overlay.directories.get(parent).fds[0]!;
	if (!overlay.isUpper(parent)) return "absent";
	if (succeeds(stat(upper, name, STAT))) return isWhiteoutDevice(STAT) ? "whiteout" : "there";
	return hasWhiteoutFile(upper, name, lengthOf(name)) ? "whiteout" : "absent";
}

/** A lower object had nothing in the upper layer: what is there now is its copy, of which the table may know a part. */
function followCopy(overlay: Overlay, journal: Journal, from: Names): void {
	const { nodes, parked, work, inodes } = overlay;
	const { node } = from;
	if (!nodes.isNamed(node)) {
		if (work === undefined || !succeeds(stat(work.fd, parked.name(node), STAT))) return;
		nodes.detach(node);
	} else if (look(overlay, from) !== "there") {
		return;
	} else {
		// Nothing in it has changed.
		changeTimesOf(overlay.directories.get(from.parent).fds[0]!, journal.times);
	}
	nodes.setLayer(node, 0);
	if (nodes.kind(node) === DT_DIR) nodes.setFlag(node, PURE, false);
	const [low, high] = journal.inode;
	if (low === 0 && high === 0) return;
	inodes.translate(0, low, high);
	nodes.setInode(node, inodes.low, inodes.high);
}

function followRemoval(overlay: Overlay, journal: Journal, from: Names): boolean {
	const [wasUpper] = journal.inode;
	const found = look(overlay, from);
	if (found === "there" || (found === "absent" && wasUpper === 0)) return false;
	if (goesBy(overlay, from)) overlay.loseName(from.node);
	return true;
}

function followMove(overlay: Overlay, journal: Journal, from: Names, to: Names): boolean {
	const [low, high] = journal.inode;
	const isMoved = look(overlay, to) === "there" && inodeLow(STAT) === low && inodeHigh(STAT) === high;
	if (!isMoved) return false;
	const moves: [NodeId, Names][] = [];
	if (isBetween(overlay, from.node, from, to)) moves.push([from.node, to]);
	if (journal.kind !== change.exchanging) {
		if (goesBy(overlay, to)) overlay.loseName(to.node);
	} else if (isBetween(overlay, to.node, from, to)) {
		moves.push([to.node, from]);
	}
	for (const [node] of moves) overlay.nodes.detach(node);
	for (const [node, { parent, name }] of moves) overlay.nodes.attach(node, parent, name, measure(name));
	return true;
}

/**
 * Whether a node went by one of the two names that a move is about: by the table it goes by either still, or by none for the
 * moment that the predecessor has ended at. Else it has a third one.
 */
function isBetween(overlay: Overlay, node: NodeId, from: Names, to: Names): boolean {
	const { nodes } = overlay;
	if (node === NO_NODE || !nodes.has(node)) return false;
	return !nodes.isNamed(node) || goesBy(overlay, { ...from, node }) || goesBy(overlay, { ...to, node });
}

/** The file goes by another of its names. */
function followName(overlay: Overlay, { node, parent, name }: Names): void {
	const { nodes } = overlay;
	if (nodes.has(node) && !nodes.isNamed(node)) nodes.attach(node, parent, name, measure(name));
}

/** Whether a node is what the table has under the name. */
function goesBy({ nodes }: Overlay, { node, parent, name }: Names): boolean {
	return node !== NO_NODE && nodes.has(node) && nodes.find(parent, name, measure(name)) === node;
}
