/**
 * What a mount can be told: every option with its meaning and its default.
 *
 * The command line (cli/) makes one of these; so may a program that uses the library. Paths and other
 * strings from outside are {@link ByteString}s, because file names are bytes and need not be UTF-8.
 */

/** Bytes held in a string, one char code (0..255) a byte, as `Buffer.latin1Slice` makes them. Never text. */
export type ByteString = string & { readonly __brand: "ByteString" };

/** Ids `onDisk .. onDisk + length - 1` in the layers are shown as `shown .. shown + length - 1` in the mount. */
export interface IdRange {
	readonly onDisk: number;
	readonly shown: number;
	readonly length: number;
}

/** Mount options handed on to libfuse or the kernel; `ro`, `rw` and `max_write=N` have fields of their own. */
export type KernelOption =
	| "allow_root"
	| "allow_other"
	| "default_permissions"
	| "suid"
	| "nosuid"
	| "dev"
	| "nodev"
	| "exec"
	| "noexec"
	| "atime"
	| "noatime"
	| "diratime"
	| "nodiratime"
	| "splice_write"
	| "splice_read"
	| "splice_move"
	| "kernel_cache";

/**
 * What is made durable: "off": nothing, fsync and fsyncdir do nothing; "volatile": the same, and the workdir is marked for that
 * (layers/volatile.ts); "auto": what is asked for, and copies of files before they get their names; "strict": their metadata
 * and directories that are copied up, too.
 */
export type FsyncMode = "off" | "volatile" | "auto" | "strict";

