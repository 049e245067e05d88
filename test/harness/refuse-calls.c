/*
 * Runs a program to which the kernel refuses some system calls, as seccomp filters of container runtimes do that are older
 * than these calls.
 *
 * Usage: refuse-calls EPERM|ENOSYS CALL[,CALL...] PROGRAM [ARGUMENT...]
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef SYS_setxattrat
#define SYS_setxattrat 463
#define SYS_getxattrat 464
#define SYS_listxattrat 465
#define SYS_removexattrat 466
#endif

#define FUSE_DEV_IOC_BACKING_OPEN 0x4010e501

static const struct {
	const char *name;
	unsigned int number;
} calls[] = {
	{ "copy_file_range", SYS_copy_file_range },
	{ "faccessat2", SYS_faccessat2 },
	{ "fchmodat2", SYS_fchmodat2 },
	{ "getxattrat", SYS_getxattrat },
	{ "listxattrat", SYS_listxattrat },
	{ "io_setup", SYS_io_setup },
	{ "io_submit", SYS_io_submit },
	{ "io_uring_setup", SYS_io_uring_setup },
	{ "mount_setattr", SYS_mount_setattr },
	{ "name_to_handle_at", SYS_name_to_handle_at },
	{ "open_by_handle_at", SYS_open_by_handle_at },
	{ "open_tree", SYS_open_tree },
	{ "openat2", SYS_openat2 },
	{ "preadv2", SYS_preadv2 },
	{ "removexattrat", SYS_removexattrat },
	{ "renameat2", SYS_renameat2 },
	{ "setxattrat", SYS_setxattrat },
	{ "statx", SYS_statx },
	{ "sync_file_range", SYS_sync_file_range },
};

static struct sock_filter filter[64] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
};
static unsigned short length = 1;

/** The call by which a FUSE server names a file that is passed through: one of ioctl(2). */
static int refuse_backing_open(unsigned int error)
{
	filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 4);
	filter[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1]));
	filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FUSE_DEV_IOC_BACKING_OPEN, 0, 1);
	filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error);
	filter[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	return 0;
}

static int refuse(const char *name, unsigned int error)
{
	if (strcmp(name, "backing_open") == 0)
		return refuse_backing_open(error);
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		if (strcmp(calls[i].name, name) != 0)
			continue;
		filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i].number, 0, 1);
		filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error);
		return 0;
	}
	fprintf(stderr, "refuse-calls: unknown: %s\n", name);
	return -1;
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	unsigned int error = strcmp(argv[1], "EPERM") == 0 ? EPERM : ENOSYS;
	for (char *name = strtok(argv[2], ","); name != NULL; name = strtok(NULL, ","))
		if (refuse(name, error) != 0)
			return 2;
	filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { .len = length, .filter = filter };
	/* Without privilege in its namespace only who gains nothing more may have a filter. */
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
			perror("refuse-calls: seccomp");
			return 2;
		}
	}
	execv(argv[3], argv + 3);
	perror(argv[3]);
	return 127;
}
