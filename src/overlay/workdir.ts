/**
 * The scratch directory beside the upper layer, and what the upper's file system can do.
 *
 * Every change that takes more than one step is made here and moved into the upper layer by one rename, so that a
 * crash leaves junk only here, which the next mount clears away. Used: `WORKDIR/work`, mode 0700, locked by the
 * mount that uses it.
 */

import {
	AT_REMOVEDIR,
	EEXIST,
	EIO,
	ENOENT,
	LOCK_EX,
	LOCK_NB,
	O_DIRECTORY,
	O_NOFOLLOW,
	O_RDONLY,
	RENAME_EXCHANGE,
	RENAME_NOREPLACE,
	RENAME_WHITEOUT,
	S_IFCHR,
	S_IFREG,
} from "../native/layout.ts";
import { makeDirectory, makeNode, moveName, removeName } from "../native/libc/directory.ts";
import { check, Errno, fail } from "../native/libc/errno.ts";
import { close, type Fd, lock, NO_FD, openAt } from "../native/libc/file.ts";
import { changeMode } from "../native/libc/metadata.ts";
import { getAttributeOf, removeAttributeOf, setAttributeOf } from "../native/libc/xattr.ts";
import { EMPTY_NAME, type Name, reserve, store, writeString } from "../native/memory.ts";
import type { ByteString } from "../options.ts";
import { type Durability, neededDurability } from "./durability.ts";
import { emptyDirectory, isEmpty, removeTreeAt } from "./remove-tree.ts";
import { canMakeWhiteoutDevice, canSetTrustedAttributes, isForLackOfSpace, markImpure } from "./whiteout.ts";

const SELF = store("." as ByteString);
const WORK = store("work" as ByteString);
const DEFAULT_ACL = store("system.posix_acl_default" as ByteString);
/** On `WORKDIR/work`: whoever works here marks the directories into which files are copied up. */
const MARKING = store("user.fuseoverlayfs.impure" as ByteString);
const YES = store("y" as ByteString);
const SHARED_WHITEOUT = store("#whiteout" as ByteString);
const TEMPORARY_NAMES = [reserve(32), reserve(32), reserve(32), reserve(32)];

export class Workdir {
	fd: Fd = NO_FD;
	/** Another mount works here: its temporaries were left alone. */
	isShared = false;
	/** Whiteouts are `.wh.NAME` files, because devices cannot be made here or were asked not to. */
	fileWhiteouts: boolean;
	/** Attributes of the `trusted` namespace can be set; else `user` ones take their place. */
	trustedAttributes = false;
	/** Extended attributes can be set, of one namespace or the other. */
	keepsAttributes = false;
	/** Files may have been copied up by a program that does not mark their directories, as C fuse-overlayfs does not. */
	mayLackMarks = false;
	/** How a copy is made durable before it gets its name in the upper layer. */
	durability: Durability = "synced";
	/** The whiteout in the workdir to which others are hard links; undefined where links do not work. */
	sharedWhiteout: Name | undefined;
	private readonly directory: Fd;
	/** `RENAME_*` that the file system takes. */
	private renameFlags = 0;
	private serial = 0;

	/**
	 * Changes nothing yet: {@link prepare} must come before the first change.
	 * @param directory the user's work directory
	 * @param fileWhiteouts write `.wh.` files even where devices can be made
	 */
	constructor(directory: Fd, fileWhiteouts: boolean) {
		this.directory = directory;
		this.fileWhiteouts = fileWhiteouts;
	}

	/** Makes `WORKDIR/work`, empties it of what a crash left, and tries out the file system. */
	prepare(upper: Fd): void {
		const made = makeDirectory(this.directory, WORK, 0o700);
		if (made < 0 && made !== -EEXIST) fail(-made);
		this.fd = check(openAt(this.directory, WORK, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
		// What is made here gets its attributes from us, and inherits none from the user's directory.
		check(changeMode(this.directory, WORK, 0o700));
		removeAttributeOf(this.fd, DEFAULT_ACL);
		this.durability = neededDurability(this.fd);
		this.isShared = lock(this.fd, LOCK_EX | LOCK_NB) < 0;
		if (!this.isShared) emptyDirectory(this.fd);
		// A start value of its own keeps two mounts that share a workdir from meeting on a name.
		this.serial = this.isShared ? process.pid * 2 ** 20 : 0;
		this.fileWhiteouts ||= !canMakeWhiteoutDevice(this.fd, this.temporaryName());
		const probe = this.temporaryName();
		const probed = makeDirectory(this.fd, probe, 0o700);
		// On a full disk there must be mounts, too, so that it can be emptied.
		const isFull = isForLackOfSpace(probed);
		if (!isFull) check(probed);
		const probeFd = check(openAt(this.fd, isFull ? SELF : probe, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
		this.trustedAttributes = canSetTrustedAttributes(probeFd);
		this.keepsAttributes = markImpure(this, probeFd) || isFull;
		const isOurs = getAttributeOf(this.fd, MARKING, EMPTY_NAME, 0) >= 0;
		const isNew = !isOurs && isEmpty(upper) && setAttributeOf(this.fd, MARKING, YES, 1, 0) === 0;
		this.mayLackMarks = this.keepsAttributes && !isOurs && !isNew;
		close(probeFd);
		if (!isFull) check(removeName(this.fd, probe, AT_REMOVEDIR));
		this.tryRenames();
		if (!this.fileWhiteouts) this.shareNewWhiteout();
	}

	/** Whether renames in the upper layer can have a flag `RENAME_*`. */
	takes(flag: number): boolean {
		return (this.renameFlags & flag) !== 0;
	}

	private tryRenames(): void {
		const [one, other] = [this.temporaryName(), this.temporaryName()];
		for (const flag of [RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT]) {
			let made = makeDirectory(this.fd, one, 0o700);
			// The kernel does not ask the file system about changing places with nothing.
			if (made === 0 && flag === RENAME_EXCHANGE) made = makeNode(this.fd, other, S_IFREG | 0o600, 0);
			const result = made === 0 ? moveName(this.fd, one, this.fd, other, flag) : made;
			if (result === 0 || isForLackOfSpace(result)) this.renameFlags |= flag;
			this.discard(one);
			this.discard(other);
		}
	}

	/** Makes a fresh device node for whiteouts to be linked to, once the last has as many links as it may. */
	shareNewWhiteout(): void {
		removeName(this.fd, SHARED_WHITEOUT, 0);
		const made = makeNode(this.fd, SHARED_WHITEOUT, S_IFCHR, 0);
		this.sharedWhiteout = made === 0 || (made === -EEXIST && this.isShared) ? SHARED_WHITEOUT : undefined;
	}

	/** A name that nothing in the workdir has. The memory is used again by the fourth call after this. */
	temporaryName(): Name {
		const serial = ++this.serial;
		const name = TEMPORARY_NAMES[serial & 3]! as Name;
		writeString(name, `#${serial.toString(16)}` as ByteString);
		return name;
	}

	/** Removes a file or a whole directory from the workdir. */
	removeTree(name: Name): void {
		removeTreeAt(this.fd, name);
	}

	/** As {@link removeTree}, for what only tidies up: what cannot be removed is left to the next mount. */
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
