// Generated from native-headers/ by native-headers/generate.ts: do not edit.
// Byte offsets and constants of the kernel's, libfuse's and libc's C interface; the rules are told there.

const arm64 = process.arch === "arm64";

// ---- fuse-kernel.h

export const FUSE_KERNEL_VERSION = 7;
export const FUSE_KERNEL_MINOR_VERSION = 45;
export const FUSE_ROOT_ID = 1;
export const FUSE_MIN_READ_BUFFER = 8192;
export const FUSE_UNIQUE_RESEND = 0x8000000000000000n;
export const FUSE_INVALID_UIDGID = 0xffffffff;
export const FUSE_LOOKUP = 1;
export const FUSE_FORGET = 2;
export const FUSE_GETATTR = 3;
export const FUSE_SETATTR = 4;
export const FUSE_READLINK = 5;
export const FUSE_SYMLINK = 6;
export const FUSE_MKNOD = 8;
export const FUSE_MKDIR = 9;
export const FUSE_UNLINK = 10;
export const FUSE_RMDIR = 11;
export const FUSE_RENAME = 12;
export const FUSE_LINK = 13;
export const FUSE_OPEN = 14;
export const FUSE_READ = 15;
export const FUSE_WRITE = 16;
export const FUSE_STATFS = 17;
export const FUSE_RELEASE = 18;
export const FUSE_FSYNC = 20;
export const FUSE_SETXATTR = 21;
export const FUSE_GETXATTR = 22;
export const FUSE_LISTXATTR = 23;
export const FUSE_REMOVEXATTR = 24;
export const FUSE_FLUSH = 25;
export const FUSE_INIT = 26;
export const FUSE_OPENDIR = 27;
export const FUSE_READDIR = 28;
export const FUSE_RELEASEDIR = 29;
export const FUSE_FSYNCDIR = 30;
export const FUSE_GETLK = 31;
export const FUSE_SETLK = 32;
export const FUSE_SETLKW = 33;
export const FUSE_ACCESS = 34;
export const FUSE_CREATE = 35;
export const FUSE_INTERRUPT = 36;
export const FUSE_BMAP = 37;
export const FUSE_DESTROY = 38;
export const FUSE_IOCTL = 39;
export const FUSE_POLL = 40;
export const FUSE_NOTIFY_REPLY = 41;
export const FUSE_BATCH_FORGET = 42;
export const FUSE_FALLOCATE = 43;
export const FUSE_READDIRPLUS = 44;
export const FUSE_RENAME2 = 45;
export const FUSE_LSEEK = 46;
export const FUSE_COPY_FILE_RANGE = 47;
export const FUSE_SETUPMAPPING = 48;
export const FUSE_REMOVEMAPPING = 49;
export const FUSE_SYNCFS = 50;
export const FUSE_TMPFILE = 51;
export const FUSE_STATX = 52;
export const FUSE_COPY_FILE_RANGE_64 = 53;
export const FUSE_NOTIFY_POLL = 1;
export const FUSE_NOTIFY_INVAL_INODE = 2;
export const FUSE_NOTIFY_INVAL_ENTRY = 3;
export const FUSE_NOTIFY_STORE = 4;
export const FUSE_NOTIFY_RETRIEVE = 5;
export const FUSE_NOTIFY_DELETE = 6;
export const FUSE_NOTIFY_RESEND = 7;
export const FUSE_NOTIFY_INC_EPOCH = 8;
export const FUSE_NOTIFY_PRUNE = 9;
export const FUSE_ASYNC_READ = 1;
export const FUSE_POSIX_LOCKS = 2;
export const FUSE_FILE_OPS = 4;
export const FUSE_ATOMIC_O_TRUNC = 0x8;
export const FUSE_EXPORT_SUPPORT = 0x10;
export const FUSE_BIG_WRITES = 0x20;
export const FUSE_DONT_MASK = 0x40;
export const FUSE_SPLICE_WRITE = 0x80;
export const FUSE_SPLICE_MOVE = 0x100;
export const FUSE_SPLICE_READ = 0x200;
export const FUSE_FLOCK_LOCKS = 0x400;
export const FUSE_HAS_IOCTL_DIR = 0x800;
export const FUSE_AUTO_INVAL_DATA = 0x1000;
export const FUSE_DO_READDIRPLUS = 0x2000;
export const FUSE_READDIRPLUS_AUTO = 0x4000;
export const FUSE_ASYNC_DIO = 0x8000;
export const FUSE_WRITEBACK_CACHE = 0x10000;
export const FUSE_NO_OPEN_SUPPORT = 0x20000;
export const FUSE_PARALLEL_DIROPS = 0x40000;
export const FUSE_HANDLE_KILLPRIV = 0x80000;
export const FUSE_POSIX_ACL = 0x100000;
export const FUSE_ABORT_ERROR = 0x200000;
export const FUSE_MAX_PAGES = 0x400000;
export const FUSE_CACHE_SYMLINKS = 0x800000;
export const FUSE_NO_OPENDIR_SUPPORT = 0x1000000;
export const FUSE_EXPLICIT_INVAL_DATA = 0x2000000;
export const FUSE_MAP_ALIGNMENT = 0x4000000;
export const FUSE_SUBMOUNTS = 0x8000000;
export const FUSE_HANDLE_KILLPRIV_V2 = 0x10000000;
export const FUSE_SETXATTR_EXT = 0x20000000;
export const FUSE_INIT_EXT = 0x40000000;
export const FUSE_INIT_RESERVED = 0x80000000;
export const FUSE_SECURITY_CTX = 0x100000000;
export const FUSE_HAS_INODE_DAX = 0x200000000;
export const FUSE_CREATE_SUPP_GROUP = 0x400000000;
export const FUSE_HAS_EXPIRE_ONLY = 0x800000000;
export const FUSE_DIRECT_IO_ALLOW_MMAP = 0x1000000000;
export const FUSE_PASSTHROUGH = 0x2000000000;
export const FUSE_NO_EXPORT_SUPPORT = 0x4000000000;
export const FUSE_HAS_RESEND = 0x8000000000;
export const FUSE_ALLOW_IDMAP = 0x10000000000;
export const FUSE_OVER_IO_URING = 0x20000000000;
export const FUSE_REQUEST_TIMEOUT = 0x40000000000;
export const FATTR_MODE = 1;
export const FATTR_UID = 2;
export const FATTR_GID = 4;
export const FATTR_SIZE = 0x8;
export const FATTR_ATIME = 0x10;
export const FATTR_MTIME = 0x20;
export const FATTR_FH = 0x40;
export const FATTR_ATIME_NOW = 0x80;
export const FATTR_MTIME_NOW = 0x100;
export const FATTR_LOCKOWNER = 0x200;
export const FATTR_CTIME = 0x400;
export const FATTR_KILL_SUIDGID = 0x800;
export const FOPEN_DIRECT_IO = 1;
export const FOPEN_KEEP_CACHE = 2;
export const FOPEN_NONSEEKABLE = 4;
export const FOPEN_CACHE_DIR = 0x8;
export const FOPEN_STREAM = 0x10;
export const FOPEN_NOFLUSH = 0x20;
export const FOPEN_PARALLEL_DIRECT_WRITES = 0x40;
export const FOPEN_PASSTHROUGH = 0x80;
export const FUSE_RELEASE_FLUSH = 1;
export const FUSE_RELEASE_FLOCK_UNLOCK = 2;
export const FUSE_GETATTR_FH = 1;
export const FUSE_LK_FLOCK = 1;
export const FUSE_WRITE_CACHE = 1;
export const FUSE_WRITE_LOCKOWNER = 2;
export const FUSE_WRITE_KILL_SUIDGID = 4;
export const FUSE_READ_LOCKOWNER = 2;
export const FUSE_IOCTL_COMPAT = 1;
export const FUSE_IOCTL_UNRESTRICTED = 2;
export const FUSE_IOCTL_RETRY = 4;
export const FUSE_IOCTL_32BIT = 0x8;
export const FUSE_IOCTL_DIR = 0x10;
export const FUSE_IOCTL_COMPAT_X32 = 0x20;
export const FUSE_IOCTL_MAX_IOV = 256;
export const FUSE_FSYNC_FDATASYNC = 1;
export const FUSE_ATTR_SUBMOUNT = 1;
export const FUSE_ATTR_DAX = 2;
export const FUSE_OPEN_KILL_SUIDGID = 1;
export const FUSE_SETXATTR_ACL_KILL_SGID = 1;
export const FUSE_EXPIRE_ONLY = 1;
export const FUSE_MAX_NR_SECCTX = 31;
export const FUSE_EXT_GROUPS = 32;
export const FUSE_COMPAT_INIT_OUT_SIZE = 8;
export const FUSE_COMPAT_22_INIT_OUT_SIZE = 24;
export const FUSE_COMPAT_SETXATTR_IN_SIZE = 8;
export const FUSE_DEV_IOC_MAGIC = 229;
export const FUSE_DEV_IOC_CLONE = 0x8004e500;
export const FUSE_DEV_IOC_BACKING_OPEN = 0x4010e501;
export const FUSE_DEV_IOC_BACKING_CLOSE = 0x4004e502;
export const FUSE_DEV_IOC_SYNC_INIT = 0xe503;

