/** How an overlay behaves: what was asked for, as far as this process and the layers allow it. */

import type { MountOptions } from "../options.ts";
import type { UsersMarks } from "./nodes/data-search.ts";
import type { RedirectMode } from "./nodes/redirects.ts";

export interface OverlayOptions {
	/** The mount is to outlive this process: nothing must be reached by its descriptors alone. */
	readonly outlives: boolean;
	/** Changes are made durable where that is asked for, and at copy-up. */
	readonly fsync: boolean;
	/** Directories show a link count of 1. */
	readonly staticLinkCount: boolean;
	/** Trust readdir's inode numbers instead of resolving origins. */
	readonly fastInode: boolean;
	readonly inode32: boolean;
	/** Extended attributes can be used through the mount. */
	readonly xattrs: boolean;
	/** The upper layer, without one any layer, has POSIX ACLs, and they are wanted. */
	readonly acl: boolean;
	/**
	 * What is in the topmost layer may be copies, which are shown with the numbers of what they stand for: it is an upper one,
	 * also where nothing may be changed in it, but not where others may.
	 */
	readonly hasCopies: boolean;
	/** The ids this process runs under. */
	readonly uid: number;
	readonly gid: number;
	/** Descriptors the caches may keep open. */
	readonly largestDescriptors: number;
	/** Others may change the layers: what is known of them is looked at again when the kernel asks. */
	readonly live: boolean;
	/** Which renamed directories of the layers are followed, and whether directories with lower content can be renamed. */
	readonly redirects: RedirectMode;
	/** Files are copied up without their data where that is not to change. Only where directories can be renamed, too. */
	readonly leavesData: boolean;
	/** What is done with files without data whose mark is of the `user` namespace. */
	readonly usersMetacopies: UsersMarks;
	/** Whether their data must have the digest that they name. */
	readonly verity: MountOptions["verity"];
	/** Lower files with several names stay one file when they are copied up. */
	readonly indexes: boolean;
	/** Bytes of directory listings kept in memory. */
	readonly largestListings: number;
}
