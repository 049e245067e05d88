/** The operations on content: of files, and of directories. */

import {
	DT_DIR,
	DT_REG,
	EINVAL,
	EIO,
	ENOSYS,
	ENOTTY,
	EOPNOTSUPP,
	EXDEV,
	FS_APPEND_FL,
	FS_IMMUTABLE_FL,
	FS_IOC_FSGETXATTR,
	FS_IOC_FSSETXATTR,
	FS_IOC_GETFLAGS,
	FS_IOC_GETVERSION,
	FS_IOC_SETFLAGS,
	FS_IOC_SETVERSION,
	FS_XFLAG_APPEND,
	FS_XFLAG_IMMUTABLE,
	FUSE_FSYNC_FDATASYNC,
	FUSE_WRITE_CACHE,
	FUSE_WRITE_KILL_SUIDGID,
	fsxattr,
	fuseCopyFileRangeIn,
	fuseFallocateIn,
	fuseFsyncIn,
	fuseIoctlIn,
	fuseIoctlOut,
	fuseLseekIn,
	fuseLseekOut,
	fuseReadIn,
	fuseWriteIn,
	O_RDONLY,
	S_ISGID,
	S_ISUID,
	statx,
	timespec,
	UTIME_OMIT,
} from "../native/layout.ts";
import { isInitialUserNamespace } from "../native/libc/capabilities.ts";
import { isDistant } from "../native/libc/distant.ts";
import { check, fail } from "../native/libc/errno.ts";
import {
	allocateRange,
	close,
	control,
	copyRange,
	duplicate,
	type Fd,
	preadInPlace,
	pwrite,
	seek,
} from "../native/libc/file.ts";
import { changeModeOf, changeTimesOfOpen, statDescriptor } from "../native/libc/metadata.ts";
import { modeOf } from "../native/libc/stat.ts";
import {
	advance,
	bytes,
	copy,
	copy64,
	getNumber,
	type Int64,
	type Offset,
	reserve,
	setInt64,
	setNumber,
	smaller,
	view,
} from "../native/memory.ts";
import { asFarAsOwned, killPrivileges } from "../overlay/changes/attributes.ts";
import { copyUpToWrite, copyUpWhole } from "../overlay/changes/copy-up.ts";
import { awaitRoom } from "../overlay/nodes/deferred.ts";
import type { NodeId } from "../overlay/nodes/node.ts";
import type { Overlay } from "../overlay/overlay.ts";
import type { Context } from "./context.ts";
import { DirectoryReply } from "./directory-reply.ts";
import { REPLY, REPLY_SIZE } from "./reply.ts";
import {
	argument32,
	argument64,
	argumentAt,
	CALLER,
	callerUid,
	kernelId,
	knownNode,
	requestId,
	requestNode,
} from "./request.ts";

/** A long copy keeps others waiting: the caller asks again for the rest. */
const LARGEST_COPY = 16 << 20;
/** Milliseconds. */
const MOMENT = 1000;

interface InodeControl {
	/** Bytes of the argument, by the kernel under us; the callers' may be shorter. */
	readonly size: number;
	readonly changes: boolean;
	/** Bits of the argument's first word that cannot be set through the mount: immutable, append-only. */
	readonly refused: number;
}

const CONTROLS: ReadonlyMap<number, InodeControl> = new Map([
	[FS_IOC_GETFLAGS, { size: 8, changes: false, refused: 0 }],
	[FS_IOC_SETFLAGS, { size: 8, changes: true, refused: FS_IMMUTABLE_FL | FS_APPEND_FL }],
	[FS_IOC_GETVERSION, { size: 8, changes: false, refused: 0 }],
	[FS_IOC_SETVERSION, { size: 8, changes: true, refused: 0 }],
	[FS_IOC_FSGETXATTR, { size: fsxattr.sizeof, changes: false, refused: 0 }],
	[FS_IOC_FSSETXATTR, { size: fsxattr.sizeof, changes: true, refused: FS_XFLAG_IMMUTABLE | FS_XFLAG_APPEND }],
]);
const CONTROL = reserve(64);

