/**
 * INIT: which features of the kernel a mount takes. The program answers the first message itself, because an old
 * libfuse does not know the newer features, and then hands it to libfuse, which sets up its own side; libfuse's own
 * answer comes too late, and the kernel and libfuse both ignore that.
 */

import {
	ENODEV,
	ENOENT,
	EPROTO,
	FUSE_ASYNC_READ,
	FUSE_ATOMIC_O_TRUNC,
	FUSE_BIG_WRITES,
	FUSE_CACHE_SYMLINKS,
	FUSE_DO_READDIRPLUS,
	FUSE_DONT_MASK,
	FUSE_HANDLE_KILLPRIV_V2,
	FUSE_HAS_IOCTL_DIR,
	FUSE_INIT,
	FUSE_INIT_EXT,
	FUSE_KERNEL_MINOR_VERSION,
	FUSE_KERNEL_VERSION,
	FUSE_MAX_PAGES,
	FUSE_NO_EXPORT_SUPPORT,
	FUSE_NO_OPEN_SUPPORT,
	FUSE_NO_OPENDIR_SUPPORT,
	FUSE_PARALLEL_DIROPS,
	FUSE_PASSTHROUGH,
	FUSE_POSIX_ACL,
	FUSE_READDIRPLUS_AUTO,
	FUSE_SETXATTR_EXT,
	FUSE_WRITEBACK_CACHE,
	fuseInHeader,
	fuseInitIn,
	fuseInitOut,
	fuseOutHeader,
} from "../native/layout.ts";
import { check } from "../native/libc/errno.ts";
import { type Fd, write } from "../native/libc/file.ts";
import { bytes, copy, reserve, view } from "../native/memory.ts";
import { ARGUMENTS, LARGEST_WRITE, opcode, REQUEST } from "./request.ts";

export interface Features {
	/** The kernel gathers writes in its page cache. */
	readonly writeback: boolean;
	/** The kernel reads and writes the real files itself, where it can; excludes `writeback`. */
	readonly passthrough: boolean;
	/** POSIX ACLs. */
	readonly acl: boolean;
	/** Largest WRITE in bytes. */
	readonly maxWrite: number | undefined;
}

/** What was settled with the kernel. */
export interface Agreement {
	/** The kernel gathers writes: it may have data that the files do not have yet. */
	writeback: boolean;
	/** Files are opened by OPEN, and passed through where that can be. */
	passthrough: boolean;
}

const PAGE = 4096;
/** Layers are on plain file systems only, so that other stacked file systems can stand on this one. */
const STACK_DEPTH = 1;
/** Requests the kernel may have under way in the background: read-ahead and writeback. */
const MAX_BACKGROUND = 64;
const SMALLEST_WRITE = PAGE;
/** The oldest protocol this program speaks: Linux 4.20 has all it relies on. */
const OLDEST_MINOR = 28;

const ANSWER = reserve(fuseOutHeader.sizeof + fuseInitOut.sizeof);

/** Without these the program would not work, or not be correct. */
const REQUIRED = [FUSE_NO_OPEN_SUPPORT, FUSE_NO_OPENDIR_SUPPORT, FUSE_DONT_MASK];

/**
 * FUSE_ALLOW_IDMAP is not among them: with it most requests no longer say who the caller is. Nor is FUSE_ASYNC_DIO:
 * the kernel drops cached pages after a direct write only if it has waited for it, so that buffered readers would see
 * what was there before. FUSE_NO_EXPORT_SUPPORT is: a file handle would be stale as soon as the kernel forgot the node.
 */
const WANTED = [
	FUSE_ASYNC_READ,
	FUSE_BIG_WRITES,
	FUSE_DONT_MASK,
	FUSE_HAS_IOCTL_DIR,
	FUSE_DO_READDIRPLUS,
	FUSE_READDIRPLUS_AUTO,
	FUSE_NO_OPEN_SUPPORT,
	FUSE_PARALLEL_DIROPS,
	FUSE_MAX_PAGES,
	FUSE_CACHE_SYMLINKS,
	FUSE_NO_OPENDIR_SUPPORT,
	FUSE_HANDLE_KILLPRIV_V2,
	FUSE_SETXATTR_EXT,
	FUSE_INIT_EXT,
	FUSE_NO_EXPORT_SUPPORT,
];

/** The message in the place of a request is not what a mount begins with. */
export class HandshakeFailed extends Error {
	override readonly name = "HandshakeFailed";
}

