/**
 * `WORKDIR/work/incompat`: each name in it stands for something that whoever mounts must know of; kernel overlayfs refuses to
 * go on with such a workdir.
 *
 * The one there is, `volatile`, says that what was written was not made durable: after a crash of the machine the upper layer
 * may be damaged. It is left behind by unmounting. In `volatile/dirty`, which the kernel leaves empty, we note the boot: as
 * long as the machine has not been started again nothing was lost, whatever became of who wrote it.
 * Source: Linux fs/overlayfs/super.c, ovl_create_volatile_dirty; readdir.c, ovl_workdir_cleanup_recurse.
 */

import {
	EEXIST,
	ELOOP,
	ENOENT,
	ENOTDIR,
	O_CREAT,
	O_DIRECTORY,
	O_EXCL,
	O_NOFOLLOW,
	O_NONBLOCK,
	O_RDONLY,
	O_WRONLY,
} from "../../native/layout.ts";
import { readText } from "../../native/libc/by-path.ts";
import { makeDirectory } from "../../native/libc/directory.ts";
import { check, fail, isForLackOfSpace } from "../../native/libc/errno.ts";
import { close, type Fd, openAt, pread, write } from "../../native/libc/file.ts";
import { EMPTY_NAME, type Name, readBytes, reserve, store, writeString } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import { asOwner } from "./owner-access.ts";
import { namesIn } from "./remove-tree.ts";

const VOLATILE_NAME = "volatile" as ByteString;
export const INCOMPAT = store("incompat" as ByteString);
const VOLATILE = store(VOLATILE_NAME);
const DIRTY = store("dirty" as ByteString);
const ABSENT = [-ENOENT, -ENOTDIR, -ELOOP];

const BOOT_SIZE = 36;
const BOOT = reserve(BOOT_SIZE + 1);

export interface Incompatibility {
	/** Its name in `incompat`. */
	readonly feature: ByteString;
	/** What was written without being made durable cannot have been lost: it was in this boot. */
	readonly isHarmless: boolean;
}

/** What `incompat` in `WORKDIR/work` says, the worst first; undefined: nothing. Throws what looking may. */
export function readIncompatibility(work: Fd): Incompatibility | undefined {
	const incompat = openDirectory(work, INCOMPAT);
	if (incompat === undefined) return undefined;
	try {
		const names = namesIn(incompat);
		const unknown = names.find((name) => name !== VOLATILE_NAME);
		if (unknown !== undefined) return { feature: unknown, isHarmless: false };
		if (names.length === 0) return undefined;
		const boot = thisBoot();
		return { feature: VOLATILE_NAME, isHarmless: boot !== undefined && notedBoot(incompat) === boot };
	} finally {
		close(incompat);
	}
}

/** Opens a directory, whatever its mode is: those that the kernel makes are closed. undefined: there is none. */
export function openDirectory(parent: Fd, name: Name): Fd | undefined {
	const open = () => openAt(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	const fd = asOwner(open, [parent, EMPTY_NAME], [parent, name]) as Fd;
	return ABSENT.includes(fd) ? undefined : check(fd);
}

function notedBoot(incompat: Fd): string | undefined {
	const mark = openDirectory(incompat, VOLATILE);
	if (mark === undefined) return undefined;
	const open = () => openAt(mark, DIRTY, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	const dirty = asOwner(open, [mark, EMPTY_NAME], [mark, DIRTY]) as Fd;
	close(mark);
	if (dirty < 0) return undefined;
	const length = pread(dirty, BOOT, BOOT_SIZE, 0);
	close(dirty);
	return length === BOOT_SIZE ? readBytes(BOOT, BOOT_SIZE) : undefined;
}

/** Names this start of the machine; undefined where the kernel does not tell. */
function thisBoot(): string | undefined {
	try {
		return readText("/proc/sys/kernel/random/boot_id").trim();
	} catch {
		return undefined;
	}
}

/** Marks a workdir, of which `work` is open, as volatile, unless it is so marked. Throws what making files may. */
export function markVolatile(work: Fd): void {
	const incompat = makeAndOpen(work, INCOMPAT);
	try {
		const mark = makeAndOpen(incompat, VOLATILE);
		try {
			noteBoot(mark);
		} finally {
			close(mark);
		}
	} finally {
		close(incompat);
	}
}

function makeAndOpen(parent: Fd, name: Name): Fd {
	const made = makeDirectory(parent, name, 0o700);
	if (made !== -EEXIST) check(made);
	return openDirectory(parent, name) ?? fail(ENOTDIR);
}

function noteBoot(mark: Fd): void {
	const dirty = openAt(mark, DIRTY, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
	if (dirty === -EEXIST) return;
	check(dirty);
	const boot = thisBoot();
	let written = 0;
	// Where it cannot be noted the mark is as the kernel makes it.
	if (boot?.length === BOOT_SIZE) {
		writeString(BOOT, boot as ByteString);
		written = write(dirty, BOOT, BOOT_SIZE);
	}
	close(dirty);
	// Such a mark would keep the disk from being mounted again, and emptied.
	if (isForLackOfSpace(written)) fail(-written);
}
