/*
 * What only the C library's headers declare: its structs, and flags that the kernel's public headers leave out.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>

struct timespec {
	long tv_sec;
	long tv_nsec;
};

struct itimerspec {
	struct timespec it_interval;
	struct timespec it_value;
};

#if defined(__aarch64__)
struct stat {
	unsigned long st_dev;
	unsigned long st_ino;
	unsigned int st_mode;
	unsigned int st_nlink;
	unsigned int st_uid;
	unsigned int st_gid;
	unsigned long st_rdev;
	unsigned long __pad1;
	long st_size;
	int st_blksize;
	int __pad2;
	long st_blocks;
	struct timespec st_atim;
	struct timespec st_mtim;
	struct timespec st_ctim;
	int __reserved[2];
};
#else
struct stat {
	unsigned long st_dev;
	unsigned long st_ino;
	unsigned long st_nlink;
	unsigned int st_mode;
	unsigned int st_uid;
	unsigned int st_gid;
	int __pad0;
	unsigned long st_rdev;
	long st_size;
	long st_blksize;
	long st_blocks;
	struct timespec st_atim;
	struct timespec st_mtim;
	struct timespec st_ctim;
	long __reserved[3];
};
#endif

/* A record of getdents64(2). No header shows its name; libc's dirent64 has the same fields and a fixed d_name. */
struct linux_dirent64 {
	uint64_t d_ino;
	int64_t d_off;
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[];
};

#define DT_UNKNOWN 0
#define DT_FIFO 1
#define DT_CHR 2
#define DT_DIR 4
#define DT_BLK 6
#define DT_REG 8
#define DT_LNK 10
#define DT_SOCK 12
#define DT_WHT 14

/* Of name_to_handle_at(2) and open_by_handle_at(2). */
struct file_handle {
	unsigned int handle_bytes;
	int handle_type;
	uint8_t f_handle[];
};

#define MAX_HANDLE_SZ 128

/* The values of tv_nsec which utimensat(2) gives a meaning of their own. */
#define UTIME_NOW 0x3fffffff
#define UTIME_OMIT 0x3ffffffe

#define EFD_SEMAPHORE 0x1
#define EFD_NONBLOCK 0x800
#define EFD_CLOEXEC 0x80000
#define TFD_NONBLOCK 0x800
#define TFD_CLOEXEC 0x80000
#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 1

/* What mmap(2) returns. */
#define MAP_FAILED 0xffffffffffffffff

#define MNT_FORCE 1
#define MNT_DETACH 2
#define UMOUNT_NOFOLLOW 8

#define POSIX_SPAWN_SETSIGMASK 0x8
#define POSIX_SPAWN_SETSIGDEF 0x4
#define POSIX_SPAWN_SETSID 0x80
