/**
 * A layer: one directory tree of the overlay, and how a directory in it is opened.
 *
 * Where the kernel allows it a layer is reached through a private clone of its mount (open_tree(2)), as kernel
 * overlayfs does: nothing mounted inside the tree shows, so the walk can never come into the overlay's own mount
 * or leave the file system; a lower layer's clone is read-only and keeps no access times. Without that privilege
 * the tree is walked in place, and mount points in it are refused (EXDEV).
 *
 * Nothing follows a symlink inside a layer: directories are opened one name at a time.
 */

import {
	AFS_FS_MAGIC,
	AFS_SUPER_MAGIC,
	CEPH_SUPER_MAGIC,
	CIFS_SUPER_MAGIC,
	CODA_SUPER_MAGIC,
	EACCES,
	ELOOP,
	EMLINK,
	ENOENT,
	ENOTDIR,
	EPERM,
	EXDEV,
	FUSE_SUPER_MAGIC,
	NFS_SUPER_MAGIC,
	O_DIRECTORY,
	O_NOATIME,
	O_NOFOLLOW,
	O_PATH,
	O_RDONLY,
	OCFS2_SUPER_MAGIC,
	OVERLAYFS_SUPER_MAGIC,
	PATH_MAX,
	SMB_SUPER_MAGIC,
	SMB2_SUPER_MAGIC,
	statfs,
	statx,
	V9FS_MAGIC,
} from "../../native/layout.ts";
import { openWithin } from "../../native/libc/confined.ts";
import { check } from "../../native/libc/errno.ts";
import { close, type Fd, openAt } from "../../native/libc/file.ts";
import { stat, statDescriptor, statFileSystem } from "../../native/libc/metadata.ts";
import { fileSystemOf } from "../../native/libc/stat.ts";
import { getNumber, type Name, type Offset, reserve, writeString } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import { type RemovedName, removedOnFuse, removedOnNfs } from "./removed-name.ts";

const STAT = reserve(statx.sizeof);
const FILE_SYSTEM = reserve(statfs.sizeof);
const PATH = reserve(PATH_MAX);
const STACKED = [OVERLAYFS_SUPER_MAGIC, FUSE_SUPER_MAGIC];
/** From outside the kernel, whose headers do not have them. */
const LUSTRE_SUPER_MAGIC = 0xbd00bd0;
const GPFS_SUPER_MAGIC = 0x47504653;
/** File systems that ask another program or machine. */
const DISTANT = [
	FUSE_SUPER_MAGIC,
	NFS_SUPER_MAGIC,
	SMB_SUPER_MAGIC,
	CIFS_SUPER_MAGIC,
	SMB2_SUPER_MAGIC,
	CEPH_SUPER_MAGIC,
	AFS_SUPER_MAGIC,
	AFS_FS_MAGIC,
	V9FS_MAGIC,
	CODA_SUPER_MAGIC,
	OCFS2_SUPER_MAGIC,
	LUSTRE_SUPER_MAGIC,
	GPFS_SUPER_MAGIC,
];

/** Where an object is on disk: `name` in `directory`, or `directory` itself where the name is empty. */
export interface Place {
	directory: Fd;
	name: Name;
	/** AT_EMPTY_PATH for the empty name, else 0. */
	flags: number;
}

export class Layer {
	/** Position in the overlay's list; 0 is the topmost. */
	readonly index: number;
	/** As given by the user; for messages. */
	readonly path: ByteString;
	readonly root: Fd;
	/** Reached through a private clone of its mount. */
	readonly isolated: boolean;
	/** Identifies the file system, as statx(2) gives it. */
	readonly device: string;
	/** Its file handles lead to the same files at the next mount; those of a FUSE file system are lost with its daemon. */
	readonly keepsHandles: boolean;
	/** On a file system that stands on others: overlayfs or FUSE. */
	readonly isStacked: boolean;
	/** Origins of what is in it name its file system by uuid; else by zeros. */
	namesFileSystem = true;
	/** Its file system may not answer for long, as it asks another program or machine. */
	readonly isDistant: boolean;
	/** What its file system calls files that are removed while they are open; undefined: such have no name. */
	readonly removedName: RemovedName | undefined;
	/** Who has a file open by a name that is removed has it there by another one (NFS), or not for long (9p). */
	readonly losesRemoved: boolean;
	/** Copies in the upper layer may share this layer's blocks, as far as is known. */
	mayShareBlocks = true;
	/** O_NOATIME, until the first refusal: only an owner or a privileged process may use it. */
	private noAccessTime = O_NOATIME;

