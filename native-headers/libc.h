/*
 * What only the C library declares: its structs and functions, and flags that the kernel's public headers leave out.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

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
#define MFD_CLOEXEC 0x1
#define MFD_ALLOW_SEALING 0x2
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
#define WNOHANG 1

int *__errno_location(void);
long syscall(long sysno, ...);

/* Content of files */
int openat(int fd, const char *path, int flags, ...);
int close(int fd);
int dup(int fd);
int dup2(int fd, int target);
int pipe2(int *pipe, int flags);
int fcntl(int fd, int command, ...);
ssize_t read(int fd, void *buffer, size_t size);
ssize_t write(int fd, const void *buffer, size_t size);
ssize_t pread(int fd, void *buffer, size_t size, off_t offset);
ssize_t pwrite(int fd, const void *buffer, size_t size, off_t offset);
ssize_t readv(int fd, const struct iovec *iov, int count);
ssize_t writev(int fd, const struct iovec *iov, int count);
off_t lseek(int fd, off_t offset, int whence);
int ftruncate(int fd, off_t length);
int fallocate(int fd, int mode, off_t offset, off_t length);
ssize_t copy_file_range(int in, off_t *in_offset, int out, off_t *out_offset, size_t length, unsigned int flags);
int posix_fadvise(int fd, off_t offset, off_t length, int advice);
int sync_file_range(int fd, off_t offset, off_t length, unsigned int flags);
int fsync(int fd);
int fdatasync(int fd);
int syncfs(int fd);
int flock(int fd, int operation);
int ioctl(int fd, unsigned long request, ...);
int sched_yield(void);
int sched_getcpu(void);
int sched_getaffinity(pid_t pid, size_t cpusetsize, cpu_set_t *mask);
int sched_setaffinity(pid_t pid, size_t cpusetsize, const cpu_set_t *mask);
int poll(struct pollfd *fds, unsigned long count, int timeout);

/* Names */
int mkdirat(int fd, const char *path, mode_t mode);
int symlinkat(const char *target, int fd, const char *path);
int linkat(int old_fd, const char *old_path, int new_fd, const char *new_path, int flags);
int unlinkat(int fd, const char *path, int flags);
int renameat2(int old_fd, const char *old_path, int new_fd, const char *new_path, unsigned int flags);
ssize_t readlinkat(int fd, const char *path, char *buffer, size_t size);
int name_to_handle_at(int fd, const char *path, struct file_handle *handle, int *mount_id, int flags);
int open_by_handle_at(int mount_fd, struct file_handle *handle, int flags);

/* Attributes */
int statx(int fd, const char *path, int flags, unsigned int mask, struct statx *buffer);
int fstat(int fd, struct stat *buffer);
int fstatat(int fd, const char *path, struct stat *buffer, int flags);
int fstatfs(int fd, struct statfs *buffer);
int fstatfs(int fd, struct statfs *buffer);
int faccessat(int fd, const char *path, int mode, int flags);
int fchmod(int fd, mode_t mode);
int fchmodat(int fd, const char *path, mode_t mode, int flags);
int fchown(int fd, uid_t uid, gid_t gid);
int fchownat(int fd, const char *path, uid_t uid, gid_t gid, int flags);
int futimens(int fd, const struct timespec *times);
int utimensat(int fd, const char *path, const struct timespec *times, int flags);
mode_t umask(mode_t mask);

ssize_t getxattr(const char *path, const char *name, void *value, size_t size);
ssize_t lgetxattr(const char *path, const char *name, void *value, size_t size);
ssize_t fgetxattr(int fd, const char *name, void *value, size_t size);
int setxattr(const char *path, const char *name, const void *value, size_t size, int flags);
int lsetxattr(const char *path, const char *name, const void *value, size_t size, int flags);
int fsetxattr(int fd, const char *name, const void *value, size_t size, int flags);
ssize_t listxattr(const char *path, char *list, size_t size);
ssize_t llistxattr(const char *path, char *list, size_t size);
ssize_t flistxattr(int fd, char *list, size_t size);
int removexattr(const char *path, const char *name);
int lremovexattr(const char *path, const char *name);
int fremovexattr(int fd, const char *name);

/* Strings */
char *strerror(int code);
size_t strnlen(const char *string, size_t size);
void *memcpy(void *target, const void *source, size_t size);
int vsnprintf(char *buffer, size_t size, const char *format, va_list arguments);

/* Process and mounts */
void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset);
int munmap(void *address, size_t length);
int madvise(void *address, size_t length, int advice);
int memfd_create(const char *name, unsigned int flags);
int chdir(const char *path);
int fchdir(int fd);
uid_t getuid(void);
uid_t geteuid(void);
gid_t getgid(void);
gid_t getegid(void);
pid_t getpid(void);
int getpagesize(void);
int setfsuid(uid_t uid);
int setfsgid(gid_t gid);
int prctl(int option, ...);
int eventfd(unsigned int value, int flags);
int timerfd_create(clockid_t clock, int flags);
int timerfd_settime(int fd, int flags, const struct itimerspec *value, struct itimerspec *old);
int getrlimit(int resource, struct rlimit *limit);
int setrlimit(int resource, const struct rlimit *limit);
int kill(pid_t process, int number);
int raise(int number);
__sighandler_t signal(int number, __sighandler_t handler);
int sigprocmask(int how, const sigset_t *set, sigset_t *old);
int execve(const char *path, char *const argv[], char *const envp[]);
int posix_spawnattr_init(posix_spawnattr_t *attributes);
int posix_spawnattr_setflags(posix_spawnattr_t *attributes, short flags);
int posix_spawnattr_destroy(posix_spawnattr_t *attributes);
int posix_spawn_file_actions_init(posix_spawn_file_actions_t *actions);
int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t *actions);
int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *actions, int fd, const char *path, int flags, mode_t mode);
int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int fd, int target);
int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]);
pid_t waitpid(pid_t pid, int *status, int options);
int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]);
int signalfd(int fd, const sigset_t *mask, int flags);
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int umount2(const char *target, int flags);
