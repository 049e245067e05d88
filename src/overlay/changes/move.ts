/**
 * Moves by which something else gets a name of the upper layer under which lower layers have something, too. That must
 * not show at any moment, nor after a crash.
 *
 * Where the file system takes the flags of renameat2(2) one rename does it. Some do not (NFS, many FUSE file systems):
 * there it takes several, and meanwhile a file `.wh.NAME` hides what is below. Which is the case is tried out when
 * mounting: see {@link Workdir.takes}.
 */

import {
	EEXIST,
	ENOENT,
	EXDEV,
	RENAME_EXCHANGE,
	RENAME_NOREPLACE,
	RENAME_WHITEOUT,
	statx,
} from "../../native/layout.ts";
import { removeName } from "../../native/libc/directory.ts";
import { check, fail } from "../../native/libc/errno.ts";
import type { Fd } from "../../native/libc/file.ts";
import { stat } from "../../native/libc/metadata.ts";
import { type Name, reserve } from "../../native/memory.ts";
import { moveAsOwner } from "../layers/owner-access.ts";
import { removeTreeAt } from "../layers/remove-tree.ts";
import { checkMade, type Workdir } from "../layers/workdir.ts";
import { isWhiteoutName, linkWhiteout, placeWhiteoutFile, removeWhiteoutFile } from "../marks/whiteout.ts";
import { measure } from "../nodes/name.ts";

const STAT = reserve(statx.sizeof);

/**
 * Does `change`, of more than one step, to what has a name of the upper directory, with a file `.wh.NAME` beside it that
 * hides what is below. The file goes once something has the name again, which must hide that by itself. It stays where
 * nothing has, as the name's whiteout, and where `change` has failed: then it hides nothing that showed before.
 * Throws EIO for a name that leaves no room for the prefix, before anything is changed.
 */
export function covered(directory: Fd, name: Name, change: () => void): void {
	const { length } = measure(name);
	const isOurs = placeWhiteoutFile(directory, name, length);
	change();
	if (isOurs && stat(directory, name, STAT) === 0) removeWhiteoutFile(directory, name, length);
}

/**
 * Moves a finished object, opaque if it is a directory that must hide something, to a name of the upper layer that is free
 * or has a whiteout. Throws EEXIST for any other.
 */
export function moveOver(
	work: Workdir,
	from: Fd,
	temporary: Name,
	upper: Fd,
	name: Name,
	isDirectory: boolean,
): void {
	const moved = moveToFree(work, from, temporary, upper, name);
	if (moved !== -EEXIST) check(moved);
	else if (!isWhiteoutName(upper, name)) fail(EEXIST);
	else if (isDirectory) moveDirectoryOverWhiteout(work, from, temporary, upper, name, false);
	else check(moveAsOwner(from, temporary, upper, name, 0));
}

function moveToFree(work: Workdir, from: Fd, temporary: Name, upper: Fd, name: Name): number {
	if (work.takes(RENAME_NOREPLACE)) return moveAsOwner(from, temporary, upper, name, RENAME_NOREPLACE);
	// Nobody else makes names in the upper layer.
	const found = stat(upper, name, STAT);
	if (found === -ENOENT) return moveAsOwner(from, temporary, upper, name, 0);
	return found === 0 ? -EEXIST : found;
}

/**
 * Moves a directory of the upper layer, or of the workdir, to a name that has a whiteout device, which it cannot replace.
 * `leaves`: its old name is to have a whiteout then.
 */
export function moveDirectoryOverWhiteout(
	work: Workdir,
	from: Fd,
	name: Name,
	to: Fd,
	newName: Name,
	leaves: boolean,
): void {
	if (work.takes(RENAME_EXCHANGE)) {
		check(moveAsOwner(from, name, to, newName, RENAME_EXCHANGE));
		// Where the whiteout stays it hides nothing, and in the workdir it is left to the next mount.
		if (!leaves) removeName(from, name, 0);
		return;
	}
	covered(to, newName, () => {
		check(removeName(to, newName, 0));
		moveAway(work, from, name, to, newName, leaves);
	});
}

/** Moves a name of the upper layer over another that is free or has what it can replace; `leaves` a whiteout behind. */
export function moveAway(work: Workdir, from: Fd, name: Name, to: Fd, newName: Name, leaves: boolean): void {
	if (!leaves) {
		check(moveAsOwner(from, name, to, newName, 0));
	} else if (!work.fileWhiteouts && work.takes(RENAME_WHITEOUT)) {
		check(moveAsOwner(from, name, to, newName, RENAME_WHITEOUT));
	} else {
		covered(from, name, () => {
			check(moveAsOwner(from, name, to, newName, 0));
			// If that fails the file stays in its place.
			if (!work.fileWhiteouts) linkWhiteout(work, from, name);
		});
	}
}

/** Replaces a directory of the upper layer by a whiteout, in one step for whoever looks; what was in it is removed. */
export function replaceDirectoryByWhiteout(work: Workdir, directory: Fd, name: Name): void {
	const temporary = work.temporaryName();
	if (!work.fileWhiteouts && work.takes(RENAME_EXCHANGE)) {
		checkMade(linkWhiteout(work, work.fd, temporary));
		const result = moveAsOwner(work.fd, temporary, directory, name, RENAME_EXCHANGE);
		if (result < 0) {
			removeName(work.fd, temporary, 0);
			fail(-result);
		}
	} else {
		covered(directory, name, () => {
			const moved = moveAsOwner(directory, name, work.fd, temporary, 0);
			// Another overlay is the file system under us, and has lower content in the directory.
			if (moved === -EXDEV) removeTreeAt(directory, name);
			else check(moved);
			// If that fails the file stays in its place.
			if (!work.fileWhiteouts) linkWhiteout(work, directory, name);
		});
	}
	work.discard(temporary);
}
