/** Making new objects: files, directories, devices, symlinks. Source: Linux fs/overlayfs/dir.c, ovl_create_or_link. */

import {
	AT_EMPTY_PATH,
	AT_REMOVEDIR,
	DT_REG,
	EACCES,
	EEXIST,
	ENOENT,
	EPERM,
	O_CREAT,
	O_EXCL,
	O_NOFOLLOW,
	O_RDWR,
	O_TMPFILE,
	S_IFCHR,
	S_IFDIR,
	S_IFLNK,
	S_IFMT,
	S_IFREG,
	S_ISGID,
	statx,
} from "../../native/layout.ts";
import { makeDirectory, makeNode, makeSymlink, removeName } from "../../native/libc/directory.ts";
import { check, fail } from "../../native/libc/errno.ts";
import { close, type Fd, NO_FD, openAt } from "../../native/libc/file.ts";
import { changeMode, changeModeOf, changeOwner, stat, statDescriptor } from "../../native/libc/metadata.ts";
import { actAs, setUmask } from "../../native/libc/process.ts";
import { inodeHigh, inodeLow, kindOf, modeOf } from "../../native/libc/stat.ts";
import { EMPTY_NAME, type Name, type Offset, reserve, shorts, store, words } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import { checkMade, type Workdir } from "../layers/workdir.ts";
import { NO_ID } from "../marks/id-map.ts";
import { ownAccess } from "../marks/identity.ts";
import type { OverrideStat } from "../marks/override-stat.ts";
import { isWhiteoutName, makeOpaque } from "../marks/whiteout.ts";
import type { Directory } from "../nodes/directory.ts";
import { LINKABLE, PLAIN, PURE } from "../nodes/flags.ts";
import { change, free } from "../nodes/journal.ts";
import { measure } from "../nodes/name.ts";
import { NO_NODE, type NodeId } from "../nodes/node.ts";
import type { Overlay } from "../overlay.ts";
import { finishAttributes, STAT, show } from "../reading/attributes.ts";
import { checkNewName, findLayer, isBelow, NOWHERE } from "../reading/lookup.ts";
import { copyUp } from "./copy-up.ts";
import { freeName } from "./free-name.ts";
import { type Caller, type Maker, makerOf, modeOfNew } from "./maker.ts";
import { moveOver } from "./move.ts";
import { holdOrPark } from "./nameless.ts";
import { openStandIn } from "./stand-in.ts";

/** What to make. */
export interface Blueprint {
	/** With the S_IFMT bits; before umask and ACLs. */
	mode: number;
	/** For devices, as mknod(2) takes it. */
	device: number;
	/** For symlinks. */
	target: Offset;
	/** How a regular file is open afterwards: O_RDWR or O_RDONLY, where this process is not to move its bytes. */
	access: number;
}

/** A new object on its way through the steps. */
interface Creation {
	readonly overlay: Overlay;
	readonly work: Workdir;
	/** The directory that it is made in, in the upper layer by now. */
	readonly directory: Directory;
	readonly name: Name;
	readonly maker: Maker;
	readonly blueprint: Blueprint;
}

const SELF = store("." as ByteString);
const PROBE = reserve(statx.sizeof);
const MODE_BITS = 0o7777;
const PERMISSION_BITS = 0o777;

/**
 * Makes a new object and its node; its attributes are in STAT. A regular file is open afterwards.
 * Throws EEXIST, EROFS, EPERM for a whiteout device, and what making it may.
 */
export function create(
	overlay: Overlay,
	parent: NodeId,
	name: Name,
	caller: Caller,
	asked: Blueprint,
): NodeId {
	const work = overlay.writable();
	checkNewName(name);
	// Users must not be able to hide what is below by hand.
	if ((asked.mode & S_IFMT) === S_IFCHR && asked.device === 0) fail(EPERM);
	const directory = overlay.directoryToChange(parent);
	if (directory.removed) fail(ENOENT);
	copyUp(overlay, parent);
	const isDone = overlay.journal?.isDone === true;
	if (!isDone && directory.isMerged && findLayer(overlay, directory, name, PROBE) !== NOWHERE) fail(EEXIST);
	if (!isDone) freeName(work, directory, name);
	const maker = makerOf(overlay, caller);
	const mode = modeOfNew(overlay, caller, maker, asked.mode);
	const blueprint = mode === asked.mode ? asked : { ...asked, mode };
	const creation = { overlay, work, directory, name, maker, blueprint };
	overlay.journal?.begin(change.making, free(parent, name));
	// First: where there is no room for it, nothing is to be made.
	const node = overlay.nodes.add((mode & S_IFMT) >> 12, 0);
	let fd = NO_FD;
	try {
		fd = isDone ? finish(creation) : make(creation);
		enter(creation, node, fd);
		return node;
	} catch (error) {
		giveUp(overlay, node, fd, error);
	}
}