	/**
	 * Takes over `root`, a descriptor that can be read.
	 * @param on9p the devices of file systems of 9p: what statfs(2) tells of one is what its server says of its own
	 */
	constructor(index: number, path: ByteString, root: Fd, isolated: boolean, on9p: ReadonlySet<string>) {
		this.index = index;
		this.path = path;
		this.root = root;
		this.isolated = isolated;
		check(statDescriptor(root, STAT));
		check(statFileSystem(root, FILE_SYSTEM));
		this.device = fileSystemOf(STAT);
		const type = on9p.has(this.device) ? V9FS_MAGIC : getNumber(FILE_SYSTEM + statfs.fType);
		this.keepsHandles = type !== FUSE_SUPER_MAGIC;
		this.isStacked = STACKED.includes(type);
		this.isDistant = DISTANT.includes(type);
		const isNfs = type === NFS_SUPER_MAGIC;
		this.losesRemoved = isNfs || type === V9FS_MAGIC;
		this.removedName = isNfs ? removedOnNfs : this.keepsHandles ? undefined : removedOnFuse;
	}

	/**
	 * Opens a directory below `parent` for reading, or for looking names up only where reading it is not allowed.
	 * Returns -ENOTDIR or -ELOOP for anything else of that name, -EXDEV for a mount point.
	 */
	openDirectory(parent: Fd, name: Offset): Fd {
		const fd = this.open(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
		return fd === -EACCES ? this.open(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW) : fd;
	}

	/** Opens a name below `parent` without following symlinks and without touching its access time. */
	open(parent: Fd, name: Offset, flags: number): Fd {
		return this.openQuietly(this.isolated ? openAt : openWithin, parent, name, flags);
	}

	/**
	 * As {@link open}, of names with slashes between them, from the layer's root: with no symlink on the way, and at once,
	 * however long. Returns -ENOTDIR or -ELOOP where one of them leads no further.
	 */
	openPath(path: ByteString, flags: number): Fd {
		let above = this.root;
		for (let rest = path; ; ) {
			const end = rest.length < PATH_MAX ? rest.length : rest.lastIndexOf("/", PATH_MAX - 1);
			writeString(PATH, rest.slice(0, end) as ByteString);
			const isLast = end === rest.length;
			const from = above;
			try {
				above = this.openQuietly(openWithin, from, PATH, isLast ? flags : O_PATH | O_DIRECTORY);
			} finally {
				if (from !== this.root) close(from);
			}
			if (isLast || above < 0) return above;
			rest = rest.slice(end + 1) as ByteString;
		}
	}

	private openQuietly(open: typeof openWithin, parent: Fd, name: Offset, flags: number): Fd {
		const noAccessTime = (flags & O_PATH) === 0 ? this.noAccessTime : 0;
		const fd = open(parent, name, flags | O_NOFOLLOW | noAccessTime);
		if (fd !== -EPERM || noAccessTime === 0) return fd;
		const again = open(parent, name, flags | O_NOFOLLOW);
		if (again >= 0) this.noAccessTime = 0;
		return again;
	}

	/**
	 * Fills a `struct statx` with the attributes of a name below `parent`. A mount point in a tree that is walked in place
	 * is not there (-ENOENT): it may be the overlay's own mount, and looking at that would wait for ourselves.
	 */
	stat(parent: Fd, name: Offset, target: Offset): number {
		if (this.isolated) return stat(parent, name, target);
		const fd = openWithin(parent, name, O_PATH | O_NOFOLLOW);
		if (fd < 0) return fd === -EXDEV ? -ENOENT : fd;
		try {
			return statDescriptor(fd, target);
		} finally {
			close(fd);
		}
	}

	close(): void {
		close(this.root);
	}
}

/** Errors that say "not a directory" of a name, by one call or another. */
export function isNotDirectory(result: number): boolean {
	return result === -ENOTDIR || result === -ELOOP || result === -EMLINK;
}
