/*
 * A read-only FUSE file system that passes a directory through and takes its time, as layers on other machines do.
 *
 *     slow-layer DIRECTORY MOUNTPOINT DELAY[-DELAY] TIMEOUT
 *
 * Each request is answered DELAY milliseconds after it was taken, or after a random time between the two; up to THREADS
 * are under way at once. The kernel keeps names and attributes for TIMEOUT seconds. The program goes to the background
 * once it is mounted, and ends with the mount. Speaks the kernel's protocol itself: a compiler is all it needs.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define THREADS 64
#define LARGEST_READ (1 << 20)
#define BUCKETS (1 << 16)

/* What the kernel knows by an id, which is this structure's address. */
struct node {
	struct node *next;
	int fd;
	ino_t ino;
	dev_t dev;
	uint64_t lookups;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct node *buckets[BUCKETS];
static struct node root;
static int device;
static double least, most;
static double timeout;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static struct node *node_of(uint64_t id)
{
	return id == FUSE_ROOT_ID ? &root : (struct node *)(uintptr_t)id;
}

static struct node **place_of(ino_t ino, dev_t dev)
{
	struct node **at = &buckets[(ino * 2654435761u + dev) % BUCKETS];
	while (*at != NULL && ((*at)->ino != ino || (*at)->dev != dev))
		at = &(*at)->next;
	return at;
}

/* Takes over `fd`, an O_PATH descriptor. */
static struct node *known(int fd, const struct stat *status)
{
	pthread_mutex_lock(&lock);
	struct node **at = place_of(status->st_ino, status->st_dev), *node = *at;
	if (node == NULL) {
		node = *at = calloc(1, sizeof *node);
		node->fd = fd;
		node->ino = status->st_ino;
		node->dev = status->st_dev;
	} else {
		close(fd);
	}
	node->lookups++;
	pthread_mutex_unlock(&lock);
	return node;
}

static void forget(uint64_t id, uint64_t count)
{
	struct node *node = node_of(id);
	if (node == &root)
		return;
	pthread_mutex_lock(&lock);
	node->lookups -= count;
	if (node->lookups == 0) {
		struct node **at = place_of(node->ino, node->dev);
		*at = node->next;
		close(node->fd);
		free(node);
	}
	pthread_mutex_unlock(&lock);
}

static void answer(uint64_t unique, int error, const void *data, size_t size)
{
	struct fuse_out_header header = { sizeof header + size, -error, unique };
	struct iovec parts[] = { { &header, sizeof header }, { (void *)data, size } };
	/* Whoever asked may have been killed meanwhile. */
	if (writev(device, parts, size == 0 ? 1 : 2) < 0 && errno != ENOENT && errno != ENODEV)
		die("answer");
}

static void fill(struct fuse_attr *attr, const struct stat *status)
{
	*attr = (struct fuse_attr){
		.ino = status->st_ino, .size = status->st_size, .blocks = status->st_blocks,
		.atime = status->st_atim.tv_sec, .atimensec = status->st_atim.tv_nsec,
		.mtime = status->st_mtim.tv_sec, .mtimensec = status->st_mtim.tv_nsec,
		.ctime = status->st_ctim.tv_sec, .ctimensec = status->st_ctim.tv_nsec,
		.mode = status->st_mode, .nlink = status->st_nlink, .uid = status->st_uid, .gid = status->st_gid,
		.rdev = status->st_rdev, .blksize = status->st_blksize,
	};
}

/* Returns 0 or an errno. */
static int look_up(struct node *parent, const char *name, struct fuse_entry_out *entry)
{
	struct stat status;
	int fd = openat(parent->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstatat(fd, "", &status, AT_EMPTY_PATH))
		return errno;
	uint64_t seconds = timeout, nanoseconds = (timeout - seconds) * 1e9;
	*entry = (struct fuse_entry_out){
		.nodeid = (uintptr_t)known(fd, &status),
		.entry_valid = seconds, .entry_valid_nsec = nanoseconds,
		.attr_valid = seconds, .attr_valid_nsec = nanoseconds,
	};
	fill(&entry->attr, &status);
	return 0;
}

static void path_of(int fd, char *path)
{
	sprintf(path, "/proc/self/fd/%d", fd);
}

static int reopened(struct node *node, int flags)
{
	char path[64];
	path_of(node->fd, path);
	return open(path, (flags & ~(O_CREAT | O_NOFOLLOW)) | O_CLOEXEC);
}

struct listing {
	pthread_mutex_t lock;
	DIR *stream;
	/* Read, but not answered yet for want of room. */
	struct dirent *left;
	uint64_t offset;
};

static size_t list(struct node *node, struct listing *listing, const struct fuse_read_in *in, char *out, int plus)
{
	size_t used = 0, size = in->size < LARGEST_READ ? in->size : LARGEST_READ;
	size_t head = plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
	pthread_mutex_lock(&listing->lock);
	if (in->offset != listing->offset) {
		seekdir(listing->stream, in->offset);
		listing->left = NULL;
		listing->offset = in->offset;
	}
	for (;;) {
		struct dirent *entry = listing->left != NULL ? listing->left : readdir(listing->stream);
		listing->left = entry;
		if (entry == NULL)
			break;
		size_t length = strlen(entry->d_name), whole = FUSE_DIRENT_ALIGN(head + length);
		if (used + whole > size)
			break;
		memset(out + used, 0, whole);
		struct fuse_dirent *dirent = (void *)(out + used);
		if (plus) {
			struct fuse_direntplus *both = (void *)(out + used);
			dirent = &both->dirent;
			if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
				look_up(node, entry->d_name, &both->entry_out);
		}
		dirent->ino = entry->d_ino;
		dirent->off = listing->offset = entry->d_off;
		dirent->namelen = length;
		dirent->type = entry->d_type;
		memcpy(dirent->name, entry->d_name, length);
		used += whole;
		listing->left = NULL;
	}
	pthread_mutex_unlock(&listing->lock);
	return used;
}

static void wait_a_while(unsigned *seed)
{
	double milliseconds = least + (most - least) * rand_r(seed) / RAND_MAX;
	struct timespec time = { milliseconds / 1e3, 0 };
	time.tv_nsec = (milliseconds / 1e3 - time.tv_sec) * 1e9;
	if (milliseconds > 0)
		nanosleep(&time, NULL);
}

static void initialize(const struct fuse_in_header *header, const struct fuse_init_in *in)
{
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = in->max_readahead,
		.flags = in->flags & (FUSE_ASYNC_READ | FUSE_PARALLEL_DIROPS | FUSE_DO_READDIRPLUS
			| FUSE_READDIRPLUS_AUTO | FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS
			| FUSE_HAS_IOCTL_DIR),
		.max_background = THREADS, .congestion_threshold = THREADS,
		.max_write = 1 << 17, .time_gran = 1, .max_pages = LARGEST_READ / 4096,
	};
	answer(header->unique, 0, &out, sizeof out);
}