export const fuseInHeader = {
	sizeof: 40,
	len: 0,
	opcode: 4,
	unique: 8,
	nodeid: 16,
	uid: 24,
	gid: 28,
	pid: 32,
	totalExtlen: 36,
} as const;

export const fuseOutHeader = {
	sizeof: 16,
	len: 0,
	error: 4,
	unique: 8,
} as const;

export const fuseInitIn = {
	sizeof: 64,
	major: 0,
	minor: 4,
	maxReadahead: 8,
	flags: 12,
	flags2: 16,
} as const;

export const fuseInitOut = {
	sizeof: 64,
	major: 0,
	minor: 4,
	maxReadahead: 8,
	flags: 12,
	maxBackground: 16,
	congestionThreshold: 18,
	maxWrite: 20,
	timeGran: 24,
	maxPages: 28,
	mapAlignment: 30,
	flags2: 32,
	maxStackDepth: 36,
	requestTimeout: 40,
} as const;

export const fuseAttr = {
	sizeof: 88,
	ino: 0,
	size: 8,
	blocks: 16,
	atime: 24,
	mtime: 32,
	ctime: 40,
	atimensec: 48,
	mtimensec: 52,
	ctimensec: 56,
	mode: 60,
	nlink: 64,
	uid: 68,
	gid: 72,
	rdev: 76,
	blksize: 80,
	flags: 84,
} as const;

export const fuseSxTime = {
	sizeof: 16,
	tvSec: 0,
	tvNsec: 8,
} as const;

export const fuseStatx = {
	sizeof: 256,
	mask: 0,
	blksize: 4,
	attributes: 8,
	nlink: 16,
	uid: 20,
	gid: 24,
	mode: 28,
	ino: 32,
	size: 40,
	blocks: 48,
	attributesMask: 56,
	atime: 64,
	btime: 80,
	ctime: 96,
	mtime: 112,
	rdevMajor: 128,
	rdevMinor: 132,
	devMajor: 136,
	devMinor: 140,
} as const;

export const fuseKstatfs = {
	sizeof: 80,
	blocks: 0,
	bfree: 8,
	bavail: 16,
	files: 24,
	ffree: 32,
	bsize: 40,
	namelen: 44,
	frsize: 48,
} as const;

export const fuseFileLock = {
	sizeof: 24,
	start: 0,
	end: 8,
	type: 16,
	pid: 20,
} as const;

export const fuseEntryOut = {
	sizeof: 128,
	nodeid: 0,
	generation: 8,
	entryValid: 16,
	attrValid: 24,
	entryValidNsec: 32,
	attrValidNsec: 36,
	attr: 40,
} as const;

export const fuseForgetIn = {
	sizeof: 8,
	nlookup: 0,
} as const;

export const fuseForgetOne = {
	sizeof: 16,
	nodeid: 0,
	nlookup: 8,
} as const;

export const fuseBatchForgetIn = {
	sizeof: 8,
	count: 0,
} as const;

export const fuseGetattrIn = {
	sizeof: 16,
	getattrFlags: 0,
	fh: 8,
} as const;

export const fuseAttrOut = {
	sizeof: 104,
	attrValid: 0,
	attrValidNsec: 8,
	attr: 16,
} as const;

export const fuseStatxIn = {
	sizeof: 24,
	getattrFlags: 0,
	fh: 8,
	sxFlags: 16,
	sxMask: 20,
} as const;

export const fuseStatxOut = {
	sizeof: 288,
	attrValid: 0,
	attrValidNsec: 8,
	flags: 12,
	stat: 32,
} as const;

export const fuseSetattrIn = {
	sizeof: 88,
	valid: 0,
	fh: 8,
	size: 16,
	lockOwner: 24,
	atime: 32,
	mtime: 40,
	ctime: 48,
	atimensec: 56,
	mtimensec: 60,
	ctimensec: 64,
	mode: 68,
	uid: 76,
	gid: 80,
} as const;

