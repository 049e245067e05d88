/**
 * Whether another mount works with the same upper layer or workdir: what one of them changes the other does not expect.
 *
 * Mounts of this program hold a lock on both directories (flock(2)), which ends with the process that holds it, however that
 * ends. Kernel overlayfs keeps a flag of the inode, which nobody can ask for: its mounts are looked for in the mount table.
 * That has paths as they were given, maybe relative to where somebody was, or in another root directory. Hence the root of an
 * overlay mount is asked for its file handle, too, which is that of its upper layer (Linux 6.6, not in user namespaces).
 * Source: Linux fs/overlayfs/super.c, ovl_report_in_use; export.c, ovl_check_encode_origin; overlayfs.h, struct ovl_fb.
 */

import {
	AT_EMPTY_PATH,
	AT_HANDLE_FID,
	EAGAIN,
	fileHandle,
	LOCK_EX,
	LOCK_NB,
	MAX_HANDLE_SZ,
	O_DIRECTORY,
	O_PATH,
	O_RDONLY,
	statx,
} from "../../native/layout.ts";
import { openCached } from "../../native/libc/confined.ts";
import { close, type Fd, lock, openAt, WORKING_DIRECTORY } from "../../native/libc/file.ts";
import { getHandle, mountId, statDescriptor } from "../../native/libc/metadata.ts";
import { type MountEntry, mountOption, readMountTable } from "../../native/libc/mount-table.ts";
import { fileSystemOf, inodeHigh, inodeLow } from "../../native/libc/stat.ts";
import {
	bytes,
	EMPTY_NAME,
	lengthOf,
	readBytes,
	release,
	reserve,
	store,
	view,
} from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import { readUuid, UUID_SIZE } from "./uuid.ts";

const STAT = reserve(statx.sizeof);
const HANDLE = reserve(fileHandle.sizeof + MAX_HANDLE_SZ);
const BYTES = HANDLE + fileHandle.fHandle;
const UUID = reserve(UUID_SIZE);
/** Kernel overlayfs's type of handle: three bytes of padding, then `struct ovl_fb`. */
const OVL_FILEID_V1 = 0xf8;
const FB_START = 3;
/** Of `struct ovl_fb`: the type of the handle in it, the file system's uuid, the handle. */
const FB = { type: 4, uuid: 5, fid: 21 };

const MOST_TRIES = 100;

/** Where kernel overlayfs uses the same directories. */
export interface KernelUse {
	readonly mountpoint: ByteString;
	readonly upper: boolean;
	readonly work: boolean;
}

/** Takes a directory for this mount, as long as `directory` is open; false: another mount of this program has it. */
export function claim(directory: Fd): boolean {
	return lock(directory, LOCK_EX | LOCK_NB) !== -EAGAIN;
}

/**
 * The mounts of kernel overlayfs that have `upper` or `work` for their upper layer or workdir, as far as this process's mount
 * table has them.
 * @param workPath where the workdir is, an absolute path without symlinks
 */
export function findKernelUses(upper: Fd, work: Fd, workPath: ByteString): KernelUse[] {
	const overlays = readMountTable("overlay");
	if (overlays.length === 0) return [];
	const wanted = new Wanted(upper, work, workPath);
	const root = openPath("/" as ByteString, O_PATH);
	const seen = new Set<string>();
	const uses: KernelUse[] = [];
	for (const mount of overlays) {
		// One file system may be mounted in many places.
		if (seen.has(mount.device)) continue;
		const use = wanted.compare(root, mount);
		if (use !== undefined) seen.add(mount.device);
		if (use?.upper || use?.work) uses.push(use);
	}
	close(root);
	return uses;
}

/** A directory that overlayfs was given. It takes escapes for itself, and shows what was written. */
function layerOf(mount: MountEntry, name: "upperdir" | "workdir"): ByteString | undefined {
	return mountOption(mount, name)?.replace(/\\(.)/gs, "$1") as ByteString | undefined;
}

/** The directories that are to be used, and what tells them from others. */
class Wanted {
	private readonly upper: string;
	private readonly work: string;
	private readonly upperHandle: string | undefined;
	private readonly workPath: ByteString;

	constructor(upper: Fd, work: Fd, workPath: ByteString) {
		this.upper = identify(upper);
		this.work = identify(work);
		this.upperHandle = handleOf(upper);
		this.workPath = workPath;
	}

