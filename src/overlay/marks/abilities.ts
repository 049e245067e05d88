/**
 * What the file system of the upper layer can do, tried out in the workdir when mounting: devices, attributes, hard links,
 * flags of rename. It is noted in the workdir, and nobody tries again.
 */

import {
	AT_REMOVEDIR,
	O_DIRECTORY,
	O_NOFOLLOW,
	O_RDONLY,
	RENAME_EXCHANGE,
	RENAME_NOREPLACE,
	RENAME_WHITEOUT,
	S_IFREG,
	statx,
} from "../../native/layout.ts";
import { makeDirectory, makeNode, moveName, removeName } from "../../native/libc/directory.ts";
import { check, isForLackOfSpace } from "../../native/libc/errno.ts";
import { close, type Fd, openAt } from "../../native/libc/file.ts";
import { statDescriptor } from "../../native/libc/metadata.ts";
import { effectiveGid, effectiveUid } from "../../native/libc/process.ts";
import { getAttributeOf, setAttributeOf } from "../../native/libc/xattr.ts";
import { EMPTY_NAME, reserve, store, words } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import { isEmpty } from "../layers/remove-tree.ts";
import type { Workdir } from "../layers/workdir.ts";
import { canMakeWhiteoutDevice, canSetTrustedAttributes, markImpure, shareNewWhiteout } from "./whiteout.ts";

const SELF = store("." as ByteString);
/** On `WORKDIR/work`: whoever works here marks the directories into which files are copied up. */
const MARKING = store("user.fuseoverlayfs.impure" as ByteString);
const YES = store("y" as ByteString);
const STAT = reserve(statx.sizeof);

/**
 * Opens the workdir and tries out the file system, see {@link tryOut}. `isUsed`: others are known to use the workdir.
 */
export function prepareWorkdir(work: Workdir, upper: Fd, isUsed = false): void {
	work.open(isUsed);
	tryOut(work, upper);
}

/** Tries out the file system of a workdir that is open; `upper` is the root of the upper layer. Throws what that may. */
export function tryOut(work: Workdir, upper: Fd): void {
	work.fileWhiteouts ||= !canMakeWhiteoutDevice(work.fd, work.temporaryName());
	tryAttributes(work, upper);
	tryRenames(work);
	if (!work.fileWhiteouts) shareNewWhiteout(work);
}

function tryAttributes(work: Workdir, upper: Fd): void {
	const probe = work.temporaryName();
	const made = makeDirectory(work.fd, probe, 0o700);
	// On a full disk there must be mounts, too, so that it can be emptied.
	const isFull = isForLackOfSpace(made);
	if (!isFull) check(made);
	const fd = check(openAt(work.fd, isFull ? SELF : probe, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
	work.handsDownGroup = !isFull && isOfOtherGroup(fd);
	work.trustedAttributes = !work.options.userAttributes && canSetTrustedAttributes(fd);
	work.keepsAttributes = markImpure(work, fd) === 0 || isFull;
	const isOurs = getAttributeOf(work.fd, MARKING, EMPTY_NAME, 0) >= 0;
	const isNew = !isOurs && isEmpty(upper) && setAttributeOf(work.fd, MARKING, YES, 1, 0) === 0;
	work.mayLackMarks = work.keepsAttributes && !isOurs && !isNew;
	close(fd);
	if (!isFull) check(removeName(work.fd, probe, AT_REMOVEDIR));
}

/** Whether what this process has made, open on `fd`, has another group than its own; where another user, too, nothing is ours. */
function isOfOtherGroup(fd: Fd): boolean {
	check(statDescriptor(fd, STAT));
	const [uid, gid] = [words[(STAT + statx.stxUid) >>> 2], words[(STAT + statx.stxGid) >>> 2]];
	return uid === effectiveUid() && gid !== effectiveGid();
}

function tryRenames(work: Workdir): void {
	const [one, other] = [work.temporaryName(), work.temporaryName()];
	for (const flag of [RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT]) {
		let made = makeDirectory(work.fd, one, 0o700);
		// The kernel does not ask the file system about changing places with nothing.
		if (made === 0 && flag === RENAME_EXCHANGE) made = makeNode(work.fd, other, S_IFREG | 0o600, 0);
		const result = made === 0 ? moveName(work.fd, one, work.fd, other, flag) : made;
		if (result === 0 || isForLackOfSpace(result)) work.renameFlags |= flag;
		work.discard(one);
		work.discard(other);
	}
}