export const fuseMknodIn = {
	sizeof: 16,
	mode: 0,
	rdev: 4,
	umask: 8,
} as const;

export const fuseMkdirIn = {
	sizeof: 8,
	mode: 0,
	umask: 4,
} as const;

export const fuseRenameIn = {
	sizeof: 8,
	newdir: 0,
} as const;

export const fuseRename2In = {
	sizeof: 16,
	newdir: 0,
	flags: 8,
} as const;

export const fuseLinkIn = {
	sizeof: 8,
	oldnodeid: 0,
} as const;

export const fuseOpenIn = {
	sizeof: 8,
	flags: 0,
	openFlags: 4,
} as const;

export const fuseCreateIn = {
	sizeof: 16,
	flags: 0,
	mode: 4,
	umask: 8,
	openFlags: 12,
} as const;

export const fuseOpenOut = {
	sizeof: 16,
	fh: 0,
	openFlags: 8,
	backingId: 12,
} as const;

export const fuseReleaseIn = {
	sizeof: 24,
	fh: 0,
	flags: 8,
	releaseFlags: 12,
	lockOwner: 16,
} as const;

export const fuseFlushIn = {
	sizeof: 24,
	fh: 0,
	lockOwner: 16,
} as const;

export const fuseReadIn = {
	sizeof: 40,
	fh: 0,
	offset: 8,
	size: 16,
	readFlags: 20,
	lockOwner: 24,
	flags: 32,
} as const;

export const fuseWriteIn = {
	sizeof: 40,
	fh: 0,
	offset: 8,
	size: 16,
	writeFlags: 20,
	lockOwner: 24,
	flags: 32,
} as const;

export const fuseWriteOut = {
	sizeof: 8,
	size: 0,
} as const;

export const fuseStatfsOut = {
	sizeof: 80,
	st: 0,
} as const;

export const fuseFsyncIn = {
	sizeof: 16,
	fh: 0,
	fsyncFlags: 8,
} as const;

export const fuseSetxattrIn = {
	sizeof: 16,
	size: 0,
	flags: 4,
	setxattrFlags: 8,
} as const;

export const fuseGetxattrIn = {
	sizeof: 8,
	size: 0,
} as const;

export const fuseGetxattrOut = {
	sizeof: 8,
	size: 0,
} as const;

export const fuseLkIn = {
	sizeof: 48,
	fh: 0,
	owner: 8,
	lk: 16,
	lkFlags: 40,
} as const;

export const fuseLkOut = {
	sizeof: 24,
	lk: 0,
} as const;

export const fuseAccessIn = {
	sizeof: 8,
	mask: 0,
} as const;

export const fuseInterruptIn = {
	sizeof: 8,
	unique: 0,
} as const;

export const fuseBmapIn = {
	sizeof: 16,
	block: 0,
	blocksize: 8,
} as const;

export const fuseBmapOut = {
	sizeof: 8,
	block: 0,
} as const;

export const fuseIoctlIn = {
	sizeof: 32,
	fh: 0,
	flags: 8,
	cmd: 12,
	arg: 16,
	inSize: 24,
	outSize: 28,
} as const;

export const fuseIoctlIovec = {
	sizeof: 16,
	base: 0,
	len: 8,
} as const;

export const fuseIoctlOut = {
	sizeof: 16,
	result: 0,
	flags: 4,
	inIovs: 8,
	outIovs: 12,
} as const;

export const fusePollIn = {
	sizeof: 24,
	fh: 0,
	kh: 8,
	flags: 16,
	events: 20,
} as const;

export const fusePollOut = {
	sizeof: 8,
	revents: 0,
} as const;

export const fuseFallocateIn = {
	sizeof: 32,
	fh: 0,
	offset: 8,
	length: 16,
	mode: 24,
} as const;

export const fuseLseekIn = {
	sizeof: 24,
	fh: 0,
	offset: 8,
	whence: 16,
} as const;

export const fuseLseekOut = {
	sizeof: 8,
	offset: 0,
} as const;

export const fuseCopyFileRangeIn = {
	sizeof: 56,
	fhIn: 0,
	offIn: 8,
	nodeidOut: 16,
	fhOut: 24,
	offOut: 32,
	len: 40,
	flags: 48,
} as const;

export const fuseCopyFileRangeOut = {
	sizeof: 8,
	bytesCopied: 0,
} as const;

export const fuseSyncfsIn = {
	sizeof: 8,
} as const;

export const fuseDirent = {
	sizeof: 24,
	ino: 0,
	off: 8,
	namelen: 16,
	type: 20,
	name: 24,
} as const;

export const fuseDirentplus = {
	sizeof: 152,
	entryOut: 0,
	dirent: 128,
} as const;

export const fuseExtHeader = {
	sizeof: 8,
	size: 0,
	type: 4,
} as const;

export const fuseSecctxHeader = {
	sizeof: 8,
	size: 0,
	nrSecctx: 4,
} as const;

export const fuseSecctx = {
	sizeof: 8,
	size: 0,
} as const;

export const fuseSuppGroups = {
	sizeof: 4,
	nrGroups: 0,
	groups: 4,
} as const;

export const fuseNotifyInvalInodeOut = {
	sizeof: 24,
	ino: 0,
	off: 8,
	len: 16,
} as const;

export const fuseNotifyInvalEntryOut = {
	sizeof: 16,
	parent: 0,
	namelen: 8,
	flags: 12,
} as const;

export const fuseNotifyDeleteOut = {
	sizeof: 24,
	parent: 0,
	child: 8,
	namelen: 16,
} as const;

export const fuseNotifyStoreOut = {
	sizeof: 24,
	nodeid: 0,
	offset: 8,
	size: 16,
} as const;

export const fuseNotifyRetrieveOut = {
	sizeof: 32,
	notifyUnique: 0,
	nodeid: 8,
	offset: 16,
	size: 24,
} as const;

export const fuseNotifyPruneOut = {
	sizeof: 16,
	count: 0,
} as const;

export const fuseBackingMap = {
	sizeof: 16,
	fd: 0,
	flags: 4,
} as const;

// ---- libfuse.h