/**
 * Answers the INIT message that was read from `fd` into the place of a request, and notes in `agreed` what was
 * settled; false if the mount is gone already. Throws HandshakeFailed for another message or a kernel that lacks what is
 * needed.
 */
export function answerInit(fd: Fd, features: Features, agreed: Agreement): boolean {
	if (opcode() !== FUSE_INIT)
		throw new HandshakeFailed("the kernel did not begin with INIT: is this mount in use already?");
	const major = view.getUint32(ARGUMENTS + fuseInitIn.major, true);
	const minor = view.getUint32(ARGUMENTS + fuseInitIn.minor, true);
	const offered = offeredFlags();
	const lacking = REQUIRED.some((flag) => !has(offered, flag));
	if (major !== FUSE_KERNEL_VERSION || minor < OLDEST_MINOR || lacking) {
		refuse(fd);
		throw new HandshakeFailed(`the kernel's FUSE ${major}.${minor} is too old: Linux 5.1 or later is needed`);
	}
	bytes.fill(0, ANSWER, ANSWER + fuseOutHeader.sizeof + fuseInitOut.sizeof);
	const out = ANSWER + fuseOutHeader.sizeof;
	agreed.passthrough = features.passthrough && has(offered, FUSE_PASSTHROUGH);
	agreed.writeback = features.writeback && !agreed.passthrough && has(offered, FUSE_WRITEBACK_CACHE);
	const taken = WANTED.concat(
		// To cut a file at its opening, so that copy-up spares what is cut off.
		agreed.passthrough ? [FUSE_PASSTHROUGH, FUSE_ATOMIC_O_TRUNC] : [],
		agreed.writeback ? [FUSE_WRITEBACK_CACHE] : [],
		features.acl ? [FUSE_POSIX_ACL] : [],
	).filter((flag) => has(offered, flag));
	const flags = taken.reduce((sum, flag) => sum + flag, 0);
	view.setUint32(out + fuseInitOut.major, FUSE_KERNEL_VERSION, true);
	view.setUint32(out + fuseInitOut.minor, Math.min(minor, FUSE_KERNEL_MINOR_VERSION), true);
	copy(out + fuseInitOut.maxReadahead, ARGUMENTS + fuseInitIn.maxReadahead, 4);
	view.setUint32(out + fuseInitOut.flags, flags % 2 ** 32, true);
	view.setUint32(out + fuseInitOut.flags2, Math.floor(flags / 2 ** 32), true);
	view.setUint16(out + fuseInitOut.maxBackground, MAX_BACKGROUND, true);
	view.setUint16(out + fuseInitOut.congestionThreshold, (MAX_BACKGROUND * 3) / 4, true);
	const maxWrite = Math.min(Math.max(features.maxWrite ?? LARGEST_WRITE, SMALLEST_WRITE), LARGEST_WRITE);
	view.setUint32(out + fuseInitOut.maxWrite, maxWrite, true);
	view.setUint16(out + fuseInitOut.maxPages, LARGEST_WRITE / PAGE, true);
	view.setUint32(out + fuseInitOut.timeGran, 1, true);
	view.setUint32(out + fuseInitOut.maxStackDepth, agreed.passthrough ? STACK_DEPTH : 0, true);
	return send(fd, 0, fuseInitOut.sizeof);
}

/** All flags the kernel offers, as one number. */
function offeredFlags(): number {
	const low = view.getUint32(ARGUMENTS + fuseInitIn.flags, true);
	const high = has(low, FUSE_INIT_EXT) ? view.getUint32(ARGUMENTS + fuseInitIn.flags2, true) : 0;
	return high * 2 ** 32 + low;
}

/** Whether a flag, which may be beyond bit 31, is among `flags`. */
function has(flags: number, flag: number): boolean {
	return Math.floor(flags / flag) % 2 === 1;
}

function refuse(fd: Fd): void {
	bytes.fill(0, ANSWER, ANSWER + fuseOutHeader.sizeof);
	send(fd, -EPROTO, 0);
}

/** False where nobody waits for the answer any more. */
function send(fd: Fd, error: number, size: number): boolean {
	const length = fuseOutHeader.sizeof + size;
	view.setUint32(ANSWER + fuseOutHeader.len, length, true);
	view.setInt32(ANSWER + fuseOutHeader.error, error, true);
	copy(ANSWER + fuseOutHeader.unique, REQUEST + fuseInHeader.unique, 8);
	const written = write(fd, ANSWER, length);
	if (written === -ENOENT || written === -ENODEV) return false;
	if (check(written) !== length) throw new HandshakeFailed("short answer to INIT");
	return true;
}
