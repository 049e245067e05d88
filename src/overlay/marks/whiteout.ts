/**
 * Every decision on what hides what is below it.
 *
 * A whiteout hides one name of the lower layers. Read: a character device 0:0 of that name; an empty file
 * `.wh.NAME`; and, in a directory whose `overlay.opaque` is `x`, an empty file of that name with the attribute
 * `overlay.whiteout`. Written: the device, or the file where devices cannot be made.
 *
 * An opaque directory hides everything the lower layers have in it. Read: `trusted.overlay.opaque`,
 * `user.overlay.opaque` or `user.fuseoverlayfs.opaque` with value `y`, or a file `.wh..wh..opq` in it. Written:
 * `trusted.overlay.opaque`; without that privilege both `user.` attributes; the file where neither can be set.
 *
 * Source: Linux fs/overlayfs/namei.c and dir.c, the overlayfs document, and the OCI image layer format.
 */

import {
	EACCES,
	EEXIST,
	EIO,
	EMLINK,
	ENOENT,
	ENOSYS,
	EOPNOTSUPP,
	EPERM,
	NAME_MAX,
	S_IFCHR,
	S_IFMT,
	S_IFREG,
	statx,
} from "../../native/layout.ts";
import { makeLink, makeNode, moveName, removeName } from "../../native/libc/directory.ts";
import { check, fail, isForLackOfSpace, succeeds } from "../../native/libc/errno.ts";
import type { Fd } from "../../native/libc/file.ts";
import { stat } from "../../native/libc/metadata.ts";
import { modeOf, sizeOf } from "../../native/libc/stat.ts";
import { attributeNames, getAttribute, getAttributeOf, setAttributeOf } from "../../native/libc/xattr.ts";
import {
	bytes,
	copy,
	EMPTY_NAME,
	type Name,
	type Offset,
	readString,
	reserve,
	startsWith,
	store,
	words,
} from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import { asOwner } from "../layers/owner-access.ts";
import { checkMade, SHARED_WHITEOUT, type Workdir } from "../layers/workdir.ts";
import { isRedirected } from "./redirect.ts";

/** What stands for something else in a layer begins so. */
export const RESERVED_PREFIX = ".wh." as ByteString;
/** But for this: names of users, see user-name.ts. */
export const KEPT_PREFIX = ".wh..wh.+" as ByteString;
const OPAQUE_FILE = store(".wh..wh..opq" as ByteString);

const TRUSTED_OPAQUE = store("trusted.overlay.opaque" as ByteString);
const USER_OPAQUE = store("user.overlay.opaque" as ByteString);
/** As composefs keeps the marks of an overlay that is the content of another. */
const NESTED_OPAQUE = "trusted.overlay.overlay.opaque\0";
const FUSE_OPAQUE = store("user.fuseoverlayfs.opaque" as ByteString);
const OPAQUE_ATTRIBUTES = [TRUSTED_OPAQUE, USER_OPAQUE, FUSE_OPAQUE];
const WHITEOUT_ATTRIBUTES = ["trusted.overlay.whiteout", "user.overlay.whiteout"].map((name) =>
	store(name as ByteString),
);
const TRUSTED_IMPURE = store("trusted.overlay.impure" as ByteString);
const USER_IMPURE = store("user.overlay.impure" as ByteString);
const YES = store("y" as ByteString);

const VALUE = reserve(16);
const STAT = reserve(statx.sizeof);
const PREFIXED = reserve(NAME_MAX + 8) as Name;

/** What says that a whiteout cannot be linked to another name. */
const NO_LINKS = [-EMLINK, -EPERM, -ENOENT, -EOPNOTSUPP, -ENOSYS];

/** The directory hides what is below it. */
export const OPAQUE = 1;
/** Empty files in the directory may be whiteouts, by an attribute of theirs. */
export const ATTRIBUTE_WHITEOUTS = 2;
/** Files in the directory may have been copied up from elsewhere, so their origins must be looked at. */
export const IMPURE = 4;
/** The directory was renamed, and has its lower content under another name: see redirect.ts. */
export const REDIRECTED = 8;

/** Whether a name of a layer is one that a user gave, and kept in another form. */
export function isKept(name: Name): boolean {
	return startsWith(name, KEPT_PREFIX);
}

/** Whether a name is one of those that stand for something else in a layer: `.wh.*`. */
export function isReserved(name: Name): boolean {
	return bytes[name] === 0x2e && startsWith(name, RESERVED_PREFIX) && !isKept(name);
}

/** Whether the reserved name is the marker file of an opaque directory, or kin to it: `.wh..wh.*`. */
export function isMarker(name: Name): boolean {
	return startsWith(name, ".wh..wh." as ByteString) && !isKept(hiddenName(name));
}

/** The name that a `.wh.NAME` hides. */
export function hiddenName(name: Name): Name {
	return (name + RESERVED_PREFIX.length) as Name;
}