export const FUSE_BUF_IS_FD = 2;
export const FUSE_BUF_FD_SEEK = 4;
export const FUSE_BUF_FD_RETRY = 0x8;
export const FUSE_BUF_NO_SPLICE = 2;
export const FUSE_BUF_FORCE_SPLICE = 4;
export const FUSE_BUF_SPLICE_MOVE = 0x8;
export const FUSE_BUF_SPLICE_NONBLOCK = 0x10;
export const FUSE_CAP_ASYNC_READ = 1;
export const FUSE_CAP_POSIX_LOCKS = 2;
export const FUSE_CAP_ATOMIC_O_TRUNC = 0x8;
export const FUSE_CAP_EXPORT_SUPPORT = 0x10;
export const FUSE_CAP_DONT_MASK = 0x40;
export const FUSE_CAP_SPLICE_WRITE = 0x80;
export const FUSE_CAP_SPLICE_MOVE = 0x100;
export const FUSE_CAP_SPLICE_READ = 0x200;
export const FUSE_CAP_FLOCK_LOCKS = 0x400;
export const FUSE_CAP_IOCTL_DIR = 0x800;
export const FUSE_CAP_AUTO_INVAL_DATA = 0x1000;
export const FUSE_CAP_READDIRPLUS = 0x2000;
export const FUSE_CAP_READDIRPLUS_AUTO = 0x4000;
export const FUSE_CAP_ASYNC_DIO = 0x8000;
export const FUSE_CAP_WRITEBACK_CACHE = 0x10000;
export const FUSE_CAP_NO_OPEN_SUPPORT = 0x20000;
export const FUSE_CAP_PARALLEL_DIROPS = 0x40000;
export const FUSE_CAP_POSIX_ACL = 0x80000;
export const FUSE_CAP_HANDLE_KILLPRIV = 0x100000;
export const FUSE_CAP_CACHE_SYMLINKS = 0x800000;
export const FUSE_CAP_NO_OPENDIR_SUPPORT = 0x1000000;
export const FUSE_CAP_EXPLICIT_INVAL_DATA = 0x2000000;

export const fuseLowlevelOps = {
	sizeof: 368,
	init: 0,
	destroy: 8,
	lookup: 16,
	forget: 24,
	getattr: 32,
	setattr: 40,
	readlink: 48,
	mknod: 56,
	mkdir: 64,
	unlink: 72,
	rmdir: 80,
	symlink: 88,
	rename: 96,
	link: 104,
	open: 112,
	read: 120,
	write: 128,
	flush: 136,
	release: 144,
	fsync: 152,
	opendir: 160,
	readdir: 168,
	releasedir: 176,
	fsyncdir: 184,
	statfs: 192,
	setxattr: 200,
	getxattr: 208,
	listxattr: 216,
	removexattr: 224,
	access: 232,
	create: 240,
	getlk: 248,
	setlk: 256,
	bmap: 264,
	ioctl: 272,
	poll: 280,
	writeBuf: 288,
	retrieveReply: 296,
	forgetMulti: 304,
	flock: 312,
	fallocate: 320,
	readdirplus: 328,
	copyFileRange: 336,
	lseek: 344,
	tmpfile: 352,
	statx: 360,
} as const;

export const fuseConnInfo = {
	sizeof: 128,
	protoMajor: 0,
	protoMinor: 4,
	maxWrite: 8,
	maxRead: 12,
	maxReadahead: 16,
	capable: 20,
	want: 24,
	maxBackground: 28,
	congestionThreshold: 32,
	timeGran: 36,
	maxBackingStackDepth: 40,
	flagBits: 44,
	capableExt: 48,
	wantExt: 56,
	requestTimeout: 64,
} as const;

export const fuseFileInfo = {
	sizeof: 64,
	flags: 0,
	flagBits: 4,
	fh: 16,
	lockOwner: 24,
	pollEvents: 32,
	backingId: 36,
	compatFlags: 40,
} as const;

export const fuseForgetData = {
	sizeof: 16,
	ino: 0,
	nlookup: 8,
} as const;

export const fuseBuf = {
	sizeof: 48,
	size: 0,
	flags: 8,
	mem: 16,
	fd: 24,
	pos: 32,
	memSize: 40,
} as const;

export const fuseBufvec = {
	sizeof: 72,
	count: 0,
	idx: 8,
	off: 16,
	buf: 24,
} as const;

export const fuseArgs = {
	sizeof: 24,
	argc: 0,
	argv: 8,
	allocated: 16,
} as const;

// ---- linux.h

