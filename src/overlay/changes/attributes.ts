/** Changing what stat(2) shows of a node: mode, owner, size, times. */

import {
	DT_DIR,
	DT_REG,
	EINVAL,
	EISDIR,
	EPERM,
	S_IFMT,
	S_ISGID,
	S_ISUID,
	S_IXGRP,
	statx,
	timespec,
	UTIME_NOW,
} from "../../native/layout.ts";
import { check, Errno, fail } from "../../native/libc/errno.ts";
import { truncate } from "../../native/libc/file.ts";
import {
	changeMode,
	changeModeOfPath,
	changeOwner,
	changeTimes,
	changeTimesOf,
	statDescriptor,
	statFlagged,
} from "../../native/libc/metadata.ts";
import { modeOf, sameTime, sizeOf } from "../../native/libc/stat.ts";
import { getNumber, type Int64, type Offset, reserve, setNumber, words } from "../../native/memory.ts";
import type { Place } from "../layers/layer.ts";
import { NO_ID } from "../marks/id-map.ts";
import { overrideOf } from "../marks/identity.ts";
import type { OverrideStat } from "../marks/override-stat.ts";
import type { NodeId } from "../nodes/node.ts";
import type { Overlay } from "../overlay.ts";
import { readAttributes, STAT } from "../reading/attributes.ts";
import { copyUp, copyUpTruncated } from "./copy-up.ts";
import { parkToChange } from "./nameless.ts";

const MODE_BITS = 0o7777;
/** Two `struct timespec` for what who may write to a file may do to another's, too, as by touch(1). */
const BOTH_NOW = reserve(2 * timespec.sizeof);
setNumber(BOTH_NOW + timespec.tvNsec, UTIME_NOW);
setNumber(BOTH_NOW + timespec.sizeof + timespec.tvNsec, UTIME_NOW);
/** Milliseconds that a request may take to get here. */
const MOMENT = 1000;

/** Who writes, as far as set-id bits depend on it. */
export interface Writer {
	/** Whether the process that writes is of this group, or is as free as its members. The id is one of the mount. */
	isInGroup(gid: number): boolean;
}

/** What to change; fields that are undefined stay as they are. Ids are those of the mount. */
export interface Changes {
	mode: number | undefined;
	uid: number | undefined;
	gid: number | undefined;
	size: Int64 | undefined;
	/** Two `struct timespec`, access and modification time; UTIME_OMIT and UTIME_NOW allowed. */
	times: Offset | undefined;
	/** The times are the kernel's own, which it writes back: what they say already is no change. */
	timesAreKernels: boolean;
	/** The kernel keeps the times by itself and changes none where the size stays as it is. */
	kernelKeepsTimes: boolean;
	/**
	 * For whom to take the suid and sgid bits away, as a write by an unprivileged process does. Alone: ctime is to move,
	 * too, as by chown(2) with neither user nor group.
	 */
	killPrivileges: Writer | undefined;
}

/** To be filled in. */
export const NO_CHANGES: Readonly<Changes> = {
	mode: undefined,
	uid: undefined,
	gid: undefined,
	size: undefined,
	times: undefined,
	timesAreKernels: false,
	kernelKeepsTimes: false,
	killPrivileges: undefined,
};

/** Changes attributes of a node and reads them anew into {@link STAT}. Copies up first. Throws what changing may. */
export function changeAttributes(overlay: Overlay, node: NodeId, changes: Changes): void {
	const { nodes } = overlay;
	parkToChange(overlay, node);
	const wasCopied = overlay.isUpper(node) || !nodes.isNamed(node);
	if (changes.timesAreKernels && changes.times !== undefined && wasCopied) {
		// Comes with every unlink, for one: nothing is copied up or written for it.
		readAttributes(overlay, node);
		if (sameTime(changes.times + timespec.sizeof, STAT + statx.stxMtime)) return;
	}
	if (changes.size === undefined) {
		copyUp(overlay, node);
	} else {
		if (nodes.kind(node) === DT_DIR) fail(EISDIR);
		if (nodes.kind(node) !== DT_REG) fail(EINVAL);
		copyUpTruncated(overlay, node, changes.size);
	}
	insist(overlay, node, () => apply(overlay, node, changes));
	readAttributes(overlay, node);
}

/** Changes an object of the upper layer, also where the directory above was closed to its owner, whom this process acts for. */
function insist(overlay: Overlay, node: NodeId, change: () => void): void {
	const attempt = () => {
		try {
			change();
			return 0;
		} catch (error) {
			if (!(error instanceof Errno)) throw error;
			return -error.code;
		}
	};
	check(overlay.attemptAt(node, attempt));
}

/** Changes what is to be changed. */
function apply(overlay: Overlay, node: NodeId, changes: Changes): void {
	if (changes.uid !== undefined || changes.gid !== undefined || isEmpty(changes))
		changeOwners(overlay, node, changes.uid, changes.gid);
	if (changes.size !== undefined) resize(overlay, node, changes.size, changes.kernelKeepsTimes);
	if (changes.mode !== undefined) changePermissions(overlay, node, changes.mode & MODE_BITS);
	if (changes.killPrivileges !== undefined) dropPrivileges(overlay, node, changes.killPrivileges);
	if (changes.times === undefined) return;
	const place = overlay.locate(node);
	let changed = changeTimesAt(place, changes.times);
	if (changed === -EPERM && areOfNow(changes.times)) changed = changeTimesAt(place, BOTH_NOW);
	// What is cut has the time of that by itself, and the kernel must not take it for whole.
	if (changes.size !== undefined) return;
	if (changes.timesAreKernels) asFarAsOwned(changed);
	else check(changed);
}

