/** The operations on names and attributes. */

import {
	E2BIG,
	ENODATA,
	ENOENT,
	ERANGE,
	FATTR_ATIME,
	FATTR_ATIME_NOW,
	FATTR_CTIME,
	FATTR_GID,
	FATTR_KILL_SUIDGID,
	FATTR_MODE,
	FATTR_MTIME,
	FATTR_MTIME_NOW,
	FATTR_SIZE,
	FATTR_UID,
	FUSE_COMPAT_SETXATTR_IN_SIZE,
	FUSE_RENAME2,
	FUSE_SETXATTR_ACL_KILL_SGID,
	fuseGetxattrIn,
	fuseKstatfs,
	fuseLinkIn,
	fuseMkdirIn,
	fuseMknodIn,
	fuseRename2In,
	fuseRenameIn,
	fuseSetattrIn,
	fuseSetxattrIn,
	fuseStatfsOut,
	PATH_MAX,
	S_IFDIR,
	S_IFLNK,
	S_IFMT,
	statfs,
	timespec,
	UTIME_NOW,
	UTIME_OMIT,
	XATTR_SIZE_MAX,
} from "../native/layout.ts";
import { readLink } from "../native/libc/directory.ts";
import { check, fail } from "../native/libc/errno.ts";
import {
	bytes,
	copy64,
	EMPTY_NAME,
	getNumber,
	type Offset,
	reserve,
	setNumber,
	view,
} from "../native/memory.ts";
import { type Changes, changeAttributes, NO_CHANGES, type Writer } from "../overlay/changes/attributes.ts";
import { create } from "../overlay/changes/create.ts";
import { link } from "../overlay/changes/link.ts";
import { rmdir, unlink } from "../overlay/changes/remove.ts";
import { rename } from "../overlay/changes/rename.ts";
import { deleteAttribute, writeAttribute } from "../overlay/changes/xattr.ts";
import { NO_NODE, type NodeId } from "../overlay/nodes/node.ts";
import { readAttributes, readFileSystem } from "../overlay/reading/attributes.ts";
import { lookup } from "../overlay/reading/lookup.ts";
import { listNames, readAttribute } from "../overlay/reading/xattr.ts";
import type { Context } from "./context.ts";
import { blueprintOf, callerWith } from "./creation.ts";
import { REPLY, REPLY_SIZE } from "./reply.ts";
import {
	argument32,
	argument64,
	argumentAt,
	CALLER,
	callerUid,
	kernelId,
	knownNode,
	nameAt,
	opcode,
	requestId,
	requestNode,
	secondNameAt,
	secondStringAt,
	stringAt,
	valueAt,
} from "./request.ts";

/** The kernel writing back the times it keeps: utimensat(2) sets the access time or asks for the current one too. */
const KERNEL_TIMES = FATTR_MTIME | FATTR_CTIME;
const CHANGES = FATTR_MODE | FATTR_UID | FATTR_GID | FATTR_SIZE | FATTR_ATIME | FATTR_MTIME;
const TIMES = reserve(2 * timespec.sizeof);
const FILE_SYSTEM = reserve(statfs.sizeof);

/** Somebody of no group that matters. */
const STRANGER: Writer = { isInGroup: () => false };

const changes: Changes = { ...NO_CHANGES };