export interface MountOptions {
	/** Where to mount; may be `/dev/fd/N`, an already mounted /dev/fuse descriptor. */
	readonly mountpoint: ByteString;
	/** Read-only layers, topmost first; at least one. */
	readonly lowerDirectories: readonly ByteString[];
	/**
	 * Lower layers whose names are not shown: files of those above that have no data of their own have it there. They are
	 * searched in this order. Default: none.
	 */
	readonly dataDirectories: readonly ByteString[];
	/** The writable layer; undefined: a read-only mount. Given if and only if `workDirectory` is. */
	readonly upperDirectory: ByteString | undefined;
	/** Scratch directory on the upper's file system. */
	readonly workDirectory: ByteString | undefined;
	/** Refuse every change although there is an upper layer. Default: false. */
	readonly readOnly: boolean;
	/** Stay in the foreground. Default: false. */
	readonly foreground: boolean;
	/** Trace requests to the log. Default: false. */
	readonly debug: boolean;
	/** Later ranges win. Empty: ids are shown as they are. */
	readonly uidMapping: readonly IdRange[];
	readonly gidMapping: readonly IdRange[];
	/**
	 * Seconds the kernel may keep names, attributes and absences, 0 to 2^32; 0: no caching. With less than the default, 1e9,
	 * others may change the layers.
	 */
	readonly timeout: number;
	/** Accepted for compatibility: one thread serves all requests either way. Default: false. */
	readonly threaded: boolean;
	/** What is made durable. Default: "auto". */
	readonly fsync: FsyncMode;
	/** Let the kernel gather writes in its page cache. Default: true. */
	readonly writeback: boolean;
	/** Trust the inode numbers readdir gives instead of resolving origins, unless `xino` is "on". Default: false. */
	readonly fastInode: boolean;
	/** False: no extended attributes through the mount (ENOTSUP). Default: true. */
	readonly xattrs: boolean;
	/** Where owner, mode and device are kept: 0 on the inode, 1 and 2 in an extended attribute. Default: 0. */
	readonly xattrPermissions: 0 | 1 | 2;
	/** Show everything as owned by root; chown succeeds without effect. Default: false. */
	readonly squashToRoot: boolean;
	/** Show this owner; wins over `squashToRoot`. Default: undefined. */
	readonly squashToUid: number | undefined;
	readonly squashToGid: number | undefined;
	/** Directories show a link count of 1. Default: false. */
	readonly staticLinkCount: boolean;
	/** POSIX ACLs, unless the upper layer, without one all layers, have none. Default: true. */
	readonly acl: boolean;
	/** SELinux mount context, handed to the kernel. Default: undefined. */
	readonly context: ByteString | undefined;
	/** "on": refuse to mount where copied-up files could not keep their inode numbers. Default: "off". */
	readonly xino: "off" | "auto" | "on";
	/** Truncate inode numbers to 32 bits. Default: false. */
	readonly inode32: boolean;
	/** Largest WRITE request in bytes; undefined: as large as kernel and libfuse allow. Default: undefined. */
	readonly maxWrite: number | undefined;
	/** In order, each at most once, of opposites (suid, nosuid) only the one given last. */
	readonly kernelOptions: readonly KernelOption[];
	/** Write whiteouts as `.wh.NAME` files without trying character devices first. Default: false. */
	readonly fileWhiteouts: boolean;
	/**
	 * Let the kernel read and write the real files by itself (Linux 6.9, CAP_SYS_ADMIN outside of user namespaces), which
	 * excludes `writeback`. `auto`: files that cannot be copied up, unless a layer is on a stacked file system; `on`: large
	 * lower files too, whose readers do not see what is written to the copy. Default: "auto".
	 */
	readonly passthrough: "auto" | "on" | "off";
	/**
	 * Directories renamed in a layer, marked with `overlay.redirect`: "off": what the `trusted` mark leads to is shown, that of
	 * the `user` namespace is refused; "nofollow": both are refused; "follow": both are shown; "on": and directories with lower
	 * content can be renamed. Default: "off".
	 */
	readonly redirectDirectories: "on" | "follow" | "nofollow" | "off";
	/**
	 * "on": files whose data lies in a layer below are read also where a mark of the `user` namespace says so, and, with
	 * `redirectDirectories` "on", files are copied up so where their data is not to change. Default: "off".
	 */
	readonly metacopies: "on" | "off";
	/** "on": lower files with several names stay one file when they are copied up. Default: "off". */
	readonly index: "on" | "off";
	/** Keep marks in attributes of the `user` namespace although those of `trusted` can be set. Default: false. */
	readonly userAttributes: boolean;
	/** Origins name the file system that they are on, by its uuid. Default: true. */
	readonly originUuids: boolean;
	/**
	 * Whether data that lies in a layer below must have the fs-verity digest which the file that it belongs to names: "on": where
	 * it names one; "require": it must name one. Default: "off".
	 */
	readonly verity: "off" | "on" | "require";
	/**
	 * "on": where the daemon ends without having been told to, another goes on with the mount, and SIGUSR2 has the program that is
	 * now at its path do so. Default: "off".
	 */
	readonly failover: "on" | "off";
	/** Append the log to this file. Default: undefined, the log goes to stderr. */
	readonly logFile: ByteString | undefined;
}

/** What a mount is unless told otherwise; where it goes and of which layers it is made has no default. */
export const defaultOptions: Readonly<Omit<MountOptions, "mountpoint" | "lowerDirectories">> = Object.freeze({
	dataDirectories: Object.freeze([]),
	upperDirectory: undefined,
	workDirectory: undefined,
	readOnly: false,
	foreground: false,
	debug: false,
	uidMapping: Object.freeze([]),
	gidMapping: Object.freeze([]),
	timeout: 1e9,
	threaded: false,
	fsync: "auto",
	writeback: true,
	fastInode: false,
	xattrs: true,
	xattrPermissions: 0,
	squashToRoot: false,
	squashToUid: undefined,
	squashToGid: undefined,
	staticLinkCount: false,
	acl: true,
	context: undefined,
	xino: "off",
	inode32: false,
	maxWrite: undefined,
	kernelOptions: Object.freeze([]),
	fileWhiteouts: false,
	passthrough: "auto",
	redirectDirectories: "off",
	metacopies: "off",
	index: "off",
	userAttributes: false,
	originUuids: true,
	verity: "off",
	failover: "off",
	logFile: undefined,
});
