/**
 * The uuid of a file system as kernel overlayfs knows it, which it puts into file handles that are kept. Btrfs has one there, and
 * does not tell it by the call that all have. Source: Linux fs/overlayfs/copy_up.c, ovl_encode_real_fh; fs/btrfs/disk-io.c.
 */

import { BTRFS_IOC_FS_INFO, btrfsIoctlFsInfoArgs, FS_IOC_GETFSUUID, fsuuid2 } from "../../native/layout.ts";
import { control, type Fd } from "../../native/libc/file.ts";
import { bytes, copy, type Offset, reserve } from "../../native/memory.ts";

/** Bytes of a uuid. */
export const UUID_SIZE = 16;

const OF_ANY = reserve(fsuuid2.sizeof);
const OF_BTRFS = reserve(btrfsIoctlFsInfoArgs.sizeof);

/**
 * Writes the uuid of the file system that `fd` is open on (not O_PATH) to `target`; zeros where it has none, or the kernel does
 * not tell (before Linux 6.9, but of btrfs).
 */
export function readUuid(fd: Fd, target: Offset): void {
	if (control(fd, FS_IOC_GETFSUUID, OF_ANY, fsuuid2.sizeof) === 0)
		copy(target, OF_ANY + fsuuid2.uuid, UUID_SIZE);
	else if (control(fd, BTRFS_IOC_FS_INFO, OF_BTRFS, btrfsIoctlFsInfoArgs.sizeof) === 0)
		copy(target, OF_BTRFS + btrfsIoctlFsInfoArgs.fsid, UUID_SIZE);
	else bytes.fill(0, target, target + UUID_SIZE);
}