export const EPERM = 1;
export const ENOENT = 2;
export const ESRCH = 3;
export const EINTR = 4;
export const EIO = 5;
export const ENXIO = 6;
export const E2BIG = 7;
export const ENOEXEC = 8;
export const EBADF = 9;
export const ECHILD = 10;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EFAULT = 14;
export const ENOTBLK = 15;
export const EBUSY = 16;
export const EEXIST = 17;
export const EXDEV = 18;
export const ENODEV = 19;
export const ENOTDIR = 20;
export const EISDIR = 21;
export const EINVAL = 22;
export const ENFILE = 23;
export const EMFILE = 24;
export const ENOTTY = 25;
export const ETXTBSY = 26;
export const EFBIG = 27;
export const ENOSPC = 28;
export const ESPIPE = 29;
export const EROFS = 30;
export const EMLINK = 31;
export const EPIPE = 32;
export const EDOM = 33;
export const ERANGE = 34;
export const EDEADLK = 35;
export const ENAMETOOLONG = 36;
export const ENOLCK = 37;
export const ENOSYS = 38;
export const ENOTEMPTY = 39;
export const ELOOP = 40;
export const ENOMSG = 42;
export const ENODATA = 61;
export const ETIME = 62;
export const ENOLINK = 67;
export const EPROTO = 71;
export const EBADMSG = 74;
export const EOVERFLOW = 75;
export const EILSEQ = 84;
export const ERESTART = 85;
export const EUSERS = 87;
export const ENOTSOCK = 88;
export const EMSGSIZE = 90;
export const EPROTONOSUPPORT = 93;
export const EOPNOTSUPP = 95;
export const ENOTCONN = 107;
export const ETIMEDOUT = 110;
export const ECONNABORTED = 103;
export const ECONNREFUSED = 111;
export const EALREADY = 114;
export const EINPROGRESS = 115;
export const ESTALE = 116;
export const EUCLEAN = 117;
export const EREMOTEIO = 121;
export const EDQUOT = 122;
export const ECANCELED = 125;
export const O_ACCMODE = 3;
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_CREAT = 0x40;
export const O_EXCL = 0x80;
export const O_NOCTTY = 0x100;
export const O_TRUNC = 0x200;
export const O_APPEND = 0x400;
export const O_NONBLOCK = 0x800;
export const O_DSYNC = 0x1000;
export const O_SYNC = 0x101000;
export const O_NOATIME = 0x40000;
export const O_CLOEXEC = 0x80000;
export const O_PATH = 0x200000;
export const O_DIRECT = arm64 ? 0x10000 : 0x4000;
export const O_LARGEFILE = arm64 ? 0x20000 : 0x8000;
export const O_DIRECTORY = arm64 ? 0x4000 : 0x10000;
export const O_NOFOLLOW = arm64 ? 0x8000 : 0x20000;
export const O_TMPFILE = arm64 ? 0x404000 : 0x410000;
export const RESOLVE_NO_XDEV = 1;
export const RESOLVE_NO_MAGICLINKS = 2;
export const RESOLVE_NO_SYMLINKS = 4;
export const RESOLVE_BENEATH = 0x8;
export const RESOLVE_IN_ROOT = 0x10;
export const RESOLVE_CACHED = 0x20;
export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_EACCESS = 0x200;
export const AT_REMOVEDIR = 0x200;
export const AT_HANDLE_FID = 0x200;
export const AT_SYMLINK_FOLLOW = 0x400;
export const AT_NO_AUTOMOUNT = 0x800;
export const AT_EMPTY_PATH = 0x1000;
export const AT_STATX_SYNC_AS_STAT = 0;
export const AT_STATX_FORCE_SYNC = 0x2000;
export const AT_STATX_DONT_SYNC = 0x4000;
export const AT_RECURSIVE = 0x8000;
export const F_DUPFD = 0;
export const F_GETFD = 1;
export const F_SETFD = 2;
export const F_GETFL = 3;
export const F_SETFL = 4;
export const F_DUPFD_CLOEXEC = 1030;
export const F_SETPIPE_SZ = 1031;
export const F_GETPIPE_SZ = 1032;
export const F_ADD_SEALS = 1033;
export const F_SEAL_SEAL = 1;
export const F_SEAL_SHRINK = 2;
export const F_SEAL_GROW = 4;
export const FD_CLOEXEC = 1;
export const LOCK_SH = 1;
export const LOCK_EX = 2;
export const LOCK_NB = 4;
export const LOCK_UN = 8;
export const SEEK_SET = 0;
export const SEEK_CUR = 1;
export const SEEK_END = 2;
export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;
export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;
export const RENAME_WHITEOUT = 4;
export const FALLOC_FL_KEEP_SIZE = 1;
export const FALLOC_FL_PUNCH_HOLE = 2;
export const FALLOC_FL_COLLAPSE_RANGE = 0x8;
export const FALLOC_FL_ZERO_RANGE = 0x10;
export const FALLOC_FL_INSERT_RANGE = 0x20;
export const FALLOC_FL_UNSHARE_RANGE = 0x40;
export const SYNC_FILE_RANGE_WAIT_BEFORE = 1;
export const SYNC_FILE_RANGE_WRITE = 2;
export const POSIX_FADV_SEQUENTIAL = 2;
export const SYNC_FILE_RANGE_WAIT_AFTER = 4;
export const XATTR_CREATE = 1;
export const XATTR_REPLACE = 2;
export const NAME_MAX = 255;
export const PATH_MAX = 4096;
export const XATTR_NAME_MAX = 255;
export const XATTR_SIZE_MAX = 65536;
export const XATTR_LIST_MAX = 65536;
export const ACL_USER_OBJ = 1;
export const ACL_USER = 2;
export const ACL_GROUP_OBJ = 4;
export const ACL_GROUP = 0x8;
export const ACL_MASK = 0x10;
export const ACL_OTHER = 0x20;
export const S_IFMT = 0o170000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o60000;
export const S_IFDIR = 0o40000;
export const S_IFCHR = 0o20000;
export const S_IFIFO = 0o10000;
export const S_ISUID = 0o4000;
export const S_ISGID = 0o2000;
export const S_ISVTX = 0o1000;
export const S_IRWXU = 0o700;
export const S_IRUSR = 0o400;
export const S_IWUSR = 0o200;
export const S_IXUSR = 0o100;
export const S_IRWXG = 0o70;
export const S_IRGRP = 0o40;
export const S_IWGRP = 0o20;
export const S_IXGRP = 0o10;
export const S_IRWXO = 7;
export const S_IROTH = 4;
export const S_IWOTH = 2;
export const S_IXOTH = 1;
export const STATX_TYPE = 1;
export const STATX_MODE = 2;
export const STATX_NLINK = 4;
export const STATX_UID = 0x8;
export const STATX_GID = 0x10;
export const STATX_ATIME = 0x20;
export const STATX_MTIME = 0x40;
export const STATX_CTIME = 0x80;
export const STATX_INO = 0x100;
export const STATX_SIZE = 0x200;
export const STATX_BLOCKS = 0x400;
export const STATX_BASIC_STATS = 0x7ff;
export const STATX_BTIME = 0x800;
export const STATX_MNT_ID = 0x1000;
export const STATX_DIOALIGN = 0x2000;
export const STATX_MNT_ID_UNIQUE = 0x4000;
export const STATX_ATTR_COMPRESSED = 4;
export const STATX_ATTR_IMMUTABLE = 0x10;
export const STATX_ATTR_APPEND = 0x20;
export const STATX_ATTR_NODUMP = 0x40;
export const STATX_ATTR_MOUNT_ROOT = 0x2000;
export const STATX_ATTR_VERITY = 0x100000;
export const PROC_SUPER_MAGIC = 0x9fa0;
export const FUSE_SUPER_MAGIC = 0x65735546;
export const OVERLAYFS_SUPER_MAGIC = 0x794c7630;
export const EXT4_SUPER_MAGIC = 0xef53;
export const XFS_SUPER_MAGIC = 0x58465342;
export const BTRFS_SUPER_MAGIC = 0x9123683e;
export const TMPFS_MAGIC = 0x1021994;
export const NFS_SUPER_MAGIC = 0x6969;
export const SMB_SUPER_MAGIC = 0x517b;
export const CIFS_SUPER_MAGIC = 0xff534d42;
export const SMB2_SUPER_MAGIC = 0xfe534d42;
export const CEPH_SUPER_MAGIC = 0xc36400;
export const AFS_SUPER_MAGIC = 0x5346414f;
export const AFS_FS_MAGIC = 0x6b414653;
export const V9FS_MAGIC = 0x1021997;
export const CODA_SUPER_MAGIC = 0x73757245;
export const OCFS2_SUPER_MAGIC = 0x7461636f;
export const BTRFS_IOC_FS_INFO = 0x8400941f;
export const FICLONE = 0x40049409;
export const FICLONERANGE = 0x4020940d;
export const FS_IOC_GETFLAGS = 0x80086601;
export const FS_IOC_SETFLAGS = 0x40086602;
export const FS_IOC_GETVERSION = 0x80087601;
export const FS_IOC_SETVERSION = 0x40087602;
export const FS_IOC32_GETFLAGS = 0x80046601;
export const FS_IOC32_SETFLAGS = 0x40046602;
export const FS_IOC_FSGETXATTR = 0x801c581f;
export const FS_IOC_FSSETXATTR = 0x401c5820;
export const FS_IOC_GETFSUUID = 0x80111500;
export const FS_IOC_MEASURE_VERITY = 0xc0046686;
export const FS_IMMUTABLE_FL = 0x10;
export const FS_APPEND_FL = 0x20;
export const FS_NODUMP_FL = 0x40;
export const FS_NOATIME_FL = 0x80;
export const FS_XFLAG_IMMUTABLE = 0x8;
export const FS_XFLAG_APPEND = 0x10;
export const OPEN_TREE_CLONE = 1;
export const OPEN_TREE_CLOEXEC = 0x80000;
export const MOVE_MOUNT_F_EMPTY_PATH = 4;
export const MOUNT_ATTR_RDONLY = 1;
export const MOUNT_ATTR_NOSUID = 2;
export const MOUNT_ATTR_NODEV = 4;
export const MOUNT_ATTR_NOEXEC = 0x8;
export const MOUNT_ATTR_NOATIME = 0x10;
export const MOUNT_ATTR_STRICTATIME = 0x20;
export const MOUNT_ATTR__ATIME = 0x70;
export const MOUNT_ATTR_NODIRATIME = 0x80;
export const MOUNT_ATTR_IDMAP = 0x100000;
export const MOUNT_ATTR_NOSYMFOLLOW = 0x200000;
export const MS_RDONLY = 1;
export const MS_NOSUID = 2;
export const MS_NODEV = 4;
export const MS_NOEXEC = 8;
export const MS_SYNCHRONOUS = 16;
export const MS_REMOUNT = 32;
export const MS_DIRSYNC = 128;
export const MS_NOSYMFOLLOW = 256;
export const MS_NOATIME = 1024;
export const MS_NODIRATIME = 2048;
export const MS_BIND = 4096;
export const MS_MOVE = 8192;
export const MS_REC = 16384;
export const MS_PRIVATE = 0x40000;
export const MS_SLAVE = 0x80000;
export const MS_RELATIME = 0x200000;
export const MS_STRICTATIME = 0x1000000;
export const MS_LAZYTIME = 0x2000000;
export const POLLIN = 1;
export const POLLPRI = 2;
export const POLLOUT = 4;
export const POLLERR = 0x8;
export const POLLHUP = 0x10;
export const POLLNVAL = 0x20;
export const IOCB_CMD_FSYNC = 2;
export const IOCB_CMD_FDSYNC = 3;
export const IOCB_FLAG_RESFD = 1;
export const IORING_OFF_SQ_RING = 0;
export const IORING_OFF_SQES = 0x10000000;
export const IORING_FEAT_SINGLE_MMAP = 1;
export const IORING_FEAT_NODROP = 2;
export const IORING_SETUP_CLAMP = 0x10;
export const IORING_REGISTER_IOWQ_MAX_WORKERS = 19;
export const IOSQE_ASYNC = 0x10;
export const IORING_OP_OPENAT = 18;
export const IORING_OP_CLOSE = 19;
export const IORING_OP_STATX = 21;
export const IORING_OP_READ = 22;
export const IORING_OP_WRITE = 23;
export const IORING_OP_OPENAT2 = 28;
export const IORING_OP_FGETXATTR = 43;
export const SFD_CLOEXEC = 0x80000;
export const SFD_NONBLOCK = 0x800;
export const SIG_BLOCK = 0;
export const SIG_UNBLOCK = 1;
export const SIG_SETMASK = 2;
export const SIGHUP = 1;
export const SIGINT = 2;
export const SIGQUIT = 3;
export const SIGABRT = 6;
export const SIGBUS = 7;
export const SIGKILL = 9;
export const SIGUSR1 = 10;
export const SIGSEGV = 11;
export const SIGUSR2 = 12;
export const SIGPIPE = 13;
export const SIGALRM = 14;
export const SIGTERM = 15;
export const SIGSTKFLT = 16;
export const SIGCHLD = 17;
export const SIGCONT = 18;
export const SIGSTOP = 19;
export const SIGXCPU = 24;
export const SIGVTALRM = 26;
export const SIGPROF = 27;
export const SIGIO = 29;
export const RLIMIT_CPU = 0;
export const RLIMIT_FSIZE = 1;
export const RLIMIT_DATA = 2;
export const RLIMIT_NOFILE = 7;
export const RLIMIT_AS = 9;
export const RLIM_INFINITY = 0xffffffffffffffffn;
export const PROT_NONE = 0;
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const MAP_SHARED = 1;
export const MAP_PRIVATE = 2;
export const MAP_FIXED = 0x10;
export const MAP_ANONYMOUS = 0x20;
export const MAP_NORESERVE = 0x4000;
export const MAP_POPULATE = 0x8000;
export const MADV_DONTNEED = 4;
export const MADV_REMOVE = 9;
export const CAP_CHOWN = 0;
export const CAP_DAC_OVERRIDE = 1;
export const CAP_DAC_READ_SEARCH = 2;
export const CAP_FOWNER = 3;
export const CAP_FSETID = 4;
export const CAP_SETGID = 6;
export const CAP_SETUID = 7;
export const CAP_LINUX_IMMUTABLE = 9;
export const CAP_SYS_ADMIN = 21;
export const CAP_SYS_RESOURCE = 24;
export const CAP_MKNOD = 27;
export const CAP_SETFCAP = 31;
export const CAP_MAC_OVERRIDE = 32;
export const CAP_MAC_ADMIN = 33;
export const PR_SET_PDEATHSIG = 1;
export const PR_SET_DUMPABLE = 4;
export const PR_SET_NAME = 15;
export const PR_CAPBSET_DROP = 24;
export const PR_SET_NO_NEW_PRIVS = 38;
export const PR_SET_IO_FLUSHER = 57;
export const CLONE_FS = 0x200;
export const CLONE_NEWNS = 0x20000;
export const CLONE_NEWUSER = 0x10000000;
export const CLOSE_RANGE_CLOEXEC = 4;
export const SYS_write = arm64 ? 64 : 1;
export const SYS_close = arm64 ? 57 : 3;
export const SYS_lseek = arm64 ? 62 : 8;
export const SYS_ioctl = arm64 ? 29 : 16;
export const SYS_pread64 = arm64 ? 67 : 17;
export const SYS_setgroups = arm64 ? 159 : 116;
export const SYS_setresuid = arm64 ? 147 : 117;
export const SYS_setresgid = arm64 ? 149 : 119;
export const SYS_capget = arm64 ? 90 : 125;
export const SYS_capset = arm64 ? 91 : 126;
export const SYS_setfsuid = arm64 ? 151 : 122;
export const SYS_setfsgid = arm64 ? 152 : 123;
export const SYS_fstatfs = arm64 ? 44 : 138;
export const SYS_gettid = arm64 ? 178 : 186;
export const SYS_getxattr = arm64 ? 8 : 191;
export const SYS_lgetxattr = arm64 ? 9 : 192;
export const SYS_fgetxattr = arm64 ? 10 : 193;
export const SYS_listxattr = arm64 ? 11 : 194;
export const SYS_llistxattr = arm64 ? 12 : 195;
export const SYS_flistxattr = arm64 ? 13 : 196;
export const SYS_io_setup = arm64 ? 0 : 206;
export const SYS_io_destroy = arm64 ? 1 : 207;
export const SYS_io_getevents = arm64 ? 4 : 208;
export const SYS_io_submit = arm64 ? 2 : 209;
export const SYS_getdents64 = arm64 ? 61 : 217;
export const SYS_openat = arm64 ? 56 : 257;
export const SYS_mknodat = arm64 ? 33 : 259;
export const SYS_readlinkat = arm64 ? 78 : 267;
export const SYS_open_by_handle_at = arm64 ? 265 : 304;
export const SYS_renameat2 = arm64 ? 276 : 316;
export const SYS_memfd_create = arm64 ? 279 : 319;
export const SYS_copy_file_range = arm64 ? 285 : 326;
export const SYS_statx = arm64 ? 291 : 332;
export const SYS_io_uring_setup = 425;
export const SYS_io_uring_enter = 426;
export const SYS_io_uring_register = 427;
export const SYS_open_tree = 428;
export const SYS_move_mount = 429;
export const SYS_pidfd_open = 434;
export const SYS_close_range = 436;
export const SYS_openat2 = 437;
export const SYS_pidfd_getfd = 438;
export const SYS_faccessat2 = 439;
export const SYS_mount_setattr = 442;
export const SYS_fchmodat2 = 452;
export const SYS_setxattrat = 463;
export const SYS_getxattrat = 464;
export const SYS_listxattrat = 465;
export const SYS_removexattrat = 466;
export const _LINUX_CAPABILITY_VERSION_3 = 0x20080522;

