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
	FUSE_AUTO_INVAL_DATA,
	FUSE_BIG_WRITES,
	FUSE_CACHE_SYMLINKS,
	FUSE_DO_READDIRPLUS,
	FUSE_DONT_MASK,
	FUSE_HANDLE_KILLPRIV_V2,
	FUSE_HAS_IOCTL_DIR,
	FUSE_HAS_RESEND,
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
import { pageSize } from "../native/libc/process.ts";
import { bytes, copy64, reserve, view } from "../native/memory.ts";
import { argument32, argumentAt, LARGEST_WRITE, opcode, REQUEST } from "./request.ts";

export interface Features {
	/** The kernel gathers writes in its page cache. */
	readonly writeback: boolean;
	/** The kernel reads and writes the real files itself, where it can; excludes `writeback`. */
	readonly passthrough: boolean;
	/** Others may change the layers: the kernel keeps no content longer than the attributes that tell of its change. */
	readonly live: boolean;
	/** POSIX ACLs. */
	readonly acl: boolean;
	/** Largest WRITE in bytes. */
	readonly maxWrite: number | undefined;
	/** A successor of this daemon is to go on with the mount: the kernel can send requests once more. */
	readonly outlives: boolean;
	/** What to do without although the kernel has it. */
	readonly declined: Declined;
}

/** What the tests have the program do without, as if the kernel were older. */
export interface Declined {
	/** Flags of INIT, by their names in the kernel's header. */
	readonly flags: readonly string[];
	/** The newest protocol spoken, 7.`minor`. */
	readonly minor: number;
}

/**
 * What was settled with the kernel. Whatever depends on it - what messages mean, where in them things lie, what the
 * kernel sees to - asks here.
 */
export interface Agreement {
	/** The kernel gathers writes: it may have data that the files do not have yet. */
	writeback: boolean;
	/** Files are opened by OPEN, and passed through where that can be. */
	passthrough: boolean;
	/** The kernel heeds POSIX ACLs. */
	acl: boolean;
	/** What was not answered can be had once more (Linux 6.9). */
	resends: boolean;
	/** SETXATTR's arguments have all their fields; else they end after FUSE_COMPAT_SETXATTR_IN_SIZE bytes. */
	extendedSetxattr: boolean;
	/** The kernel can be told to forget nodes that nobody uses. */
	prunes: boolean;
}

/** Layers are on plain file systems only, so that other stacked file systems can stand on this one. */
const STACK_DEPTH = 1;
/** Requests the kernel may have under way in the background: read-ahead and writeback. */
const MAX_BACKGROUND = 64;
const SMALLEST_WRITE = 4096;
/** Pages a message holds unless more are agreed (Linux fs/fuse/fuse_i.h, FUSE_DEFAULT_MAX_PAGES_PER_REQ). */
const DEFAULT_PAGES = 32;
/** The oldest protocol this program speaks: Linux 5.1 has all it relies on. Since 7.23 no size depends on the minor. */
const OLDEST_MINOR = 29;
/** The first protocol with FUSE_NOTIFY_PRUNE, of Linux 6.18. */
const PRUNING_MINOR = 45;

const ANSWER = reserve(fuseOutHeader.sizeof + fuseInitOut.sizeof);

/** Without these the program would not work, or not be correct. */
const REQUIRED = { FUSE_NO_OPEN_SUPPORT, FUSE_NO_OPENDIR_SUPPORT, FUSE_DONT_MASK };

/**
 * FUSE_ALLOW_IDMAP is not among them: with it most requests no longer say who the caller is. Nor is FUSE_ASYNC_DIO:
 * the kernel drops cached pages after a direct write only if it has waited for it, so that buffered readers would see
 * what was there before. FUSE_NO_EXPORT_SUPPORT is: a file handle would be stale as soon as the kernel forgot the node.
 */
