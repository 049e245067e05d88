/*
 * A disk that remembers: a FUSE file system with the file "disk", for a loop device, and the file "marks".
 *
 * Usage: recorder IMAGE LOG MOUNTPOINT. Reads and writes of "disk" go to IMAGE; each write, each flush and each mark
 * becomes a record in LOG, in the order in which they were finished: four 64-bit numbers (kind, offset, length, 0) and
 * the data. Single-threaded, so a flush covers exactly the writes recorded before it.
 */
#define FUSE_USE_VERSION 35
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, FLUSH = 2, MARK = 3 };

static int image, log_file;

static int append(uint64_t kind, uint64_t offset, const char *data, size_t length)
{
	uint64_t head[4] = { kind, offset, length, 0 };
	struct iovec parts[2] = { { head, sizeof head }, { (void *)data, length } };
	return writev(log_file, parts, 2) == (ssize_t)(sizeof head + length) ? 0 : -EIO;
}

static int is_disk(const char *path)
{
	return strcmp(path, "/disk") == 0;
}

static int disk_getattr(const char *path, struct stat *stats, struct fuse_file_info *file)
{
	(void)file;
	memset(stats, 0, sizeof *stats);
	stats->st_mode = strcmp(path, "/") == 0 ? S_IFDIR | 0700 : S_IFREG | 0600;
	stats->st_nlink = 1;
	if (is_disk(path)) {
		struct stat real;
		if (fstat(image, &real) != 0)
			return -errno;
		stats->st_size = real.st_size;
	} else if (strcmp(path, "/") != 0 && strcmp(path, "/marks") != 0) {
		return -ENOENT;
	}
	return 0;
}

static int disk_open(const char *path, struct fuse_file_info *file)
{
	(void)path;
	/* Nothing is kept in the page cache: what the loop device was told is done, is recorded. */
	file->direct_io = 1;
	return 0;
}

static int disk_read(const char *path, char *data, size_t length, off_t offset, struct fuse_file_info *file)
{
	(void)file;
	if (!is_disk(path))
		return 0;
	ssize_t done = pread(image, data, length, offset);
	return done < 0 ? -errno : (int)done;
}

static int disk_write(const char *path, const char *data, size_t length, off_t offset, struct fuse_file_info *file)
{
	(void)file;
	if (!is_disk(path))
		return append(MARK, 0, data, length) == 0 ? (int)length : -EIO;
	if (pwrite(image, data, length, offset) != (ssize_t)length)
		return -EIO;
	return append(WRITE, offset, data, length) == 0 ? (int)length : -EIO;
}

static int disk_fsync(const char *path, int data_only, struct fuse_file_info *file)
{
	(void)data_only;
	(void)file;
	return is_disk(path) ? append(FLUSH, 0, "", 0) : 0;
}

static int disk_truncate(const char *path, off_t size, struct fuse_file_info *file)
{
	(void)path;
	(void)size;
	(void)file;
	return 0;
}

static const struct fuse_operations operations = {
	.getattr = disk_getattr,
	.open = disk_open,
	.read = disk_read,
	.write = disk_write,
	.fsync = disk_fsync,
	.truncate = disk_truncate,
};

int main(int count, char *arguments[])
{
	if (count != 4)
		return 2;
	image = open(arguments[1], O_RDWR);
	log_file = open(arguments[2], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
	if (image < 0 || log_file < 0)
		return 1;
	char *options[] = { arguments[0], "-s", "-f", arguments[3], NULL };
	return fuse_main(4, options, &operations, NULL);
}