/** Lets go of the node of what could not be made for `reason`, which it throws, and of `fd`, which may be the node's. */
function giveUp({ files, nodes }: Overlay, node: NodeId, fd: Fd, reason: unknown): never {
	if (fd >= 0 && files.openFd(node) !== fd) close(fd);
	nodes.freeIfUnused(node);
	throw reason;
}

/**
 * Makes the object in the upper layer; its attributes on disk are in STAT. Returns the descriptor of a new regular file,
 * whose mode may be one with which it cannot be opened again.
 */
function make(creation: Creation): Fd {
	const { overlay, directory, name, maker, blueprint } = creation;
	const upper = directory.fds[0]!;
	const isDirectory = (blueprint.mode & S_IFMT) === S_IFDIR;
	// What a directory is made over must not show through it, at no moment.
	const mustBeOpaque = isDirectory && isBelow(overlay, directory, name);
	if (!mustBeOpaque && overlay.identity?.attribute === undefined) {
		const made = makeAs(overlay, upper, name, maker, blueprint);
		if (made >= 0) {
			const fd = isRegular(blueprint) ? (made as Fd) : NO_FD;
			const looked = fd === NO_FD ? stat(upper, name, STAT) : statDescriptor(fd, STAT);
			if (looked < 0) {
				unmake(upper, name, blueprint, fd);
				fail(-looked);
			}
			directory.clearWhiteoutFile(name);
			return fd;
		}
		if (made === -EEXIST) {
			if (!isWhiteoutName(upper, name)) fail(EEXIST);
		} else if (made !== -EACCES && made !== -EPERM) {
			fail(-made);
		}
	}
	return makeInWorkdir(creation, mustBeOpaque);
}

/** Goes on where an earlier process has made the object and ended. Returns as {@link make}, without a descriptor. */
function finish({ overlay, directory, name, maker, blueprint }: Creation): Fd {
	const upper = directory.fds[0]!;
	if (!overlay.isOwn(maker.uid, maker.gid) && !isAttributed(overlay))
		restoreGroupId(upper, name, blueprint.mode);
	check(stat(upper, name, STAT));
	directory.clearWhiteoutFile(name);
	return NO_FD;
}

/** Takes back what was made in place and cannot be used. */
function unmake(directory: Fd, name: Name, { mode }: Blueprint, fd: Fd): void {
	if (fd !== NO_FD) close(fd);
	removeName(directory, name, (mode & S_IFMT) === S_IFDIR ? AT_REMOVEDIR : 0);
}

/** Makes the object in place, as its maker: the kernel under us sees to owner, umask and ACLs. -errno on failure. */
function makeAs(
	overlay: Overlay,
	directory: Fd,
	name: Name,
	{ uid, gid, umask }: Maker,
	blueprint: Blueprint,
): number {
	const other = !overlay.isOwn(uid, gid);
	if (other && !actAs(uid, gid)) {
		actAs(overlay.options.uid, overlay.options.gid);
		return -EPERM;
	}
	setUmask(umask);
	const made = makeObject(directory, name, blueprint);
	setUmask(0);
	if (other) {
		actAs(overlay.options.uid, overlay.options.gid);
		if (made >= 0) {
			try {
				restoreGroupId(directory, name, blueprint.mode);
			} catch (error) {
				unmake(directory, name, blueprint, isRegular(blueprint) ? (made as Fd) : NO_FD);
				throw error;
			}
		}
	}
	return made;
}

/**
 * The kernel has taken the setgid bit off what a caller outside the group makes. The caller's other groups are not
 * ours while we act as them, so the kernel under us may take off more.
 */
function restoreGroupId(directory: Fd, name: Name, asked: number): void {
	if ((asked & S_IFMT) === S_IFDIR || (asked & S_ISGID) === 0) return;
	check(stat(directory, name, PROBE));
	const mode = modeOf(PROBE);
	if ((mode & S_ISGID) === 0) check(changeMode(directory, name, (mode & MODE_BITS) | S_ISGID));
}

function makeObject(directory: Fd, name: Name, { mode, device, target, access }: Blueprint): number {
	switch (mode & S_IFMT) {
		case S_IFREG:
			return openAt(directory, name, O_CREAT | O_EXCL | access | O_NOFOLLOW, mode & MODE_BITS);
		case S_IFDIR:
			return makeDirectory(directory, name, mode & MODE_BITS);
		case S_IFLNK:
			return makeSymlink(target, directory, name);
		default:
			return makeNode(directory, name, mode, device);
	}
}