const WANTED = {
	...REQUIRED,
	FUSE_ASYNC_READ,
	FUSE_BIG_WRITES,
	FUSE_HAS_IOCTL_DIR,
	FUSE_DO_READDIRPLUS,
	FUSE_READDIRPLUS_AUTO,
	FUSE_PARALLEL_DIROPS,
	FUSE_MAX_PAGES,
	FUSE_HANDLE_KILLPRIV_V2,
	FUSE_SETXATTR_EXT,
	FUSE_INIT_EXT,
	FUSE_NO_EXPORT_SUPPORT,
};

/** Taken where options ask for them, and others allow it. */
const CONDITIONAL = {
	FUSE_CACHE_SYMLINKS,
	FUSE_AUTO_INVAL_DATA,
	FUSE_PASSTHROUGH,
	FUSE_ATOMIC_O_TRUNC,
	FUSE_WRITEBACK_CACHE,
	FUSE_POSIX_ACL,
	FUSE_HAS_RESEND,
};

/** All that may be taken, by name. */
const FLAGS: Readonly<Record<string, number>> = { ...WANTED, ...CONDITIONAL };
export const flagNames = Object.keys(FLAGS);
export const requiredFlagNames = Object.keys(REQUIRED);

/** The message in the place of a request is not what a mount begins with. */
export class HandshakeFailed extends Error {
	override readonly name = "HandshakeFailed";
}

/**
 * Reads names of flags and `minor=N`, separated by commas. Throws HandshakeFailed for others: what would be tried without
 * them is not what was meant.
 */
export function parseDeclined(text: string): Declined {
	const words = text.split(",").filter((word) => word !== "");
	const minors = words.map((word) => /^minor=(\d+)$/.exec(word)?.[1]).filter((minor) => minor !== undefined);
	const flags = words.filter((word) => !word.startsWith("minor="));
	const unknown = flags.filter((flag) => FLAGS[flag] === undefined);
	if (unknown.length > 0 || flags.length + minors.length !== words.length)
		throw new HandshakeFailed(`cannot decline ${text}: give names of flags, as FUSE_MAX_PAGES, and minor=N`);
	return { flags, minor: Math.min(FUSE_KERNEL_MINOR_VERSION, ...minors.map(Number)) };
}

/**
 * Answers the INIT message that was read from `fd` into the place of a request, and notes in `agreed` what was
 * settled; false if the mount is gone already. The message then says the same, for libfuse to set up its side by. Throws
 * HandshakeFailed for another message or a kernel that lacks what is needed.
 */
