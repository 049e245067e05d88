/**
 * The scratch directory beside the upper layer, and what has been found out of their file system.
 *
 * Every change that takes more than one step is made here and moved into the upper layer by one rename, so that a
 * crash leaves junk only here, which the next mount clears away. Used: `WORKDIR/work`, mode 0700, locked by the
 * mount that uses it (in-use.ts). What is in `WORKDIR/work/incompat` stays (volatile.ts).
 */

import { EEXIST, EIO, ENOENT, ENOTDIR } from "../../native/layout.ts";
import { makeDirectory, removeName } from "../../native/libc/directory.ts";
import { check, Errno, fail, isForLackOfSpace } from "../../native/libc/errno.ts";
import { close, type Fd, NO_FD, syncFileSystem } from "../../native/libc/file.ts";
import { changeMode } from "../../native/libc/metadata.ts";
import { removeAttributeOf } from "../../native/libc/xattr.ts";
import { type Name, reserve, store, writeString } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import { type Durability, neededDurability } from "./durability.ts";
import { claim } from "./in-use.ts";
import { emptyDirectory, removeTreeAt } from "./remove-tree.ts";
import { INCOMPAT, markVolatile, openDirectory, readIncompatibility } from "./volatile.ts";

const WORK = store("work" as ByteString);
const DEFAULT_ACL = store("system.posix_acl_default" as ByteString);
/** Of the whiteout to which others are hard links. */
export const SHARED_WHITEOUT = store("#whiteout" as ByteString);
/** Numbers of temporary names: from 0 on, of mounts that share a workdir from a multiple of their process's on, above these. */
const SERIALS = 2 ** 20;
const SHARED = 2 ** 43;
/** Numbers of those who go on after another process. */
const TAKEN_OVER = 2 ** 44;
const TEMPORARY_NAMES = [reserve(32), reserve(32), reserve(32), reserve(32)];

export interface WorkdirOptions {
	/** Write `.wh.` files even where devices can be made. */
	readonly fileWhiteouts: boolean;
	/** Keep marks in attributes of users even where those of the `trusted` namespace can be set. */
	readonly userAttributes: boolean;
	/** Nothing is made durable, and a mark is to say so. */
	readonly isVolatile: boolean;
	/** Of copies all is made durable before they get their names, and so are copied directories. */
	readonly syncsAll: boolean;
}

export class Workdir {
	fd: Fd = NO_FD;
	/** Another mount works here: its temporaries were left alone. */
	isShared = false;
	/** What was written to the upper layer is to count as lost after a crash of the machine, and nothing says so. */
	lacksVolatileMark = false;
	/** Whiteouts are `.wh.NAME` files, because devices cannot be made here or were asked not to. */
	fileWhiteouts: boolean;
	/** Attributes of the `trusted` namespace can be set; else `user` ones take their place. */
	trustedAttributes = false;
	/** Extended attributes can be set, of one namespace or the other. */
	keepsAttributes = false;
	/** Files may have been copied up by a program that does not mark their directories, as C fuse-overlayfs does not. */
	mayLackMarks = false;
	/** What is made here is not of this process's group but of the directory's, as the file system was mounted (`grpid`). */
	handsDownGroup = false;
	/** How a copy is made durable before it gets its name in the upper layer. */
	durability: Durability = "synced";
	/** `RENAME_*` that the file system takes. */
	renameFlags = 0;
	/** The whiteout in the workdir to which others are hard links; undefined where links do not work. */
	sharedWhiteout: Name | undefined;
	readonly options: WorkdirOptions;
	/** The user's work directory, and its absolute path, without symlinks. */
	readonly directory: Fd;
	readonly path: ByteString;
	/** There was a mark of a volatile mount before, of this boot. */
	private wasVolatile = false;
	private serial = 0;

	/** Changes nothing yet: before the first change it must be opened, and the file system tried out (abilities.ts). */
	constructor({ fd, path }: { readonly fd: Fd; readonly path: ByteString }, options: WorkdirOptions) {
		this.directory = fd;
		this.path = path;
		this.options = options;
		this.fileWhiteouts = options.fileWhiteouts;
	}