/**
 * To the size it has already changes the times, unless the kernel keeps them and sees no change (Linux fs/fuse/dir.c,
 * fuse_do_setattr).
 */
function resize(overlay: Overlay, node: NodeId, size: Int64, kernelKeepsTimes: boolean): void {
	const fd = overlay.files.writable(node);
	check(statDescriptor(fd, STAT));
	if (!kernelKeepsTimes || sizeOf(STAT) !== size) check(truncate(fd, size));
}

function isEmpty({ mode, uid, gid, size, times }: Changes): boolean {
	return [mode, uid, gid, size, times].every((change) => change === undefined);
}

function changeOwners(
	overlay: Overlay,
	node: NodeId,
	uid: number | undefined,
	gid: number | undefined,
): void {
	const place = overlay.locate(node);
	const { identity } = overlay;
	if (identity === undefined) {
		check(changeOwner(place.directory, place.name, uid ?? NO_ID, gid ?? NO_ID, place.flags));
		return;
	}
	const changesUid = uid !== undefined && identity.uid === undefined;
	const changesGid = gid !== undefined && identity.gid === undefined;
	const isForNobody = uid === undefined && gid === undefined;
	if (!changesUid && !changesGid && !isForNobody) return;
	const onDiskUid = changesUid ? identity.uids.onDisk(uid) : NO_ID;
	const onDiskGid = changesGid ? identity.gids.onDisk(gid) : NO_ID;
	if ((changesUid && onDiskUid === NO_ID) || (changesGid && onDiskGid === NO_ID)) fail(EINVAL);
	if (identity.attribute === undefined) {
		check(changeOwner(place.directory, place.name, onDiskUid, onDiskGid, place.flags));
		return;
	}
	const override = currentOverride(overlay, place);
	if (changesUid) override.uid = onDiskUid;
	if (changesGid) override.gid = onDiskGid;
	// As chown(2) does to what is not a directory.
	if (nodesKind(override.mode) !== DT_DIR) override.mode = withoutPrivileges(override.mode);
	check(identity.write(place.directory, place.name, override));
}

function changePermissions(overlay: Overlay, node: NodeId, mode: number): void {
	const place = overlay.locate(node);
	const { identity } = overlay;
	if (identity?.attribute !== undefined) {
		const override = currentOverride(overlay, place);
		override.mode = (override.mode & S_IFMT) | mode;
		check(identity.write(place.directory, place.name, override));
		return;
	}
	check(changeModeAt(place, mode));
}

/** chmod at a place; 0 or -errno. */
function changeModeAt(place: Place, mode: number): number {
	return place.flags === 0
		? changeMode(place.directory, place.name, mode)
		: changeModeOfPath(place.directory, mode);
}

/** utimensat at a place. Returns 0 or -errno. */
function changeTimesAt(place: Place, times: Offset): number {
	return place.flags === 0
		? changeTimes(place.directory, place.name, times)
		: changeTimesOf(place.directory, times);
}

/** Whether both times are asked to be the present one; that of modification the kernel may have chosen itself. */
function areOfNow(times: Offset): boolean {
	if (getNumber(times + timespec.tvNsec) !== UTIME_NOW) return false;
	const modified = times + timespec.sizeof;
	const nanoseconds = getNumber(modified + timespec.tvNsec);
	if (nanoseconds === UTIME_NOW) return true;
	const milliseconds = getNumber(modified + timespec.tvSec) * 1e3 + nanoseconds / 1e6;
	return Math.abs(Date.now() - milliseconds) < MOMENT;
}

/**
 * Checks what makes good, after a write, what the kernel knows better: only a file's owner can. Who may write to another's
 * file has written all the same.
 */
export function asFarAsOwned(result: number): void {
	if (result !== -EPERM) check(result);
}

/** The override attribute of an upper object, or what its inode says where it has none. */
function currentOverride(overlay: Overlay, place: Place): OverrideStat {
	check(statFlagged(place.directory, place.name, place.flags, STAT));
	overlay.identity?.applyOverride(0, place.directory, place.name, STAT);
	return overrideOf(STAT);
}

/**
 * Takes away the bits an unprivileged writer must not leave: suid, and sgid of a file that its group may execute or
 * that is of none of the writer's groups. The kernel under us does so only for writers without CAP_FSETID, which this
 * process may have; file capabilities it takes from any. Returns whether there were any.
 * Source: Linux fs/attr.c, setattr_should_drop_suidgid.
 */
export function killPrivileges(overlay: Overlay, node: NodeId, writer: Writer): boolean {
	let were = false;
	insist(overlay, node, () => {
		were = dropPrivileges(overlay, node, writer);
	});
	return were;
}

function dropPrivileges(overlay: Overlay, node: NodeId, writer: Writer): boolean {
	const place = overlay.locate(node);
	check(statFlagged(place.directory, place.name, place.flags, STAT));
	overlay.identity?.show(overlay.nodes.layer(node), place.directory, place.name, STAT);
	const mode = modeOf(STAT);
	let remaining = withoutPrivileges(mode);
	if ((remaining & S_ISGID) !== 0 && !writer.isInGroup(words[(STAT + statx.stxGid) >>> 2]!))
		remaining &= ~S_ISGID;
	if (remaining === mode) return false;
	changePermissions(overlay, node, remaining & MODE_BITS);
	return true;
}

function withoutPrivileges(mode: number): number {
	const suid = mode & ~S_ISUID;
	return (mode & S_IXGRP) === 0 ? suid : suid & ~S_ISGID;
}

function nodesKind(mode: number): number {
	return (mode & S_IFMT) >> 12;
}