export const openHow = {
	sizeof: 24,
	flags: 0,
	mode: 8,
	resolve: 16,
} as const;

export const xattrArgs = {
	sizeof: 16,
	value: 0,
	size: 8,
	flags: 12,
} as const;

export const posixAclXattrEntry = {
	sizeof: 8,
	eTag: 0,
	ePerm: 2,
	eId: 4,
} as const;

export const posixAclXattrHeader = {
	sizeof: 4,
	aVersion: 0,
} as const;

export const statxTimestamp = {
	sizeof: 16,
	tvSec: 0,
	tvNsec: 8,
} as const;

export const statx = {
	sizeof: 256,
	stxMask: 0,
	stxBlksize: 4,
	stxAttributes: 8,
	stxNlink: 16,
	stxUid: 20,
	stxGid: 24,
	stxMode: 28,
	stxIno: 32,
	stxSize: 40,
	stxBlocks: 48,
	stxAttributesMask: 56,
	stxAtime: 64,
	stxBtime: 80,
	stxCtime: 96,
	stxMtime: 112,
	stxRdevMajor: 128,
	stxRdevMinor: 132,
	stxDevMajor: 136,
	stxDevMinor: 140,
	stxMntId: 144,
	stxDioMemAlign: 152,
	stxDioOffsetAlign: 156,
} as const;