	/** Why this workdir must not be used, as the feature says that a mark in it names; undefined: it may. */
	obstacle(): ByteString | undefined {
		const work = openDirectory(this.directory, WORK);
		if (work === undefined) return undefined;
		const found = readIncompatibility(work);
		close(work);
		this.wasVolatile = found?.isHarmless ?? false;
		return this.wasVolatile ? undefined : found?.feature;
	}

	/**
	 * Makes `WORKDIR/work` and empties it of what a crash left, unless others use it. Throws what making and emptying may, and
	 * what syncing the file system may where an earlier mount has not cared for that and this one does.
	 * @param isUsed by whom no lock tells of
	 */
	open(isUsed: boolean): void {
		const made = makeDirectory(this.directory, WORK, 0o700);
		if (made < 0 && made !== -EEXIST) fail(-made);
		this.fd = openDirectory(this.directory, WORK) ?? fail(ENOTDIR);
		// What is made here gets its attributes from us, and inherits none from the user's directory.
		check(changeMode(this.directory, WORK, 0o700));
		removeAttributeOf(this.fd, DEFAULT_ACL);
		this.durability = this.options.syncsAll ? "whole" : neededDurability(this.fd);
		this.isShared = !claim(this.fd) || isUsed;
		if (!this.isShared) emptyDirectory(this.fd, this.wasVolatile ? INCOMPAT : undefined);
		if (this.options.isVolatile) this.mark();
		else if (this.wasVolatile && !this.isShared) this.unmark();
		// A start value of its own keeps two mounts that share a workdir from meeting on a name.
		this.serial = this.isShared ? SHARED + process.pid * SERIALS : 0;
	}

	/**
	 * Goes on with `WORKDIR/work` as another process has left it, with its lock. `times`: how often that has happened, this time
	 * included.
	 */
	takeOver(work: Fd, times: number): void {
		this.fd = work;
		this.serial = TAKEN_OVER + times * SERIALS;
		this.durability = this.options.syncsAll ? "whole" : neededDurability(work);
	}

	private mark(): void {
		try {
			markVolatile(this.fd);
		} catch (error) {
			// On a full disk there must be mounts, too, so that it can be emptied.
			if (!(error instanceof Errno) || !isForLackOfSpace(-error.code)) throw error;
			removeTreeAt(this.fd, INCOMPAT);
			this.lacksVolatileMark = true;
		}
	}

	/** What is there is made durable; then it is as any other upper layer. */
	private unmark(): void {
		check(syncFileSystem(this.fd));
		removeTreeAt(this.fd, INCOMPAT);
	}

	/** Whether renames in the upper layer can have a flag `RENAME_*`. */
	takes(flag: number): boolean {
		return (this.renameFlags & flag) !== 0;
	}

	/** A name that nothing in the workdir has. The memory is used again by the fourth call after this. */
	temporaryName(): Name {
		const serial = ++this.serial;
		const name = TEMPORARY_NAMES[serial & 3]! as Name;
		writeString(name, `#${serial.toString(16)}` as ByteString);
		return name;
	}

	/** Whether a name is a temporary one of a predecessor, who has had the workdir's lock. */
	isLeftBehind(name: ByteString): boolean {
		const [, digits] = /^#([0-9a-f]+)$/.exec(name) ?? [];
		if (digits === undefined) return false;
		const serial = Number.parseInt(digits, 16);
		return serial < SHARED || serial >= TAKEN_OVER;
	}

	/** Removes a file or a whole directory from the workdir; what cannot be removed is left to the next mount. */
	discard(name: Name): void {
		try {
			removeTreeAt(this.fd, name);
		} catch (error) {
			if (!(error instanceof Errno)) throw error;
		}
	}

	close(): void {
		close(this.directory);
		if (this.fd === NO_FD) return;
		removeName(this.fd, SHARED_WHITEOUT, 0);
		close(this.fd);
	}
}

/** Checks that something was made in a workdir: of one that is gone the caller's names say nothing. Throws EIO then. */
export function checkMade<Result extends number>(result: Result): Result {
	if (result === -ENOENT) fail(EIO);
	return check(result);
}