export function answerInit(fd: Fd, features: Features, agreed: Agreement): boolean {
	if (opcode() !== FUSE_INIT)
		throw new HandshakeFailed("the kernel did not begin with INIT: is this mount in use already?");
	const major = argument32(fuseInitIn.major);
	const minor = Math.min(argument32(fuseInitIn.minor), features.declined.minor);
	const offered = offeredFlags(features.declined);
	const lacking = Object.values(REQUIRED).some((flag) => !has(offered, flag));
	if (major !== FUSE_KERNEL_VERSION || minor < OLDEST_MINOR || lacking) {
		refuse(fd);
		throw new HandshakeFailed(`the kernel's FUSE ${major}.${minor} is too old: Linux 5.1 or later is needed`);
	}
	const taken = choose(offered, features);
	agreed.passthrough = has(taken, FUSE_PASSTHROUGH);
	agreed.writeback = has(taken, FUSE_WRITEBACK_CACHE);
	agreed.acl = has(taken, FUSE_POSIX_ACL);
	agreed.resends = has(taken, FUSE_HAS_RESEND);
	agreed.extendedSetxattr = has(taken, FUSE_SETXATTR_EXT);
	agreed.prunes = minor >= PRUNING_MINOR;
	const [low, high] = [taken % 2 ** 32, Math.floor(taken / 2 ** 32)];
	// In pages, because that is how the kernel counts them.
	const pages = has(taken, FUSE_MAX_PAGES) ? Math.ceil(LARGEST_WRITE / pageSize()) : DEFAULT_PAGES;
	const largest = Math.min(LARGEST_WRITE, pages * pageSize());
	bytes.fill(0, ANSWER, ANSWER + fuseOutHeader.sizeof + fuseInitOut.sizeof);
	const out = ANSWER + fuseOutHeader.sizeof;
	view.setUint32(out + fuseInitOut.major, FUSE_KERNEL_VERSION, true);
	view.setUint32(out + fuseInitOut.minor, minor, true);
	view.setUint32(out + fuseInitOut.maxReadahead, argument32(fuseInitIn.maxReadahead), true);
	view.setUint32(out + fuseInitOut.flags, low, true);
	view.setUint32(out + fuseInitOut.flags2, high, true);
	view.setUint16(out + fuseInitOut.maxBackground, MAX_BACKGROUND, true);
	view.setUint16(out + fuseInitOut.congestionThreshold, (MAX_BACKGROUND * 3) / 4, true);
	const maxWrite = Math.min(Math.max(features.maxWrite ?? largest, SMALLEST_WRITE), largest);
	view.setUint32(out + fuseInitOut.maxWrite, maxWrite, true);
	view.setUint16(out + fuseInitOut.maxPages, has(taken, FUSE_MAX_PAGES) ? pages : 0, true);
	view.setUint32(out + fuseInitOut.timeGran, 1, true);
	view.setUint32(out + fuseInitOut.maxStackDepth, agreed.passthrough ? STACK_DEPTH : 0, true);
	view.setUint32(argumentAt(fuseInitIn.minor, 4), minor, true);
	view.setUint32(argumentAt(fuseInitIn.flags, 4), low, true);
	// An older kernel's message ends before.
	if (has(taken, FUSE_INIT_EXT)) view.setUint32(argumentAt(fuseInitIn.flags2, 4), high, true);
	return send(fd, 0, fuseInitOut.sizeof);
}

/** The flags to take of those that are offered, as one number. */
function choose(offered: number, features: Features): number {
	const passthrough = features.passthrough && has(offered, FUSE_PASSTHROUGH);
	const wanted = Object.values(WANTED);
	if (passthrough) wanted.push(FUSE_PASSTHROUGH);
	else if (features.writeback && !features.live) wanted.push(FUSE_WRITEBACK_CACHE);
	// To cut a file at its opening, so that copy-up spares what is cut off. The kernel then leaves its set-id bits to us,
	// and says whether to take them away only with the other flag.
	if (passthrough && has(offered, FUSE_HANDLE_KILLPRIV_V2)) wanted.push(FUSE_ATOMIC_O_TRUNC);
	wanted.push(features.live ? FUSE_AUTO_INVAL_DATA : FUSE_CACHE_SYMLINKS);
	if (features.acl) wanted.push(FUSE_POSIX_ACL);
	if (features.outlives) wanted.push(FUSE_HAS_RESEND);
	return wanted.filter((flag) => has(offered, flag)).reduce((sum, flag) => sum + flag, 0);
}

/** All flags the kernel offers that are not declined, as one number. */
function offeredFlags({ flags: declined }: Declined): number {
	const without = declined.map((name) => FLAGS[name] ?? 0);
	const low = argument32(fuseInitIn.flags);
	const isExtended = has(low, FUSE_INIT_EXT) && !without.includes(FUSE_INIT_EXT);
	const offered = low + (isExtended ? argument32(fuseInitIn.flags2) * 2 ** 32 : 0);
	return without.reduce((rest, flag) => (has(rest, flag) ? rest - flag : rest), offered);
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
	copy64(ANSWER + fuseOutHeader.unique, REQUEST + fuseInHeader.unique);
	const written = write(fd, ANSWER, length);
	if (written === -ENOENT || written === -ENODEV) return false;
	if (check(written) !== length) throw new HandshakeFailed("short answer to INIT");
	return true;
}