export function dataOperations({ overlay, replies, options, agreed, notifications, resume }: Context) {
	const directories = new DirectoryReply(overlay, replies);
	const tellsTimes = isInitialUserNamespace();

	const sendData = (data: Offset, length: number) => replies.bytes(data, check(length));

	return {
		read() {
			const node = requestNode(overlay);
			const size = Math.min(argument32(fuseReadIn.size), REPLY_SIZE);
			const offset = argument64(fuseReadIn.offset);
			preadInPlace(overlay.files.readable(node), REPLY, size, offset, sendData);
		},

		write() {
			const node = requestNode(overlay);
			const flags = argument32(fuseWriteIn.writeFlags);
			const size = argument32(fuseWriteIn.size);
			const position = argument64(fuseWriteIn.offset);
			const data = argumentAt(fuseWriteIn.sizeof, size);
			copyUpToWrite(overlay, node);
			// The kernel goes on with the bits it knows, and would start the program with them.
			if ((flags & FUSE_WRITE_KILL_SUIDGID) !== 0 && killPrivileges(overlay, node, CALLER))
				notifications.invalidateAttributes(requestId());
			const fd = overlay.files.writable(node);
			const times = timeToKeep(fd);
			const isLate = (flags & FUSE_WRITE_CACHE) !== 0;
			const mode = isLate ? modeWithSetIds(fd) : undefined;
			let written: number;
			try {
				written = writeAll(fd, data, size, position, !isLate);
			} finally {
				if (mode !== undefined) asFarAsOwned(changeModeOf(fd, mode));
			}
			if (times !== undefined) asFarAsOwned(changeTimesOfOpen(fd, times));
			// What was written to a mapping moves the times without the kernel's knowing.
			else if (isLate && !agreed.writeback) notifications.invalidateAttributes(requestId());
			replies.written(written);
		},

		fsync() {
			const node = requestNode(overlay);
			// The kernel then takes every sync for done.
			if (!options.fsync) fail(ENOSYS);
			if (!overlay.isUpper(node)) {
				replies.success();
				return;
			}
			awaitRoom(overlay.jobs);
			const dataOnly = (argument32(fuseFsyncIn.fsyncFlags) & FUSE_FSYNC_FDATASYNC) !== 0;
			// The cache may close its descriptor before the job is done.
			const { files, metacopies } = overlay;
			// What was changed of it is in the file itself, not where its data is.
			const own = metacopies.has(node) ? files.openOwn(node, O_RDONLY) : duplicate(files.readable(node));
			syncLater("fsync", node, check(own), dataOnly);
		},

		fsyncdir() {
			const node = requestNode(overlay);
			if (!options.fsync) fail(ENOSYS);
			if (!overlay.isUpper(node)) {
				replies.success();
				return;
			}
			awaitRoom(overlay.jobs);
			syncLater("fsyncdir", node, overlay.directories.openTopmost(overlay.directory(node)), false);
		},

		readdir() {
			const size = Math.min(argument32(fuseReadIn.size), REPLY_SIZE);
			directories.answer(requestNode(overlay), Number(argument64(fuseReadIn.offset)), size, false);
		},

		readdirplus() {
			const size = Math.min(argument32(fuseReadIn.size), REPLY_SIZE);
			directories.answer(requestNode(overlay), Number(argument64(fuseReadIn.offset)), size, true);
		},

		ioctl() {
			const node = requestNode(overlay);
			const request = argument32(fuseIoctlIn.cmd);
			const known = CONTROLS.get(request) ?? fail(ENOTTY);
			const inSize = Math.min(argument32(fuseIoctlIn.inSize), known.size);
			const outSize = Math.min(argument32(fuseIoctlIn.outSize), known.size);
			bytes.fill(0, CONTROL, CONTROL + known.size);
			copy(CONTROL, argumentAt(fuseIoctlIn.sizeof, inSize), inSize);
			// The kernel does not know these flags of a FUSE file: open would go on and only a later write would fail.
			if (known.changes && (view.getUint32(CONTROL, true) & known.refused) !== 0) fail(EOPNOTSUPP);
			if (known.changes) copyUpWhole(overlay, node);
			const result = check(withDescriptor(overlay, node, (fd) => control(fd, request, CONTROL, known.size)));
			// The kernel does not expect an ioctl to move ctime.
			if (known.changes) notifications.invalidateAttributes(requestId());
			bytes.fill(0, REPLY, REPLY + fuseIoctlOut.sizeof);
			view.setInt32(REPLY + fuseIoctlOut.result, result, true);
			copy(REPLY + fuseIoctlOut.sizeof, CONTROL, outSize);
			replies.bytes(REPLY, fuseIoctlOut.sizeof + outSize);
		},

		fallocate() {
			const node = requestNode(overlay);
			const mode = argument32(fuseFallocateIn.mode);
			const offset = argument64(fuseFallocateIn.offset);
			const length = argument64(fuseFallocateIn.length);
			copyUpToWrite(overlay, node);
			killPrivilegesForCaller(node);
			const fd = overlay.files.writable(node);
			const times = timeToKeep(fd);
			check(allocateRange(fd, mode, offset, length));
			if (times !== undefined) asFarAsOwned(changeTimesOfOpen(fd, times));
			replies.success();
		},

		copyFileRange() {
			const { offIn, nodeidOut, offOut, len, flags } = fuseCopyFileRangeIn;
			if (argument64(flags) !== 0) fail(EINVAL);
			const target = knownNode(overlay, argumentAt(nodeidOut, 8));
			const source = requestNode(overlay);
			// The kernel then reads and writes.
			if (isDistant(overlay.files.readable(source))) fail(EXDEV);
			copyUpToWrite(overlay, target);
			killPrivilegesForCaller(target);
			const to = overlay.files.writable(target);
			const length = Number(smaller(argument64(len), LARGEST_COPY));
			const from = overlay.files.readable(source);
			const times = timeToKeep(to);
			const copied = check(copyRange(from, argument64(offIn), to, argument64(offOut), length));
			if (times !== undefined) asFarAsOwned(changeTimesOfOpen(to, times));
			replies.written(copied);
		},

		lseek() {
			const node = requestNode(overlay);
			const offset = argument64(fuseLseekIn.offset);
			const whence = argument32(fuseLseekIn.whence);
			if (overlay.nodes.kind(node) !== DT_REG) fail(EINVAL);
			if (!agreed.writeback || overlay.work === undefined) {
				const position = check(seek(overlay.files.readable(node), offset, whence));
				setInt64(REPLY + fuseLseekOut.offset, position);
				replies.bytes(REPLY, fuseLseekOut.sizeof);
				return;
			}
			// Killed while the kernel writes, this process could not end before a write is answered that nobody would answer.
			if (overlay.options.outlives) fail(ENOSYS);
			// What the kernel has gathered and not written yet would pass for a hole.
			const request = replies.takeRequest();
			notifications.flushPages(kernelId(overlay, node), offset, (flushed) => {
				resume("lseek", node, request, () => {
					check(flushed);
					const position = check(seek(overlay.files.readable(node), offset, whence));
					setInt64(REPLY + fuseLseekOut.offset, position);
					replies.bytes(REPLY, fuseLseekOut.sizeof);
				});
			});
		},
	};

	/**
	 * With its write cache the kernel sets the modification time when the caller writes, and tells it by SETATTR. What it
	 * writes by itself it tells in the name of the machine's root, and loses where that is nobody (Linux fs/fuse/dev.c,
	 * fuse_get_req): there a time from before is not kept, but that which the caller's rename has just told is.
	 */
	function timeToKeep(fd: Fd): Offset | undefined {
		if (!agreed.writeback) return undefined;
		const times = modificationTime(fd);
		return tellsTimes || isOfNow(times + timespec.sizeof) ? times : undefined;
	}

	/** These requests do not say whether the caller may leave set-id bits; root may, as far as can be told. */
	function killPrivilegesForCaller(node: NodeId): void {
		if (callerUid() !== 0 && killPrivileges(overlay, node, CALLER))
			notifications.invalidateAttributes(kernelId(overlay, node));
	}

	/** Answers once the data is on the disk; others are served meanwhile. Takes over `fd`. */
	function syncLater(name: string, node: NodeId, fd: Fd, dataOnly: boolean): void {
		const request = replies.takeRequest();
		overlay.jobs.run({ kind: dataOnly ? "dataSync" : "sync", fd }, (result) => {
			close(fd);
			resume(name, node, request, () => {
				check(result);
				replies.success();
			});
		});
	}
}

