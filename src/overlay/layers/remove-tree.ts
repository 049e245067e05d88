/** Removing whole trees from a layer or a workdir, and what has to be known of a directory for it. */

import {
	AT_REMOVEDIR,
	DT_DIR,
	EACCES,
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
} from "../../native/layout.ts";
import { isDot, readEntries, removeName } from "../../native/libc/directory.ts";
import { check, fail } from "../../native/libc/errno.ts";
import { close, type Fd, openAt, seek } from "../../native/libc/file.ts";
import { changeModeOf, changeModeOfPath } from "../../native/libc/metadata.ts";
import { bytes, type Name, readString, release, reserve, store, view } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";

const OWN_ACCESS = 0o700;
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
	const fd = openToEmpty(directory, name);
	try {
		emptyDirectory(fd);
	} finally {
		close(fd);
	}
	check(removeName(directory, name, AT_REMOVEDIR));
}

/** Opens a directory that is about to go, even if its owner, as which this process runs, may not read it. */
function openToEmpty(directory: Fd, name: Name): Fd {
	const fd = openAt(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	if (fd !== -EACCES) return check(fd);
	const closed = check(openAt(directory, name, O_PATH | O_DIRECTORY | O_NOFOLLOW));
	changeModeOfPath(closed, OWN_ACCESS);
	close(closed);
	return check(openAt(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
}

/** Removes everything in a directory; a subdirectory is emptied first and the reading begun again after it. */
export function emptyDirectory(directory: Fd): void {
	for (;;) {
		check(seek(directory, 0, SEEK_SET));
		const nested = removeFiles(directory);
		if (nested === undefined) return;
		const name = store(nested);
		removeTreeAt(directory, name);
		release(name, nested.length + 1);
	}
}

/** Removes the files of a directory; returns the first subdirectory's name, once one is met that is not empty. */
function removeFiles(directory: Fd): ByteString | undefined {
	for (;;) {
		const length = check(readEntries(directory, ENTRIES, ENTRIES_SIZE));
		if (length === 0) return undefined;
		for (let at = 0; at < length; at += view.getUint16(ENTRIES + at + linuxDirent64.dReclen, true)) {
			const name = (ENTRIES + at + linuxDirent64.dName) as Name;
			if (isDot(name)) continue;
			const isDirectory = bytes[ENTRIES + at + linuxDirent64.dType] === DT_DIR;
			const flags = isDirectory ? AT_REMOVEDIR : 0;
			let result = removeName(directory, name, flags);
			if (result === -EACCES && changeModeOf(directory, OWN_ACCESS) === 0)
				result = removeName(directory, name, flags);
			if (result === 0 || result === -ENOENT) continue;
			if (result !== -ENOTEMPTY && result !== -EEXIST && result !== -EISDIR) fail(-result);
			return readString(name);
		}
	}
}

/** Whether a directory holds nothing. */
export function isEmpty(directory: Fd): boolean {
	check(seek(directory, 0, SEEK_SET));
	const length = check(readEntries(directory, ENTRIES, ENTRIES_SIZE));
	for (let at = 0; at < length; at += view.getUint16(ENTRIES + at + linuxDirent64.dReclen, true)) {
		if (!isDot((ENTRIES + at + linuxDirent64.dName) as Name)) return false;
	}
	return true;
}