export const statfs = {
	sizeof: 120,
	fType: 0,
	fBsize: 8,
	fBlocks: 16,
	fBfree: 24,
	fBavail: 32,
	fFiles: 40,
	fFfree: 48,
	fFsid: 56,
	fNamelen: 64,
	fFrsize: 72,
	fFlags: 80,
} as const;

export const fsxattr = {
	sizeof: 28,
	fsxXflags: 0,
	fsxExtsize: 4,
	fsxNextents: 8,
	fsxProjid: 12,
	fsxCowextsize: 16,
} as const;

export const fileCloneRange = {
	sizeof: 32,
	srcFd: 0,
	srcOffset: 8,
	srcLength: 16,
	destOffset: 24,
} as const;

export const fsuuid2 = {
	sizeof: 17,
	len: 0,
	uuid: 1,
} as const;

export const fsverityDigest = {
	sizeof: 4,
	digestAlgorithm: 0,
	digestSize: 2,
	digest: 4,
} as const;

export const btrfsIoctlFsInfoArgs = {
	sizeof: 1024,
	maxId: 0,
	numDevices: 8,
	fsid: 16,
	nodesize: 32,
	sectorsize: 36,
	cloneAlignment: 40,
	csumType: 44,
	csumSize: 46,
	flags: 48,
	generation: 56,
	metadataUuid: 64,
} as const;

export const mountAttr = {
	sizeof: 32,
	attrSet: 0,
	attrClr: 8,
	propagation: 16,
	usernsFd: 24,
} as const;

export const pollfd = {
	sizeof: 8,
	fd: 0,
	events: 4,
	revents: 6,
} as const;

export const signalfdSiginfo = {
	sizeof: 128,
	ssiSigno: 0,
	ssiErrno: 4,
	ssiCode: 8,
	ssiPid: 12,
	ssiUid: 16,
	ssiFd: 20,
	ssiTid: 24,
	ssiBand: 28,
	ssiOverrun: 32,
	ssiTrapno: 36,
	ssiStatus: 40,
	ssiInt: 44,
	ssiPtr: 48,
	ssiUtime: 56,
	ssiStime: 64,
	ssiAddr: 72,
	ssiAddrLsb: 80,
	ssiSyscall: 84,
	ssiCallAddr: 88,
	ssiArch: 96,
} as const;

export const iocb = {
	sizeof: 64,
	aioData: 0,
	aioKey: 8,
	aioRwFlags: 12,
	aioLioOpcode: 16,
	aioReqprio: 18,
	aioFildes: 20,
	aioBuf: 24,
	aioNbytes: 32,
	aioOffset: 40,
	aioReserved2: 48,
	aioFlags: 56,
	aioResfd: 60,
} as const;

