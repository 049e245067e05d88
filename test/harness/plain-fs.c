/*
 * A file system that passes everything through to a directory, but for what it is told to lack: as NFS and many FUSE file
 * systems are.
 *
 * Usage: plain-fs DIRECTORY BUDGET LACKS [FUSE options] MOUNTPOINT. LACKS is a list of words with commas:
 *   rename-flags  renames with flags answer EINVAL
 *   tmpfile       O_TMPFILE answers EOPNOTSUPP (always so: the protocol's own call is not implemented)
 *   trusted, user, security, acl, xattrs   these extended attributes, or all, answer EOPNOTSUPP
 *   types         directory entries do not tell of what kind they are
 *   link          hard links answer EPERM
 *   whiteouts     devices 0:0 answer EPERM
 * BUDGET is a file that begins with a 32-bit number: how many more changes may be made, each of which takes one away; all
 * further ones answer EIO, as those would that a crash does not let happen. Negative: any number.
 */
#define FUSE_USE_VERSION 35
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *root, *lacked;
static volatile int32_t *budget;

static int lacks(const char *word)
{
	size_t length = strlen(word);
	for (const char *at = lacked; (at = strstr(at, word)) != NULL; at += length)
		if ((at == lacked || at[-1] == ',') && (at[length] == ',' || at[length] == 0))
			return 1;
	return 0;
}

/* Not thread-safe, as the file system is not: it is run with -s. */
static int may_change(void)
{
	if (*budget == 0)
		return 0;
	if (*budget > 0)
		--*budget;
	return 1;
}

struct place {
	char path[PATH_MAX];
};

static const char *real(struct place *place, const char *path)
{
	snprintf(place->path, sizeof place->path, "%s%s", root, path);
	return place->path;
}

static int outcome(int result)
{
	return result == -1 ? -errno : result;
}

/* Makes what is new its caller's. */
static int give(const char *path, int result)
{
	struct fuse_context *caller = fuse_get_context();
	if (result == -1)
		return -errno;
	if (caller->uid != 0 || caller->gid != 0)
		lchown(path, caller->uid, caller->gid);
	return result;
}

static int plain_getattr(const char *path, struct stat *stats, struct fuse_file_info *file)
{
	struct place place;
	return outcome(file != NULL ? fstat((int)file->fh, stats) : lstat(real(&place, path), stats));
}

static int plain_readlink(const char *path, char *target, size_t size)
{
	struct place place;
	ssize_t length = readlink(real(&place, path), target, size - 1);
	if (length < 0)
		return -errno;
	target[length] = 0;
	return 0;
}

static int plain_mknod(const char *path, mode_t mode, dev_t device)
{
	struct place place;
	if (S_ISCHR(mode) && device == 0 && lacks("whiteouts"))
		return -EPERM;
	if (!may_change())
		return -EIO;
	return give(real(&place, path), mknod(real(&place, path), mode, device));
}

static int plain_mkdir(const char *path, mode_t mode)
{
	struct place place;
	if (!may_change())
		return -EIO;
	return give(real(&place, path), mkdir(real(&place, path), mode));
}

static int plain_symlink(const char *target, const char *path)
{
	struct place place;
	if (!may_change())
		return -EIO;
	return give(real(&place, path), symlink(target, real(&place, path)));
}

static int plain_unlink(const char *path)
{
	struct place place;
	return may_change() ? outcome(unlink(real(&place, path))) : -EIO;
}

static int plain_rmdir(const char *path)
{
	struct place place;
	return may_change() ? outcome(rmdir(real(&place, path))) : -EIO;
}

static int plain_rename(const char *from, const char *to, unsigned int flags)
{
	struct place one, other;
	if (flags != 0 && lacks("rename-flags"))
		return -EINVAL;
	if (!may_change())
		return -EIO;
	return outcome(renameat2(AT_FDCWD, real(&one, from), AT_FDCWD, real(&other, to), flags));
}

static int plain_link(const char *from, const char *to)
{
	struct place one, other;
	if (lacks("link"))
		return -EPERM;
	return may_change() ? outcome(link(real(&one, from), real(&other, to))) : -EIO;
}

static int plain_chmod(const char *path, mode_t mode, struct fuse_file_info *file)
{
	struct place place;
	if (!may_change())
		return -EIO;
	return outcome(file != NULL ? fchmod((int)file->fh, mode) : chmod(real(&place, path), mode));
}

static int plain_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *file)
{
	struct place place;
	if (!may_change())
		return -EIO;
	return outcome(file != NULL ? fchown((int)file->fh, uid, gid) : lchown(real(&place, path), uid, gid));
}

static int plain_truncate(const char *path, off_t size, struct fuse_file_info *file)
{
	struct place place;
	if (!may_change())
		return -EIO;
	return outcome(file != NULL ? ftruncate((int)file->fh, size) : truncate(real(&place, path), size));
}

static int plain_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *file)
{
	struct place place;
	if (!may_change())
		return -EIO;
	return outcome(file != NULL ? futimens((int)file->fh, times)
				    : utimensat(AT_FDCWD, real(&place, path), times, AT_SYMLINK_NOFOLLOW));
}

static int open_with(const char *path, mode_t mode, struct fuse_file_info *file)
{
	struct place place;
	int fd = open(real(&place, path), file->flags | O_NOFOLLOW, mode);
	if (fd == -1)
		return -errno;
	file->fh = (uint64_t)fd;
	return 0;
}

static int plain_open(const char *path, struct fuse_file_info *file)
{
	if ((file->flags & O_TRUNC) != 0 && !may_change())
		return -EIO;
	return open_with(path, 0, file);
}