/**
 * Writes everything, or, if it `mayBeShort`, as much as there is room for; throws where nothing else can be said. The
 * kernel takes what it wrote late for written whole, however little it is told.
 */
function writeAll(fd: Fd, source: Offset, size: number, position: Int64, mayBeShort: boolean): number {
	let written = 0;
	while (written < size) {
		const result = pwrite(fd, source + written, size - written, advance(position, written));
		if (result < 0) return written > 0 && mayBeShort ? written : fail(-result);
		if (result === 0) fail(EIO);
		written += result;
	}
	return written;
}

const MODE_BITS = 0o7777;
const STAT = reserve(statx.sizeof);
const TIMES = reserve(2 * timespec.sizeof);

/**
 * The mode of a file with set-id bits; undefined: it has none. What was stored to memory leaves them, but the kernel takes
 * them when an ordinary user's process writes it to the file; from all others they were taken when the caller wrote.
 */
function modeWithSetIds(fd: Fd): number | undefined {
	check(statDescriptor(fd, STAT));
	const mode = modeOf(STAT);
	return (mode & (S_ISUID | S_ISGID)) === 0 ? undefined : mode & MODE_BITS;
}

/** Two `struct timespec` that set a file's modification time to what it is now. Scratch memory. */
function modificationTime(fd: Fd): Offset {
	check(statDescriptor(fd, STAT));
	setNumber(TIMES + timespec.tvNsec, UTIME_OMIT);
	copy64(TIMES + timespec.sizeof, STAT + statx.stxMtime);
	setNumber(TIMES + timespec.sizeof + timespec.tvNsec, view.getUint32(STAT + statx.stxMtime + 8, true));
	return TIMES;
}

/** Whether a `struct timespec` is of this moment, give or take what a busy machine takes for a few requests. */
function isOfNow(time: Offset): boolean {
	const milliseconds = getNumber(time + timespec.tvSec) * 1e3 + getNumber(time + timespec.tvNsec) / 1e6;
	return Math.abs(Date.now() - milliseconds) < MOMENT;
}

/** Does something with a descriptor of a regular file or a directory. Throws ENOTTY for anything else. */
function withDescriptor(overlay: Overlay, node: NodeId, use: (fd: Fd) => number): number {
	const kind = overlay.nodes.kind(node);
	if (kind === DT_REG) return use(overlay.files.readable(node));
	if (kind !== DT_DIR) fail(ENOTTY);
	const fd = overlay.directories.openTopmost(overlay.directory(node));
	try {
		return use(fd);
	} finally {
		close(fd);
	}
}