export function namespaceOperations({ overlay, replies, options, agreed, notifications }: Context) {
	/** Absence is cached by the kernel where it may cache at all. */
	const cachesAbsence = options.timeout > 0;

	return {
		lookup() {
			const node = lookup(overlay, requestNode(overlay), nameAt(0));
			if (node !== NO_NODE) replies.entry(node);
			else if (cachesAbsence) replies.noEntry();
			else fail(ENOENT);
		},

		getattr() {
			const node = requestNode(overlay);
			readAttributes(overlay, node);
			replies.attributes(node);
		},

		setattr() {
			const node = requestNode(overlay);
			changes.kernelKeepsTimes = agreed.writeback;
			changeAttributes(overlay, node, requestedChanges());
			tellNewest(node);
			replies.attributes(node);
		},

		readlink() {
			const place = overlay.locate(requestNode(overlay));
			const length = check(readLink(place.directory, place.name, REPLY, PATH_MAX));
			replies.bytes(REPLY, length);
		},

		mknod() {
			const parent = requestNode(overlay);
			const mode = argument32(fuseMknodIn.mode);
			const what = blueprintOf(mode, argument32(fuseMknodIn.rdev), EMPTY_NAME);
			const who = callerWith(argument32(fuseMknodIn.umask));
			replies.entry(create(overlay, parent, nameAt(fuseMknodIn.sizeof), who, what));
		},

		mkdir() {
			const parent = requestNode(overlay);
			const mode = (argument32(fuseMkdirIn.mode) & ~S_IFMT) | S_IFDIR;
			const who = callerWith(argument32(fuseMkdirIn.umask));
			replies.entry(
				create(overlay, parent, nameAt(fuseMkdirIn.sizeof), who, blueprintOf(mode, 0, EMPTY_NAME)),
			);
		},

		symlink() {
			const parent = requestNode(overlay);
			const what = blueprintOf(S_IFLNK | 0o777, 0, secondStringAt(0));
			replies.entry(create(overlay, parent, nameAt(0), callerWith(0), what));
		},

		unlink() {
			unlink(overlay, requestNode(overlay), nameAt(0));
			replies.success();
		},

		rmdir() {
			rmdir(overlay, requestNode(overlay), nameAt(0));
			replies.success();
		},

		rename() {
			const withFlags = opcode() === FUSE_RENAME2;
			const parent = requestNode(overlay);
			const newParent = knownNode(overlay, argumentAt(fuseRenameIn.newdir, 8));
			const flags = withFlags ? argument32(fuseRename2In.flags) : 0;
			const names = withFlags ? fuseRename2In.sizeof : fuseRenameIn.sizeof;
			rename(overlay, parent, nameAt(names), newParent, secondNameAt(names), flags);
			replies.success();
		},

		link() {
			const node = knownNode(overlay, argumentAt(fuseLinkIn.oldnodeid, 8));
			link(overlay, node, requestNode(overlay), nameAt(fuseLinkIn.sizeof));
			replies.entry(node);
		},

		statfs() {
			readFileSystem(overlay, FILE_SYSTEM);
			writeFileSystem(REPLY + fuseStatfsOut.st);
			replies.bytes(REPLY, fuseStatfsOut.sizeof);
		},

		getxattr() {
			const node = requestNode(overlay);
			const size = Math.min(argument32(fuseGetxattrIn.size), REPLY_SIZE);
			const length = readAttribute(overlay, node, stringAt(fuseGetxattrIn.sizeof), REPLY, size);
			if (length === -ENODATA) replies.error(ENODATA);
			else answerSized(size, length);
		},

		listxattr() {
			const size = Math.min(argument32(fuseGetxattrIn.size), REPLY_SIZE);
			answerSized(size, listNames(overlay, requestNode(overlay), REPLY, size, callerUid() === 0));
		},

		setxattr() {
			const node = requestNode(overlay);
			const { extendedSetxattr } = agreed;
			const header = extendedSetxattr ? fuseSetxattrIn.sizeof : FUSE_COMPAT_SETXATTR_IN_SIZE;
			const size = argument32(fuseSetxattrIn.size);
			if (size > XATTR_SIZE_MAX) fail(E2BIG);
			const value = valueAt(header, size);
			const name = argumentAt(header, 1);
			const flags = argument32(fuseSetxattrIn.flags);
			writeAttribute(overlay, node, name, value, size, flags, aclWriter(extendedSetxattr));
			tellNewest(node);
			replies.success();
		},

		removexattr() {
			const node = requestNode(overlay);
			deleteAttribute(overlay, node, stringAt(0));
			tellNewest(node);
			replies.success();
		},

		/** The kernel itself checks permissions (default_permissions), so this is not asked. */
		access() {
			replies.success();
		},
	};

	/** A node changed under an old id: what the kernel knows of it under its present one holds no longer. */
	function tellNewest(node: NodeId): void {
		const id = kernelId(overlay, node);
		if (requestId() !== id) notifications.invalidateAttributes(id);
	}

	/** The value at REPLY, or its length alone where no room was given for it. */
	function answerSized(size: number, length: number): void {
		if (size !== 0) {
			if (length > size) fail(ERANGE);
			replies.bytes(REPLY, length);
			return;
		}
		setNumber(REPLY, length);
		replies.bytes(REPLY, 8);
	}
}

