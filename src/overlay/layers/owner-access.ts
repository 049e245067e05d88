/**
 * What an ordinary user's daemon does to its own files and directories of any mode. Users may change a file in a directory
 * that they may not write to, remove such a directory, make one, and go on with an open file whose mode was changed; for the
 * daemon that is a name in it, a mark on it, a move of it to another parent, or opening it only then, for which the kernel
 * wants access. Privileged processes have that anyway; others own what is in their upper layer, and give it to themselves
 * meanwhile. A crash in between leaves a right that the owner could take at any time, and nobody else gets.
 */

import {
	EACCES,
	O_NOFOLLOW,
	O_PATH,
	RENAME_EXCHANGE,
	S_IFDIR,
	S_IFMT,
	S_IFREG,
	S_IRUSR,
	S_ISGID,
	S_IWUSR,
	S_IXUSR,
	statx,
} from "../../native/layout.ts";
import { moveName } from "../../native/libc/directory.ts";
import { check } from "../../native/libc/errno.ts";
import { close, duplicate, type Fd, openAt } from "../../native/libc/file.ts";
import { changeModeOfPath, statDescriptor } from "../../native/libc/metadata.ts";
import { EMPTY_NAME, type Name, type Offset, reserve, view } from "../../native/memory.ts";

const PROBE = reserve(statx.sizeof);
const MODE_BITS = 0o7777;

/** `name` in `directory`, or `directory` itself where the name is empty. */
type Place = readonly [directory: Fd, name: Offset];

/**
 * Runs `attempt`, which returns -errno where it fails; once more where these files and directories have refused it to their
 * owner. Throws what giving them back their modes may.
 */
export function asOwner(attempt: () => number, ...places: readonly Place[]): number {
	const result = attempt();
	if (result !== -EACCES) return result;
	const opened: { fd: Fd; mode: number }[] = [];
	try {
		for (const place of places) {
			const one = openUp(place);
			if (one !== undefined) opened.push(one);
		}
		return opened.length === 0 ? result : attempt();
	} finally {
		const restored = opened.map(({ fd, mode }) => {
			const closed = changeModeOfPath(fd, mode);
			close(fd);
			return closed;
		});
		for (const closed of restored) check(closed);
	}
}

/** renameat2(2), where directories change their parents. 0 or -errno. */
export function moveAsOwner(from: Fd, name: Name, to: Fd, newName: Name, flags: number): number {
	const result = moveName(from, name, to, newName, flags);
	return result === -EACCES ? moveOnceOwned(from, name, to, newName, flags) : result;
}

/** Apart, so that a closure is made where one is needed only. */
function moveOnceOwned(from: Fd, name: Name, to: Fd, newName: Name, flags: number): number {
	const places: Place[] = [
		[from, EMPTY_NAME],
		[to, EMPTY_NAME],
		[from, name],
	];
	if ((flags & RENAME_EXCHANGE) !== 0) places.push([to, newName]);
	return asOwner(() => moveName(from, name, to, newName, flags), ...places);
}

/** Gives its owner, if this process is it, access. Returns a descriptor and the mode there was. */
function openUp([directory, name]: Place): { fd: Fd; mode: number } | undefined {
	const fd = name === EMPTY_NAME ? duplicate(directory) : openAt(directory, name, O_PATH | O_NOFOLLOW);
	if (fd < 0) return undefined;
	const looked = statDescriptor(fd, PROBE);
	const mode = view.getUint16(PROBE + statx.stxMode, true);
	const needed = looked === 0 ? accessTo(mode & S_IFMT) : 0;
	const isClosed = (mode & needed) !== needed;
	if (isClosed && keepsGroupId(mode) && changeModeOfPath(fd, (mode & MODE_BITS) | needed) === 0)
		return { fd, mode: mode & MODE_BITS };
	close(fd);
	return undefined;
}

function accessTo(kind: number): number {
	if (kind === S_IFDIR) return S_IRUSR | S_IWUSR | S_IXUSR;
	return kind === S_IFREG ? S_IRUSR | S_IWUSR : 0;
}

/** Whether chmod(2) leaves the setgid bit of PROBE: from those outside the group it is taken. */
function keepsGroupId(mode: number): boolean {
	if ((mode & S_ISGID) === 0) return true;
	const gid = view.getUint32(PROBE + statx.stxGid, true);
	return gid === process.getegid?.() || (process.getgroups?.().includes(gid) ?? false);
}