static void get_attribute(const struct fuse_in_header *header, struct node *node, const void *in, char *out)
{
	const struct fuse_getxattr_in *get = in;
	char path[64];
	path_of(node->fd, path);
	ssize_t length = header->opcode == FUSE_LISTXATTR ? listxattr(path, out, get->size)
							  : getxattr(path, (const char *)(get + 1), out, get->size);
	struct fuse_getxattr_out size = { .size = length };
	if (length < 0)
		answer(header->unique, errno, NULL, 0);
	else if (get->size == 0)
		answer(header->unique, 0, &size, sizeof size);
	else
		answer(header->unique, 0, out, length);
}

static void open_node(const struct fuse_in_header *header, struct node *node, const struct fuse_open_in *in)
{
	struct fuse_open_out out = { .open_flags = FOPEN_KEEP_CACHE };
	int fd = reopened(node, in->flags);
	if (fd < 0) {
		answer(header->unique, errno, NULL, 0);
		return;
	}
	if (header->opcode == FUSE_OPENDIR) {
		struct listing *listing = calloc(1, sizeof *listing);
		pthread_mutex_init(&listing->lock, NULL);
		listing->stream = fdopendir(fd);
		out.fh = (uintptr_t)listing;
	} else {
		out.fh = fd;
	}
	answer(header->unique, 0, &out, sizeof out);
}

static void release(const struct fuse_in_header *header, const struct fuse_release_in *in)
{
	if (header->opcode == FUSE_RELEASEDIR) {
		struct listing *listing = (void *)(uintptr_t)in->fh;
		closedir(listing->stream);
		free(listing);
	} else {
		close(in->fh);
	}
	answer(header->unique, 0, NULL, 0);
}

static void forget_many(const struct fuse_batch_forget_in *in)
{
	const struct fuse_forget_one *one = (const void *)(in + 1);
	for (uint32_t index = 0; index < in->count; index++)
		forget(one[index].nodeid, one[index].nlookup);
}

static void tell_status(const struct fuse_in_header *header, struct node *node)
{
	struct stat status;
	struct fuse_attr_out out = { .attr_valid = timeout, .attr_valid_nsec = (timeout - (uint64_t)timeout) * 1e9 };
	if (fstatat(node->fd, "", &status, AT_EMPTY_PATH)) {
		answer(header->unique, errno, NULL, 0);
		return;
	}
	fill(&out.attr, &status);
	answer(header->unique, 0, &out, sizeof out);
}