static int plain_create(const char *path, mode_t mode, struct fuse_file_info *file)
{
	struct place place;
	int result = may_change() ? open_with(path, mode, file) : -EIO;
	if (result == 0)
		give(real(&place, path), 0);
	return result;
}

static int plain_read(const char *path, char *data, size_t size, off_t offset, struct fuse_file_info *file)
{
	(void)path;
	return outcome((int)pread((int)file->fh, data, size, offset));
}

static int plain_write(const char *path, const char *data, size_t size, off_t offset, struct fuse_file_info *file)
{
	(void)path;
	return may_change() ? outcome((int)pwrite((int)file->fh, data, size, offset)) : -EIO;
}

static int plain_release(const char *path, struct fuse_file_info *file)
{
	(void)path;
	return outcome(close((int)file->fh));
}

static int plain_fsync(const char *path, int data_only, struct fuse_file_info *file)
{
	(void)path;
	return outcome(data_only ? fdatasync((int)file->fh) : fsync((int)file->fh));
}

static int plain_fallocate(const char *path, int mode, off_t offset, off_t length, struct fuse_file_info *file)
{
	(void)path;
	return may_change() ? outcome(fallocate((int)file->fh, mode, offset, length)) : -EIO;
}

static off_t plain_lseek(const char *path, off_t offset, int whence, struct fuse_file_info *file)
{
	(void)path;
	off_t at = lseek((int)file->fh, offset, whence);
	return at == -1 ? -errno : at;
}

static int plain_statfs(const char *path, struct statvfs *stats)
{
	struct place place;
	return outcome(statvfs(real(&place, path), stats));
}

static int plain_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset,
			 struct fuse_file_info *file, enum fuse_readdir_flags flags)
{
	struct place place;
	(void)offset;
	(void)file;
	(void)flags;
	DIR *directory = opendir(real(&place, path));
	if (directory == NULL)
		return -errno;
	for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		struct stat stats = { .st_ino = entry->d_ino };
		if (!lacks("types"))
			stats.st_mode = (mode_t)entry->d_type << 12;
		if (fill(buffer, entry->d_name, &stats, 0, 0) != 0)
			break;
	}
	closedir(directory);
	return 0;
}

static int has_attribute(const char *name)
{
	if (lacks("xattrs"))
		return 0;
	return !((lacks("trusted") && strncmp(name, "trusted.", 8) == 0) ||
		 (lacks("user") && strncmp(name, "user.", 5) == 0) ||
		 (lacks("security") && strncmp(name, "security.", 9) == 0) ||
		 (lacks("acl") && strncmp(name, "system.posix_acl_", 17) == 0));
}

static int plain_setxattr(const char *path, const char *name, const char *value, size_t size, int flags)
{
	struct place place;
	if (!has_attribute(name))
		return -EOPNOTSUPP;
	return may_change() ? outcome(lsetxattr(real(&place, path), name, value, size, flags)) : -EIO;
}

static int plain_getxattr(const char *path, const char *name, char *value, size_t size)
{
	struct place place;
	return has_attribute(name) ? outcome((int)lgetxattr(real(&place, path), name, value, size)) : -EOPNOTSUPP;
}

static int plain_listxattr(const char *path, char *list, size_t size)
{
	struct place place;
	return lacks("xattrs") ? -EOPNOTSUPP : outcome((int)llistxattr(real(&place, path), list, size));
}

static int plain_removexattr(const char *path, const char *name)
{
	struct place place;
	if (!has_attribute(name))
		return -EOPNOTSUPP;
	return may_change() ? outcome(lremovexattr(real(&place, path), name)) : -EIO;
}

static void *plain_init(struct fuse_conn_info *connection, struct fuse_config *config)
{
	(void)connection;
	config->use_ino = 1;
	config->nullpath_ok = 0;
	config->hard_remove = 1;
	return NULL;
}

static const struct fuse_operations operations = {
	.init = plain_init,
	.getattr = plain_getattr,
	.readlink = plain_readlink,
	.mknod = plain_mknod,
	.mkdir = plain_mkdir,
	.unlink = plain_unlink,
	.rmdir = plain_rmdir,
	.symlink = plain_symlink,
	.rename = plain_rename,
	.link = plain_link,
	.chmod = plain_chmod,
	.chown = plain_chown,
	.truncate = plain_truncate,
	.open = plain_open,
	.read = plain_read,
	.write = plain_write,
	.statfs = plain_statfs,
	.release = plain_release,
	.fsync = plain_fsync,
	.setxattr = plain_setxattr,
	.getxattr = plain_getxattr,
	.listxattr = plain_listxattr,
	.removexattr = plain_removexattr,
	.readdir = plain_readdir,
	.create = plain_create,
	.utimens = plain_utimens,
	.fallocate = plain_fallocate,
	.lseek = plain_lseek,
};

int main(int argc, char **argv)
{
	if (argc < 5) {
		fprintf(stderr, "usage: plain-fs DIRECTORY BUDGET LACKS [FUSE options] MOUNTPOINT\n");
		return 2;
	}
	root = argv[1];
	lacked = argv[3];
	int fd = open(argv[2], O_RDWR);
	budget = fd == -1 ? MAP_FAILED : mmap(NULL, sizeof *budget, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (budget == MAP_FAILED) {
		perror(argv[2]);
		return 2;
	}
	umask(0);
	argv[3] = argv[0];
	return fuse_main(argc - 3, argv + 3, &operations, NULL);
}