/** Whether a `struct statx` describes a whiteout device. */
export function isWhiteoutDevice(stat: Offset): boolean {
	return (
		(modeOf(stat) & S_IFMT) === S_IFCHR &&
		words[(stat + statx.stxRdevMajor) >>> 2]! === 0 &&
		words[(stat + statx.stxRdevMinor) >>> 2]! === 0
	);
}

/**
 * Whether a file is a whiteout by attribute, in a directory that says `marks` of itself; `stat`: its `struct statx`.
 * Source: Linux fs/overlayfs/util.c, ovl_path_check_xwhiteout_xattr.
 */
export function isWhiteoutFile(directory: Fd, marks: number, name: Name, stat: Offset): boolean {
	if ((marks & ATTRIBUTE_WHITEOUTS) === 0) return false;
	return (modeOf(stat) & S_IFMT) === S_IFREG && sizeOf(stat) === 0 && hasWhiteoutAttribute(directory, name);
}

/** Whether a directory that says `marks` of itself has a whiteout by attribute under this name. */
export function isAttributeWhiteout(directory: Fd, marks: number, name: Name): boolean {
	if ((marks & ATTRIBUTE_WHITEOUTS) === 0) return false;
	return succeeds(stat(directory, name, STAT)) && isWhiteoutFile(directory, marks, name, STAT);
}

function hasWhiteoutAttribute(directory: Fd, name: Name): boolean {
	return WHITEOUT_ATTRIBUTES.some((attribute) =>
		succeeds(getAttribute(directory, name, attribute, VALUE, 0)),
	);
}

/** Whether the directory has a file `.wh.NAME`. */
export function hasWhiteoutFile(directory: Fd, name: Name, length: number): boolean {
	if (length + RESERVED_PREFIX.length > NAME_MAX) return false;
	return succeeds(stat(directory, whiteoutFileName(name, length), STAT));
}

/** `.wh.NAME`, in memory that the next call overwrites. */
function whiteoutFileName(name: Name, length: number): Name {
	for (let index = 0; index < RESERVED_PREFIX.length; index++)
		bytes[PREFIXED + index] = RESERVED_PREFIX.charCodeAt(index);
	copy(PREFIXED + RESERVED_PREFIX.length, name, length + 1);
	return PREFIXED;
}

/**
 * What a directory of a layer says of itself: OPAQUE, ATTRIBUTE_WHITEOUTS, IMPURE, REDIRECTED. Where it has nothing below
 * that it could hide, OPAQUE may be missing.
 */
export function readMarks(directory: Fd, mayHide: boolean): number {
	let marks = 0;
	const names = attributeNames(directory, EMPTY_NAME);
	// Most directories have no attributes at all.
	if (names !== "") {
		if (names?.includes("opaque\0") !== false) marks |= readOpaque(directory, names);
		if (isRedirected(directory, names)) marks |= REDIRECTED;
		if (names?.includes(".overlay.impure\0") || names?.includes("user.fuseoverlayfs.origin\0"))
			marks |= IMPURE;
	}
	const isHiding = mayHide || (marks & REDIRECTED) !== 0;
	if (isHiding && (marks & OPAQUE) === 0 && succeeds(stat(directory, OPAQUE_FILE, STAT))) marks |= OPAQUE;
	return marks;
}

/** `names`: those of the directory's attributes, with a NUL behind each; undefined where they cannot be had. */
function readOpaque(directory: Fd, names: string | undefined): number {
	let marks = 0;
	for (const attribute of OPAQUE_ATTRIBUTES) {
		if (names?.includes(`${readString(attribute)}\0`) === false) continue;
		// Beside that, one of users is not for this overlay either, but for whoever mounts what it shows.
		if (attribute === USER_OPAQUE && names?.includes(NESTED_OPAQUE)) continue;
		const length = getAttributeOf(directory, attribute, VALUE, 16);
		// Its owner has closed the directory to this process, too. What was removed must not come back.
		if (!succeeds(length) && length === -EACCES && names !== undefined) return marks | OPAQUE;
		if (length !== 1) continue;
		const value = bytes[VALUE];
		if (value === 0x79) return marks | OPAQUE;
		if (value === 0x78) marks |= ATTRIBUTE_WHITEOUTS;
	}
	return marks;
}

/** Makes a directory hide what is below it. */
export function makeOpaque(work: Workdir, directory: Fd): void {
	check(asOwner(() => markOpaque(work, directory), [directory, EMPTY_NAME]));
}

function markOpaque(work: Workdir, directory: Fd): number {
	if (work.trustedAttributes) return mark(directory, TRUSTED_OPAQUE);
	const kernel = mark(directory, USER_OPAQUE);
	const fuse = mark(directory, FUSE_OPAQUE);
	if (kernel === 0 && fuse === 0) return 0;
	const made = makeMarkFile(directory, OPAQUE_FILE);
	return made === -EEXIST ? 0 : made;
}

