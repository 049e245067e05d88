/** Removing whole trees from a layer or a workdir, and what has to be known of a directory for it. */

import {
	AT_REMOVEDIR,
	DT_DIR,
	EEXIST,
	EISDIR,
	ENOENT,
	ENOTDIR,
	ENOTEMPTY,
	linuxDirent64,
	O_DIRECTORY,
	O_NOFOLLOW,
	O_PATH,
	O_RDONLY,
	SEEK_SET,
	statx,
} from "../../native/layout.ts";
import { isDot, readEntries, removeName } from "../../native/libc/directory.ts";
import { check, fail } from "../../native/libc/errno.ts";
import { close, type Fd, openAt, seek } from "../../native/libc/file.ts";
import { changeModeOfPath, statDescriptor } from "../../native/libc/metadata.ts";
import { modeOf } from "../../native/libc/stat.ts";
import {
	bytes,
	lengthOf,
	type Name,
	readString,
	release,
	reserve,
	sameBytes,
	store,
	view,
} from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";

const MODE_BITS = 0o7777;
const OWN_ACCESS = 0o700;
const SELF = store("." as ByteString);
const STAT = reserve(statx.sizeof);
const ENTRIES_SIZE = 32768;
const ENTRIES = reserve(ENTRIES_SIZE);

/** Removes a file or a whole directory. */
export function removeTreeAt(directory: Fd, name: Name): void {
	const asFile = removeName(directory, name, 0);
	if (asFile === 0 || asFile === -ENOENT) return;
	const asDirectory = removeName(directory, name, AT_REMOVEDIR);
	if (asDirectory === 0 || asDirectory === -ENOENT) return;
	if (asDirectory !== -ENOTEMPTY && asDirectory !== -EEXIST)
		fail(asDirectory === -ENOTDIR ? -asFile : -asDirectory);
	const fd = check(openAt(directory, name, O_PATH | O_DIRECTORY | O_NOFOLLOW));
	try {
		emptyDirectory(fd);
	} finally {
		close(fd);
	}
	check(removeName(directory, name, AT_REMOVEDIR));
}

/**
 * Removes everything in a directory, of which `directory` may be an O_PATH descriptor, even if its owner, as which this
 * process runs, may not. Users may have it open: its mode is the same afterwards. `kept`: a name to leave as it is.
 */
export function emptyDirectory(directory: Fd, kept?: Name): void {
	check(statDescriptor(directory, STAT));
	const mode = modeOf(STAT) & MODE_BITS;
	const isClosed = (mode & OWN_ACCESS) !== OWN_ACCESS;
	// Where this is refused, what follows tells.
	const isOpened = isClosed && changeModeOfPath(directory, mode | OWN_ACCESS) === 0;
	try {
		const reader = check(openAt(directory, SELF, O_RDONLY | O_DIRECTORY));
		try {
			removeEntries(reader, kept);
		} finally {
			close(reader);
		}
	} finally {
		if (isOpened) check(changeModeOfPath(directory, mode));
	}
}

/** A subdirectory is emptied first and the reading begun again after it. */
function removeEntries(directory: Fd, kept: Name | undefined): void {
	for (;;) {
		check(seek(directory, 0, SEEK_SET));
		const nested = removeFiles(directory, kept);
		if (nested === undefined) return;
		const name = store(nested);
		removeTreeAt(directory, name);
		release(name, nested.length + 1);
	}
}

/** Removes the files of a directory; returns the first subdirectory's name, once one is met that is not empty. */
function removeFiles(directory: Fd, kept: Name | undefined): ByteString | undefined {
	for (;;) {
		const length = check(readEntries(directory, ENTRIES, ENTRIES_SIZE));
		if (length === 0) return undefined;
		for (let at = 0; at < length; at += view.getUint16(ENTRIES + at + linuxDirent64.dReclen, true)) {
			const name = (ENTRIES + at + linuxDirent64.dName) as Name;
			if (isDot(name) || (kept !== undefined && sameBytes(name, kept, lengthOf(kept) + 1))) continue;
			const isDirectory = bytes[ENTRIES + at + linuxDirent64.dType] === DT_DIR;
			const flags = isDirectory ? AT_REMOVEDIR : 0;
			const result = removeName(directory, name, flags);
			if (result === 0 || result === -ENOENT) continue;
			if (result !== -ENOTEMPTY && result !== -EEXIST && result !== -EISDIR) fail(-result);
			return readString(name);
		}
	}
}

/** Whether a directory holds nothing. */
export function isEmpty(directory: Fd): boolean {
	return namesIn(directory, 1).length === 0;
}

/** The names in a directory, the first `most` of them. */
export function namesIn(directory: Fd, most = Number.POSITIVE_INFINITY): ByteString[] {
	const names: ByteString[] = [];
	check(seek(directory, 0, SEEK_SET));
	for (;;) {
		const length = check(readEntries(directory, ENTRIES, ENTRIES_SIZE));
		if (length === 0) return names;
		for (let at = 0; at < length; at += view.getUint16(ENTRIES + at + linuxDirent64.dReclen, true)) {
			const name = (ENTRIES + at + linuxDirent64.dName) as Name;
			if (isDot(name)) continue;
			names.push(readString(name));
			if (names.length >= most) return names;
		}
	}
}