export const ioEvent = {
	sizeof: 32,
	data: 0,
	obj: 8,
	res: 16,
	res2: 24,
} as const;

export const ioSqringOffsets = {
	sizeof: 40,
	head: 0,
	tail: 4,
	ringMask: 8,
	ringEntries: 12,
	flags: 16,
	dropped: 20,
	array: 24,
} as const;

export const ioCqringOffsets = {
	sizeof: 40,
	head: 0,
	tail: 4,
	ringMask: 8,
	ringEntries: 12,
	overflow: 16,
	cqes: 20,
	flags: 24,
} as const;

export const ioUringParams = {
	sizeof: 120,
	sqEntries: 0,
	cqEntries: 4,
	flags: 8,
	sqThreadCpu: 12,
	sqThreadIdle: 16,
	features: 20,
	wqFd: 24,
	sqOff: 40,
	cqOff: 80,
} as const;

export const ioUringSqe = {
	sizeof: 64,
	opcode: 0,
	flags: 1,
	ioprio: 2,
	fd: 4,
	off: 8,
	addr: 16,
	len: 24,
	rwFlags: 28,
	userData: 32,
	bufIndex: 40,
	personality: 42,
	spliceFdIn: 44,
	addr3: 48,
} as const;

export const ioUringCqe = {
	sizeof: 16,
	userData: 0,
	res: 8,
	flags: 12,
} as const;

export const rlimit = {
	sizeof: 16,
	rlimCur: 0,
	rlimMax: 8,
} as const;

export const UserCapHeaderStruct = {
	sizeof: 8,
	version: 0,
	pid: 4,
} as const;

export const UserCapDataStruct = {
	sizeof: 12,
	effective: 0,
	permitted: 4,
	inheritable: 8,
} as const;

// ---- libc.h

export const DT_UNKNOWN = 0;
export const DT_FIFO = 1;
export const DT_CHR = 2;
export const DT_DIR = 4;
export const DT_BLK = 6;
export const DT_REG = 8;
export const DT_LNK = 10;
export const DT_SOCK = 12;
export const DT_WHT = 14;
export const MAX_HANDLE_SZ = 128;
export const UTIME_NOW = 0x3fffffff;
export const UTIME_OMIT = 0x3ffffffe;
export const EFD_SEMAPHORE = 1;
export const EFD_NONBLOCK = 0x800;
export const EFD_CLOEXEC = 0x80000;
export const TFD_NONBLOCK = 0x800;
export const TFD_CLOEXEC = 0x80000;
export const MFD_CLOEXEC = 1;
export const MFD_ALLOW_SEALING = 2;
export const CLOCK_REALTIME = 0;
export const CLOCK_MONOTONIC = 1;
export const MAP_FAILED = 0xffffffffffffffffn;
export const MNT_FORCE = 1;
export const MNT_DETACH = 2;
export const UMOUNT_NOFOLLOW = 8;
export const POSIX_SPAWN_SETSIGMASK = 0x8;
export const POSIX_SPAWN_SETSIGDEF = 4;
export const POSIX_SPAWN_SETSID = 0x80;
export const WNOHANG = 1;

export const timespec = {
	sizeof: 16,
	tvSec: 0,
	tvNsec: 8,
} as const;

export const itimerspec = {
	sizeof: 32,
	itInterval: 0,
	itValue: 16,
} as const;

const statX64 = {
	sizeof: 144,
	stDev: 0,
	stIno: 8,
	stNlink: 16,
	stMode: 24,
	stUid: 28,
	stGid: 32,
	stRdev: 40,
	stSize: 48,
	stBlksize: 56,
	stBlocks: 64,
	stAtim: 72,
	stMtim: 88,
	stCtim: 104,
} as const;
const statArm64 = {
	sizeof: 128,
	stDev: 0,
	stIno: 8,
	stMode: 16,
	stNlink: 20,
	stUid: 24,
	stGid: 28,
	stRdev: 32,
	stSize: 48,
	stBlksize: 56,
	stBlocks: 64,
	stAtim: 72,
	stMtim: 88,
	stCtim: 104,
} as const;
export const stat = arm64 ? statArm64 : statX64;

export const linuxDirent64 = {
	sizeof: 24,
	dIno: 0,
	dOff: 8,
	dReclen: 16,
	dType: 18,
	dName: 19,
} as const;

export const fileHandle = {
	sizeof: 8,
	handleBytes: 0,
	handleType: 4,
	fHandle: 8,
} as const;

export const errnoNames: { readonly [code: number]: string } = {
	1: "EPERM",
	2: "ENOENT",
	3: "ESRCH",
	4: "EINTR",
	5: "EIO",
	6: "ENXIO",
	7: "E2BIG",
	8: "ENOEXEC",
	9: "EBADF",
	10: "ECHILD",
	11: "EAGAIN",
	12: "ENOMEM",
	13: "EACCES",
	14: "EFAULT",
	15: "ENOTBLK",
	16: "EBUSY",
	17: "EEXIST",
	18: "EXDEV",
	19: "ENODEV",
	20: "ENOTDIR",
	21: "EISDIR",
	22: "EINVAL",
	23: "ENFILE",
	24: "EMFILE",
	25: "ENOTTY",
	26: "ETXTBSY",
	27: "EFBIG",
	28: "ENOSPC",
	29: "ESPIPE",
	30: "EROFS",
	31: "EMLINK",
	32: "EPIPE",
	33: "EDOM",
	34: "ERANGE",
	35: "EDEADLK",
	36: "ENAMETOOLONG",
	37: "ENOLCK",
	38: "ENOSYS",
	39: "ENOTEMPTY",
	40: "ELOOP",
	42: "ENOMSG",
	61: "ENODATA",
	62: "ETIME",
	67: "ENOLINK",
	71: "EPROTO",
	74: "EBADMSG",
	75: "EOVERFLOW",
	84: "EILSEQ",
	85: "ERESTART",
	87: "EUSERS",
	88: "ENOTSOCK",
	90: "EMSGSIZE",
	93: "EPROTONOSUPPORT",
	95: "EOPNOTSUPP",
	107: "ENOTCONN",
	110: "ETIMEDOUT",
	103: "ECONNABORTED",
	111: "ECONNREFUSED",
	114: "EALREADY",
	115: "EINPROGRESS",
	116: "ESTALE",
	117: "EUCLEAN",
	121: "EREMOTEIO",
	122: "EDQUOT",
	125: "ECANCELED",
};