	/** undefined: it has no upper layer, or cannot be looked at. `root` is the root directory. */
	compare(root: Fd, mount: MountEntry): KernelUse | undefined {
		const { id, path } = mount;
		const upper = layerOf(mount, "upperdir");
		const work = layerOf(mount, "workdir");
		if (upper === undefined || work === undefined) return undefined;
		const handle = within(root, path, (fd) => (mountId(fd) === id ? handleOfOverlay(fd) : undefined));
		if (handle === undefined && !isAbsolute(upper)) return undefined;
		const isAt = (given: ByteString, wanted: string) =>
			isAbsolute(given) && within(root, given, identify) === wanted;
		const hasUpper = isAt(upper, this.upper) || (handle !== undefined && handle === this.upperHandle);
		const hasWork = isAt(work, this.work) || (handle !== undefined && this.isBeside(work, upper, handle));
		return { mountpoint: path, upper: hasUpper, work: hasWork };
	}

	/**
	 * Whether a workdir that was given by a relative path is the wanted one: if it is, that tells where whoever gave it was, and
	 * the upper layer must be found from there.
	 */
	private isBeside(work: ByteString, upper: ByteString, upperHandle: string): boolean {
		if (isAbsolute(work) || isAbsolute(upper) || !this.workPath.endsWith(`/${work}`)) return false;
		// The file system's uuid is not told through O_PATH.
		const fd = openPath(`${this.workPath.slice(0, -work.length)}${upper}` as ByteString, O_RDONLY);
		if (fd < 0) return false;
		const handle = handleOf(fd);
		close(fd);
		return handle === upperHandle;
	}
}

function isAbsolute(path: ByteString): boolean {
	return path.startsWith("/");
}

/** What `look` makes of a directory; undefined where it cannot be opened. */
function within<Result>(root: Fd, path: ByteString, look: (fd: Fd) => Result): Result | undefined {
	const name = store(path);
	let fd = openCached(root, name, O_PATH | O_DIRECTORY);
	// What is mounted or moved elsewhere meanwhile disturbs the kernel, too.
	for (let tries = 0; fd === -EAGAIN && tries < MOST_TRIES; tries++)
		fd = openCached(root, name, O_PATH | O_DIRECTORY);
	release(name, lengthOf(name) + 1);
	if (fd < 0) return undefined;
	const result = look(fd);
	close(fd);
	return result;
}

function openPath(path: ByteString, flags: number): Fd {
	const name = store(path);
	const fd = openAt(WORKING_DIRECTORY, name, flags | O_DIRECTORY);
	release(name, lengthOf(name) + 1);
	return fd;
}

/** Device and inode. */
function identify(fd: Fd): string {
	if (statDescriptor(fd, STAT) < 0) return "";
	return `${fileSystemOf(STAT)} ${inodeHigh(STAT)} ${inodeLow(STAT)}`;
}

/** A directory's file handle, with its file system's uuid; undefined where there are none. */
function handleOf(fd: Fd): string | undefined {
	const size = readHandle(fd, 0);
	if (size === undefined) return undefined;
	readUuid(fd, UUID);
	const uuid = readBytes(UUID, UUID_SIZE);
	return `${view.getInt32(HANDLE + fileHandle.handleType, true)} ${uuid} ${readBytes(BYTES, size)}`;
}

/** The same of the upper layer of a kernel overlayfs whose root `fd` is. */
function handleOfOverlay(fd: Fd): string | undefined {
	const size = (readHandle(fd, AT_HANDLE_FID) ?? 0) - FB_START - FB.fid;
	if (size < 0 || view.getInt32(HANDLE + fileHandle.handleType, true) !== OVL_FILEID_V1) return undefined;
	const fb = BYTES + FB_START;
	return `${bytes[fb + FB.type]} ${readBytes(fb + FB.uuid, UUID_SIZE)} ${readBytes(fb + FB.fid, size)}`;
}

/** Fills HANDLE; the length of what is in BYTES. */
function readHandle(fd: Fd, flags: number): number | undefined {
	view.setUint32(HANDLE + fileHandle.handleBytes, MAX_HANDLE_SZ, true);
	if (getHandle(fd, EMPTY_NAME, HANDLE, AT_EMPTY_PATH | flags) < 0) return undefined;
	return view.getUint32(HANDLE + fileHandle.handleBytes, true);
}