/** Makes the object in the workdir, with everything it needs, and moves it to its name in one step. Returns as `make`. */
function makeInWorkdir(creation: Creation, opaque: boolean): Fd {
	const { overlay, work, directory, name, maker, blueprint } = creation;
	const upper = directory.fds[0]!;
	const standIn = openStandIn(work, upper);
	const place = standIn?.fd ?? work.fd;
	const temporary = work.temporaryName();
	let fd = NO_FD;
	try {
		fd = makeIn(place, temporary, maker, isAttributed(overlay) ? withoutKind(blueprint) : blueprint);
		prepare(creation, place, temporary, standIn?.inheritsGroup ?? false);
		if (opaque) markNew(overlay, work, place, temporary);
		check(stat(place, temporary, STAT));
		moveOver(work, place, temporary, upper, name, (blueprint.mode & S_IFMT) === S_IFDIR);
		// Moving it has changed its time; it is there, whether that can be seen or not.
		stat(upper, name, STAT);
		directory.clearWhiteoutFile(name);
		if (isRegular(blueprint)) return fd;
		if (fd !== NO_FD) close(fd);
		return NO_FD;
	} catch (error) {
		if (fd !== NO_FD) close(fd);
		if (standIn === undefined) work.discard(temporary);
		throw error;
	} finally {
		if (standIn !== undefined) {
			close(standIn.fd);
			work.discard(standIn.name);
		}
	}
}

/** Makes the bare object; returns its descriptor, NO_FD for what has none. */
function makeIn(place: Fd, name: Name, { umask }: Maker, blueprint: Blueprint): Fd {
	setUmask(umask);
	const made = makeObject(place, name, blueprint);
	setUmask(0);
	checkMade(made);
	return isRegular(blueprint) ? (made as Fd) : NO_FD;
}

function markNew(overlay: Overlay, work: Workdir, place: Fd, name: Name): void {
	const fd = check(overlay.layers[0]!.openDirectory(place, name));
	try {
		makeOpaque(work, fd);
	} finally {
		close(fd);
	}
}

/** Gives the bare object `temporary` in `place` to its maker; `inheritsGroup`: the kernel has handed a group down. */
function prepare(creation: Creation, place: Fd, temporary: Name, inheritsGroup: boolean): void {
	const { overlay, directory, maker, blueprint } = creation;
	const { uid, gid } = maker;
	const { identity } = overlay;
	const isLink = (blueprint.mode & S_IFMT) === S_IFLNK;
	check(stat(place, temporary, PROBE));
	const mode = modeOf(PROBE);
	if (identity?.attribute !== undefined) {
		describeNew(maker, blueprint, identity.readOwn(directory.fds[0]!, EMPTY_NAME), inheritsGroup);
		identity.writeNew(place, temporary, PROBE);
		// The daemon must be able to use what it made, whatever the mode shown.
		const own = ownAccess((blueprint.mode & S_IFMT) >> 12);
		if (!isLink) check(changeMode(place, temporary, (mode & PERMISSION_BITS) | own));
		return;
	}
	if (overlay.isOwn(uid, gid)) return;
	overlay.checkOwner(changeOwner(place, temporary, uid, inheritsGroup ? NO_ID : gid));
	// chown(2) takes suid and sgid bits away.
	if (!isLink && (mode & MODE_BITS & ~PERMISSION_BITS) !== 0)
		check(changeMode(place, temporary, mode & MODE_BITS));
}

/**
 * Makes PROBE, read from what was made on disk, say what users are to see of it. `parent`: what the parent's attribute
 * says, where the kernel under us does not see its setgid bit. `inheritsGroup`: that kernel has handed a group down.
 */
function describeNew(
	{ uid, gid }: Maker,
	blueprint: Blueprint,
	parent: OverrideStat | undefined,
	inheritsGroup: boolean,
): void {
	const kind = blueprint.mode & S_IFMT;
	const handsDown = parent !== undefined && (parent.mode & S_ISGID) !== 0;
	const setgid = handsDown && kind === S_IFDIR ? S_ISGID : 0;
	const mode = modeOf(PROBE) & MODE_BITS;
	shorts[(PROBE + statx.stxMode) >>> 1] = kind | mode | setgid;
	words[(PROBE + statx.stxUid) >>> 2] = uid;
	if (handsDown) words[(PROBE + statx.stxGid) >>> 2] = parent.gid;
	else if (!inheritsGroup) words[(PROBE + statx.stxGid) >>> 2] = gid;
	words[(PROBE + statx.stxRdevMajor) >>> 2] = (blueprint.device >>> 8) & 0xfff;
	words[(PROBE + statx.stxRdevMinor) >>> 2] =
		(blueprint.device & 0xff) | ((blueprint.device >>> 12) & 0xfff00);
}

