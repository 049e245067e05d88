/*
 * The low-level API of libfuse 3.10 to 3.18: libfuse3.so.3 up to 3.16, libfuse3.so.4 from 3.17. What was added on
 * the way lies at the end of its struct or in former padding, so one set of offsets serves every version; only
 * sizes differ.
 */
#define _GNU_SOURCE
#define FUSE_USE_VERSION 35
#include <fuse_lowlevel.h>

typedef struct fuse_req *fuse_req_t;
typedef uint64_t fuse_ino_t;

/* Only ever grows at its end, and its size is passed along. tmpfile came with 3.17, statx with 3.18. */
struct fuse_lowlevel_ops {
	void *init;
	void *destroy;
	void *lookup;
	void *forget;
	void *getattr;
	void *setattr;
	void *readlink;
	void *mknod;
	void *mkdir;
	void *unlink;
	void *rmdir;
	void *symlink;
	void *rename;
	void *link;
	void *open;
	void *read;
	void *write;
	void *flush;
	void *release;
	void *fsync;
	void *opendir;
	void *readdir;
	void *releasedir;
	void *fsyncdir;
	void *statfs;
	void *setxattr;
	void *getxattr;
	void *listxattr;
	void *removexattr;
	void *access;
	void *create;
	void *getlk;
	void *setlk;
	void *bmap;
	void *ioctl;
	void *poll;
	void *write_buf;
	void *retrieve_reply;
	void *forget_multi;
	void *flock;
	void *fallocate;
	void *readdirplus;
	void *copy_file_range;
	void *lseek;
	void *tmpfile;
	void *statx;
};

/* Until 3.16 it ended in zeroed spare words where time_gran is followed by the newer fields. */
struct fuse_conn_info {
	uint32_t proto_major;
	uint32_t proto_minor;
	uint32_t max_write;
	uint32_t max_read;
	uint32_t max_readahead;
	uint32_t capable;
	uint32_t want;
	uint32_t max_background;
	uint32_t congestion_threshold;
	uint32_t time_gran;
	uint32_t max_backing_stack_depth;
	uint32_t flag_bits;
	uint64_t capable_ext;
	uint64_t want_ext;
	uint16_t request_timeout;
	uint16_t reserved[31];
};

/* flag_bits stands for the bit-fields writepage, direct_io, keep_cache, flush ... from bit 0 upward. */
struct fuse_file_info {
	int32_t flags;
	uint32_t flag_bits;
	uint32_t padding2;
	uint32_t padding3;
	uint64_t fh;
	uint64_t lock_owner;
	uint32_t poll_events;
	int32_t backing_id;
	uint64_t compat_flags;
	uint64_t reserved[2];
};

struct fuse_forget_data {
	uint64_t ino;
	uint64_t nlookup;
};

enum fuse_buf_flags {
	FUSE_BUF_IS_FD = (1 << 1),
	FUSE_BUF_FD_SEEK = (1 << 2),
	FUSE_BUF_FD_RETRY = (1 << 3),
};

enum fuse_buf_copy_flags {
	FUSE_BUF_NO_SPLICE = (1 << 1),
	FUSE_BUF_FORCE_SPLICE = (1 << 2),
	FUSE_BUF_SPLICE_MOVE = (1 << 3),
	FUSE_BUF_SPLICE_NONBLOCK = (1 << 4),
};

/* mem_size came with 3.17; older versions neither read nor write it. */
struct fuse_buf {
	size_t size;
	uint32_t flags;
	void *mem;
	int fd;
	int64_t pos;
	size_t mem_size;
};

struct fuse_bufvec {
	size_t count;
	size_t idx;
	size_t off;
	struct fuse_buf buf[1];
};

struct fuse_args {
	int argc;
	char **argv;
	int allocated;
};

/* fuse_conn_info.capable and want: libfuse's own numbering, which is not that of FUSE_INIT. */
#define FUSE_CAP_ASYNC_READ (1 << 0)
#define FUSE_CAP_POSIX_LOCKS (1 << 1)
#define FUSE_CAP_ATOMIC_O_TRUNC (1 << 3)
#define FUSE_CAP_EXPORT_SUPPORT (1 << 4)
#define FUSE_CAP_DONT_MASK (1 << 6)
#define FUSE_CAP_SPLICE_WRITE (1 << 7)
#define FUSE_CAP_SPLICE_MOVE (1 << 8)
#define FUSE_CAP_SPLICE_READ (1 << 9)
#define FUSE_CAP_FLOCK_LOCKS (1 << 10)
#define FUSE_CAP_IOCTL_DIR (1 << 11)
#define FUSE_CAP_AUTO_INVAL_DATA (1 << 12)
#define FUSE_CAP_READDIRPLUS (1 << 13)
#define FUSE_CAP_READDIRPLUS_AUTO (1 << 14)
#define FUSE_CAP_ASYNC_DIO (1 << 15)
#define FUSE_CAP_WRITEBACK_CACHE (1 << 16)
#define FUSE_CAP_NO_OPEN_SUPPORT (1 << 17)
#define FUSE_CAP_PARALLEL_DIROPS (1 << 18)
#define FUSE_CAP_POSIX_ACL (1 << 19)
#define FUSE_CAP_HANDLE_KILLPRIV (1 << 20)
#define FUSE_CAP_CACHE_SYMLINKS (1 << 23)
#define FUSE_CAP_NO_OPENDIR_SUPPORT (1 << 24)
#define FUSE_CAP_EXPLICIT_INVAL_DATA (1 << 25)

void fuse_set_log_func(fuse_log_func_t log);
int fuse_version(void);
const char *fuse_pkgversion(void);

struct fuse_session *fuse_session_new(struct fuse_args *args, const struct fuse_lowlevel_ops *op, size_t op_size,
				      void *userdata);
int fuse_session_mount(struct fuse_session *se, const char *mountpoint);
void fuse_session_unmount(struct fuse_session *se);
void fuse_session_destroy(struct fuse_session *se);
int fuse_session_fd(struct fuse_session *se);
void fuse_session_exit(struct fuse_session *se);
int fuse_session_exited(struct fuse_session *se);
void fuse_session_reset(struct fuse_session *se);
int fuse_session_receive_buf(struct fuse_session *se, struct fuse_buf *buf);
void fuse_session_process_buf(struct fuse_session *se, const struct fuse_buf *buf);
int fuse_set_signal_handlers(struct fuse_session *se);
void fuse_remove_signal_handlers(struct fuse_session *se);

void fuse_reply_none(fuse_req_t req);
int fuse_reply_err(fuse_req_t req, int err);
int fuse_reply_buf(fuse_req_t req, const char *buf, size_t size);
int fuse_reply_iov(fuse_req_t req, const struct iovec *iov, int count);
int fuse_reply_data(fuse_req_t req, struct fuse_bufvec *bufv, enum fuse_buf_copy_flags flags);
int fuse_reply_ioctl(fuse_req_t req, int result, const void *buf, size_t size);

int fuse_lowlevel_notify_inval_inode(struct fuse_session *se, fuse_ino_t ino, off_t off, off_t len);
int fuse_lowlevel_notify_inval_entry(struct fuse_session *se, fuse_ino_t parent, const char *name, size_t namelen);
int fuse_lowlevel_notify_delete(struct fuse_session *se, fuse_ino_t parent, fuse_ino_t child, const char *name,
				size_t namelen);
int fuse_lowlevel_notify_store(struct fuse_session *se, fuse_ino_t ino, off_t offset, struct fuse_bufvec *bufv,
			       enum fuse_buf_copy_flags flags);