static void tell_file_system(const struct fuse_in_header *header, struct node *node)
{
	struct statvfs status;
	fstatvfs(node->fd, &status);
	struct fuse_statfs_out out = { .st = {
		.blocks = status.f_blocks, .bfree = status.f_bfree, .bavail = status.f_bavail, .files = status.f_files,
		.ffree = status.f_ffree, .bsize = status.f_bsize, .frsize = status.f_frsize, .namelen = NAME_MAX,
	} };
	answer(header->unique, 0, &out, sizeof out);
}

static void seek(const struct fuse_in_header *header, const struct fuse_lseek_in *in)
{
	off_t offset = lseek(in->fh, in->offset, in->whence);
	struct fuse_lseek_out out = { .offset = offset };
	answer(header->unique, offset < 0 ? errno : 0, &out, offset < 0 ? 0 : sizeof out);
}

/* Of files and directories, those that only tell something. */
static void control(const struct fuse_in_header *header, const struct fuse_ioctl_in *in, char *out)
{
	struct fuse_ioctl_out *result = (void *)out;
	int fd = in->flags & FUSE_IOCTL_DIR ? dirfd(((struct listing *)(uintptr_t)in->fh)->stream) : (int)in->fh;
	memset(out, 0, sizeof *result + in->out_size);
	result->result = ioctl(fd, in->cmd, result + 1);
	if (result->result < 0)
		answer(header->unique, errno, NULL, 0);
	else
		answer(header->unique, 0, out, sizeof *result + in->out_size);
}

static void tell(const struct fuse_in_header *header, const void *in, char *out)
{
	struct node *node = node_of(header->nodeid);
	const struct fuse_read_in *reading = in;
	struct fuse_entry_out entry;
	ssize_t length = -1;
	int error;
	switch (header->opcode) {
	case FUSE_LOOKUP:
		error = look_up(node, in, &entry);
		answer(header->unique, error, &entry, error == 0 ? sizeof entry : 0);
		return;
	case FUSE_GETATTR:
		tell_status(header, node);
		return;
	case FUSE_STATFS:
		tell_file_system(header, node);
		return;
	case FUSE_LSEEK:
		seek(header, in);
		return;
	case FUSE_IOCTL:
		control(header, in, out);
		return;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		open_node(header, node, in);
		return;
	case FUSE_GETXATTR:
	case FUSE_LISTXATTR:
		get_attribute(header, node, in, out);
		return;
	case FUSE_READLINK:
		length = readlinkat(node->fd, "", out, PATH_MAX);
		break;
	case FUSE_READ:
		length = pread(reading->fh, out, reading->size, reading->offset);
		break;
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
		length = list(node, (void *)(uintptr_t)reading->fh, reading, out, header->opcode == FUSE_READDIRPLUS);
		break;
	default:
		errno = ENOSYS;
	}
	answer(header->unique, length < 0 ? errno : 0, out, length < 0 ? 0 : length);
}

static void *serve(void *argument)
{
	unsigned seed = (uintptr_t)argument;
	char *request = malloc(LARGEST_READ), *out = malloc(LARGEST_READ);
	for (;;) {
		ssize_t size = read(device, request, LARGEST_READ);
		if (size < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN))
			continue;
		if (size <= 0)
			exit(0);
		const struct fuse_in_header *header = (const void *)request;
		const void *in = header + 1;
		switch (header->opcode) {
		case FUSE_INIT:
			initialize(header, in);
			break;
		case FUSE_FORGET:
			forget(header->nodeid, ((const struct fuse_forget_in *)in)->nlookup);
			break;
		case FUSE_BATCH_FORGET:
			forget_many(in);
			break;
		case FUSE_INTERRUPT:
			break;
		case FUSE_RELEASE:
		case FUSE_RELEASEDIR:
			release(header, in);
			break;
		default:
			wait_a_while(&seed);
			tell(header, in, out);
		}
	}
}

int main(int count, char **arguments)
{
	if (count != 5) {
		fprintf(stderr, "usage: slow-layer DIRECTORY MOUNTPOINT DELAY[-DELAY] TIMEOUT\n");
		return 1;
	}
	char *rest;
	least = most = strtod(arguments[3], &rest);
	if (*rest == '-')
		most = strtod(rest + 1, NULL);
	timeout = strtod(arguments[4], NULL);
	root.fd = open(arguments[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (root.fd < 0 || device < 0)
		die("open");
	char options[128];
	sprintf(options, "fd=%d,rootmode=40000,user_id=%d,group_id=%d,allow_other,default_permissions", device,
		getuid(), getgid());
	if (mount("slow-layer", arguments[2], "fuse.slow-layer", MS_RDONLY | MS_NOSUID | MS_NODEV, options))
		die("mount");
	if (daemon(0, 0))
		die("daemon");
	pthread_t thread;
	for (uintptr_t index = 1; index < THREADS; index++)
		pthread_create(&thread, NULL, serve, (void *)index);
	serve(NULL);
}