/** Sets a mark. */
function mark(directory: Fd, attribute: Name): number {
	return setAttributeOf(directory, attribute, YES, 1, 0);
}

/**
 * Made without being opened: where something of that name is there already (-EEXIST), be it a FIFO or a device, it serves as
 * well.
 */
function makeMarkFile(directory: Fd, name: Name): number {
	return makeNode(directory, name, S_IFREG | 0o600, 0);
}

/** Marks a directory of the upper layer as holding what was copied up or moved there. Returns 0 or -errno. */
export function markImpure(work: Workdir, directory: Fd): number {
	const attribute = work.trustedAttributes ? TRUSTED_IMPURE : USER_IMPURE;
	return asOwner(() => mark(directory, attribute), [directory, EMPTY_NAME]);
}

/** Puts a whiteout where the upper directory has no such name. */
export function placeWhiteout(work: Workdir, directory: Fd, name: Name, length: number): void {
	if (work.fileWhiteouts) {
		placeWhiteoutFile(directory, name, length);
		return;
	}
	const result = linkWhiteout(work, directory, name);
	if (result < 0 && result !== -EEXIST) fail(-result);
}

/** Makes a `.wh.NAME`; whether it was not there. Throws EIO for a name that leaves no room for the prefix. */
export function placeWhiteoutFile(directory: Fd, name: Name, length: number): boolean {
	// The layer format has no way to hide it by a file.
	if (length + RESERVED_PREFIX.length > NAME_MAX) fail(EIO);
	const made = makeMarkFile(directory, whiteoutFileName(name, length));
	if (made !== -EEXIST) check(made);
	return made === 0;
}

/**
 * One device node in the workdir serves as all whiteouts, by hard links: cheaper than a new inode each, and what
 * kernel overlayfs does. Where links are not to be had, or the node has as many as it may, a new one is made.
 * Returns 0 or -errno.
 */
export function linkWhiteout(work: Workdir, directory: Fd, name: Name): number {
	if (work.sharedWhiteout !== undefined) {
		const result = makeLink(work.fd, work.sharedWhiteout, directory, name, 0);
		if (!NO_LINKS.includes(result)) return result;
		work.sharedWhiteout = undefined;
		if (result === -EMLINK) shareNewWhiteout(work);
	}
	return makeNode(directory, name, S_IFCHR, 0);
}

/** Makes a fresh device node for whiteouts to be linked to: at first, and once the last has as many links as it may. */
export function shareNewWhiteout(work: Workdir): void {
	removeName(work.fd, SHARED_WHITEOUT, 0);
	const made = makeNode(work.fd, SHARED_WHITEOUT, S_IFCHR, 0);
	work.sharedWhiteout = made === 0 || (made === -EEXIST && work.isShared) ? SHARED_WHITEOUT : undefined;
}

/** Replaces a file of the upper directory by a whiteout, in one step for whoever looks. */
export function replaceByWhiteout(work: Workdir, directory: Fd, name: Name, length: number): void {
	if (work.fileWhiteouts) {
		placeWhiteoutFile(directory, name, length);
		check(removeName(directory, name, 0));
		return;
	}
	const temporary = work.temporaryName();
	checkMade(linkWhiteout(work, work.fd, temporary));
	const result = moveName(work.fd, temporary, directory, name, 0);
	if (result < 0) {
		removeName(work.fd, temporary, 0);
		fail(-result);
	}
}

/**
 * Takes away a `.wh.NAME`, if there is one, after NAME itself was made. Where it stays, as a directory does, it hides
 * what NAME hides.
 */
export function removeWhiteoutFile(directory: Fd, name: Name, length: number): void {
	if (length + RESERVED_PREFIX.length > NAME_MAX) return;
	removeName(directory, whiteoutFileName(name, length), 0);
}

/** Whether the upper directory has a whiteout device under this name. */
export function isWhiteoutName(directory: Fd, name: Name): boolean {
	return succeeds(stat(directory, name, STAT)) && isWhiteoutDevice(STAT);
}

/** Tries out whether whiteout devices can be made in a directory and are seen as such. */
export function canMakeWhiteoutDevice(directory: Fd, name: Name): boolean {
	const made = makeNode(directory, name, S_IFCHR, 0);
	if (made < 0) return isForLackOfSpace(made);
	const works = isWhiteoutName(directory, name);
	removeName(directory, name, 0);
	return works;
}

/** Tries out whether a directory's attributes of the `trusted` namespace can be set. */
export function canSetTrustedAttributes(directory: Fd): boolean {
	const result = setAttributeOf(directory, TRUSTED_OPAQUE, YES, 1, 0);
	return result === 0 || isForLackOfSpace(result);
}