function isRegular(blueprint: Blueprint): boolean {
	return (blueprint.mode & S_IFMT) === S_IFREG;
}

/** Where kinds are kept in attributes, anything but a directory or symlink is a file on disk. */
function withoutKind(blueprint: Blueprint): Blueprint {
	const kind = blueprint.mode & S_IFMT;
	if (kind === S_IFDIR || kind === S_IFLNK) return blueprint;
	return { ...blueprint, mode: S_IFREG | (blueprint.mode & MODE_BITS), device: 0, target: EMPTY_NAME };
}

function isAttributed({ identity }: Overlay): boolean {
	return identity?.attribute !== undefined;
}

/** Has a node be an object just made in the upper layer, whose attributes are in STAT; takes over `fd`. */
function enter({ overlay, directory, name, blueprint }: Creation, node: NodeId, fd: Fd): void {
	const { nodes, inodes } = overlay;
	const upper = directory.fds[0]!;
	const measured = measure(name);
	directory.listing?.create(name, measured, kindOf(STAT), inodeLow(STAT), inodeHigh(STAT));
	const stale = nodes.find(directory.node, name, measured);
	if (stale !== NO_NODE) overlay.loseName(stale);
	overlay.identity?.show(0, upper, name, STAT);
	nodes.setKind(node, kindOf(STAT));
	nodes.attach(node, directory.node, name, measure(name));
	inodes.translate(0, inodeLow(STAT), inodeHigh(STAT));
	nodes.setInode(node, inodes.low, inodes.high);
	nodes.setFlag(node, PURE | PLAIN, true);
	if (fd !== NO_FD) overlay.files.replace(node, fd, blueprint.access);
	finishAttributes(overlay, node);
}

/** Gives the file `fd`, just made in the directory `upper`, to its maker. */
function prepareNameless(overlay: Overlay, upper: Fd, fd: Fd, maker: Maker, asked: number): void {
	const { uid, gid } = maker;
	const { identity } = overlay;
	check(statDescriptor(upper, PROBE));
	const inheritsGroup = (modeOf(PROBE) & S_ISGID) !== 0;
	check(statDescriptor(fd, PROBE));
	const mode = modeOf(PROBE) & MODE_BITS;
	if (identity?.attribute !== undefined) {
		const blueprint = { mode: S_IFREG | asked, device: 0, target: EMPTY_NAME, access: O_RDWR };
		describeNew(maker, blueprint, identity.readOwn(upper, EMPTY_NAME), inheritsGroup);
		identity.writeNew(fd, EMPTY_NAME, PROBE);
		check(changeModeOf(fd, (mode & PERMISSION_BITS) | ownAccess(DT_REG)));
	} else if (!overlay.isOwn(uid, gid)) {
		overlay.checkOwner(changeOwner(fd, EMPTY_NAME, uid, inheritsGroup ? NO_ID : gid, AT_EMPTY_PATH));
		check(changeModeOf(fd, mode));
	}
}

/** A file without a name in the file system of `parent` (O_TMPFILE); its attributes are in STAT. */
export function createNameless(overlay: Overlay, parent: NodeId, caller: Caller, asked: number): NodeId {
	overlay.writable();
	const directory = overlay.directoryToChange(parent);
	if (directory.removed) fail(ENOENT);
	copyUp(overlay, parent);
	const maker = makerOf(overlay, caller);
	const mode = modeOfNew(overlay, caller, maker, asked);
	const node = overlay.nodes.add(DT_REG, 0);
	let fd = NO_FD;
	try {
		setUmask(caller.umask);
		fd = openAt(directory.fds[0]!, SELF, O_TMPFILE | O_RDWR, mode & MODE_BITS);
		setUmask(0);
		check(fd);
		prepareNameless(overlay, directory.fds[0]!, fd, maker, mode);
		check(statDescriptor(fd, STAT));
		overlay.inodes.translate(0, inodeLow(STAT), inodeHigh(STAT));
		overlay.nodes.setInode(node, overlay.inodes.low, overlay.inodes.high);
		overlay.nodes.setFlag(node, LINKABLE, true);
		overlay.files.replace(node, fd);
		holdOrPark(overlay, node, overlay.options.outlives);
		return show(overlay, node, fd, EMPTY_NAME);
	} catch (error) {
		giveUp(overlay, node, fd, error);
	}
}