/** Who is to lose set-group-id by the ACL that is set: the kernel says so, or else the caller's groups do. */
function aclWriter(isTold: boolean): Writer | undefined {
	if (!isTold) return CALLER;
	const kills = (argument32(fuseSetxattrIn.setxattrFlags) & FUSE_SETXATTR_ACL_KILL_SGID) !== 0;
	return kills ? STRANGER : undefined;
}

function requestedChanges(): Changes {
	const valid = argument32(fuseSetattrIn.valid);
	changes.mode = (valid & FATTR_MODE) !== 0 ? argument32(fuseSetattrIn.mode) : undefined;
	changes.uid = (valid & FATTR_UID) !== 0 ? argument32(fuseSetattrIn.uid) : undefined;
	changes.gid = (valid & FATTR_GID) !== 0 ? argument32(fuseSetattrIn.gid) : undefined;
	changes.size = (valid & FATTR_SIZE) !== 0 ? argument64(fuseSetattrIn.size) : undefined;
	// No change at all: chown(2) with neither user nor group, or set-id bits to be taken before a write that is passed
	// through. By whose rights, the kernel has seen.
	const isEmpty = (valid & CHANGES) === 0;
	changes.killPrivileges = isEmpty || (valid & FATTR_KILL_SUIDGID) !== 0 ? CALLER : undefined;
	changes.timesAreKernels = valid === KERNEL_TIMES;
	const timed = valid & (FATTR_ATIME | FATTR_MTIME);
	changes.times = timed === 0 ? undefined : TIMES;
	if (timed !== 0) {
		const { atime, atimensec, mtime, mtimensec } = fuseSetattrIn;
		writeTime(TIMES, valid & FATTR_ATIME, valid & FATTR_ATIME_NOW, atime, atimensec);
		writeTime(TIMES + timespec.sizeof, valid & FATTR_MTIME, valid & FATTR_MTIME_NOW, mtime, mtimensec);
	}
	return changes;
}

function writeTime(at: Offset, given: number, now: number, seconds: number, nanoseconds: number): void {
	copy64(at + timespec.tvSec, argumentAt(seconds, 8));
	setNumber(at + timespec.tvNsec, given === 0 ? UTIME_OMIT : now !== 0 ? UTIME_NOW : argument32(nanoseconds));
}

/** FILE_SYSTEM as a `struct fuse_kstatfs`. */
function writeFileSystem(at: Offset): void {
	bytes.fill(0, at, at + fuseKstatfs.sizeof);
	copy64(at + fuseKstatfs.blocks, FILE_SYSTEM + statfs.fBlocks);
	copy64(at + fuseKstatfs.bfree, FILE_SYSTEM + statfs.fBfree);
	copy64(at + fuseKstatfs.bavail, FILE_SYSTEM + statfs.fBavail);
	copy64(at + fuseKstatfs.files, FILE_SYSTEM + statfs.fFiles);
	copy64(at + fuseKstatfs.ffree, FILE_SYSTEM + statfs.fFfree);
	view.setUint32(at + fuseKstatfs.bsize, getNumber(FILE_SYSTEM + statfs.fBsize), true);
	view.setUint32(at + fuseKstatfs.namelen, getNumber(FILE_SYSTEM + statfs.fNamelen), true);
	view.setUint32(at + fuseKstatfs.frsize, getNumber(FILE_SYSTEM + statfs.fFrsize), true);
}
