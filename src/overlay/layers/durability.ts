/**
 * Making sure that a copy's data is on the disk before its name is. Where the file system's journal takes changes in
 * the order in which they were made, it is enough that the data has been written: the rename that follows is committed
 * later, and a commit flushes the disk's cache first. Elsewhere the file is synced, as kernel overlayfs does always.
 */

import { ENOSYS, EPERM, EXT4_SUPER_MAGIC, statfs, statx, XFS_SUPER_MAGIC } from "../../native/layout.ts";
import { exists, readLink } from "../../native/libc/by-path.ts";
import { dataSync, type Fd, sync, writeBack } from "../../native/libc/file.ts";
import { statDescriptor, statFileSystem } from "../../native/libc/metadata.ts";
import { fileSystemOf } from "../../native/libc/stat.ts";
import { getNumber, reserve } from "../../native/memory.ts";

/**
 * How a copy is made durable, as far as `fsync` and the upper layer ask for it; "whole": with all that describes it, and copies
 * of directories as well.
 */
export type Durability = "none" | "written" | "synced" | "whole";

/** The journal inside of an ext4 file system is this inode of it. */
const JOURNAL_INODE = 8;
const STAT = reserve(statx.sizeof);
const FILE_SYSTEM = reserve(statfs.sizeof);

/** What is needed on the file system of `directory`. Where that cannot be told: "synced". */
export function neededDurability(directory: Fd): Durability {
	if (statFileSystem(directory, FILE_SYSTEM) < 0 || statDescriptor(directory, STAT) < 0) return "synced";
	const device = fileSystemOf(STAT);
	// On no disk of this machine: 9p tells the type that its server's file system has.
	if (device.startsWith("0:")) return "synced";
	const type = getNumber(FILE_SYSTEM + statfs.fType);
	if (type === XFS_SUPER_MAGIC) return "written";
	return type === EXT4_SUPER_MAGIC && hasJournal(device) ? "written" : "synced";
}

/** Whether an ext4 (ext2, ext3) file system has a journal on its own device, whose cache a commit flushes. */
function hasJournal(device: string): boolean {
	try {
		const name = readLink(`/sys/dev/block/${device}`).split("/").at(-1);
		return exists(`/proc/fs/jbd2/${name}-${JOURNAL_INODE}`);
	} catch {
		return false;
	}
}

/** Returns 0 or -errno. */
export function makeDurable(fd: Fd, durability: Durability): number {
	if (durability === "none") return 0;
	if (durability === "whole") return sync(fd);
	const written = durability === "written" ? writeBack(fd) : -ENOSYS;
	// Refused by a seccomp filter, too.
	return written === -ENOSYS || written === -EPERM ? dataSync(fd) : written;
}
