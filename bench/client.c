/*
 * What the clients of the benchmark do, as plain system calls: the time of a script would blur what a file system takes.
 *
 *     client [-c PLACEMENT] [-p PID]... [-a] COMMAND ARGUMENT...
 *
 * PLACEMENT says on which processors it runs, see processes.c. With -a the processor time is that of all that the command
 * starts, instead of that of processes PID.
 * Prints three numbers in nanoseconds: how long the command took, how much processor time the processes PID took
 * meanwhile, and how much they have taken since they were started; after a command that timed single answers, three more:
 * what half of them took at most, what 99 in 100 took at most, and the longest. Any failure ends it with a message and
 * status 1.
 *
 * Trees of many files are all alike: DIR holds directories d0000, d0001 ..., each of which holds files PREFIX00000 ...
 */
#define _GNU_SOURCE
#include "processes.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCK (128 * 1024)
#define PAGE 4096
#define MAX_ARGUMENTS 32

static char block[BLOCK];

void die(const char *format, ...)
{
	int error = errno;
	va_list arguments;
	va_start(arguments, format);
	fprintf(stderr, "client: ");
	vfprintf(stderr, format, arguments);
	fprintf(stderr, ": %s\n", strerror(error));
	va_end(arguments);
	exit(1);
}

static int opened(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);
	if (fd < 0)
		die("open %s", path);
	return fd;
}

/* Also what close reports is a failure: delayed writes fail there. */
static void closed(int fd)
{
	if (close(fd))
		die("close");
}

static void write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t count = write(fd, data, size);
		if (count < 0)
			die("write");
		data += count;
		size -= count;
	}
}

static size_t read_to_end(int fd)
{
	size_t total = 0;
	for (;;) {
		ssize_t count = read(fd, block, sizeof block);
		if (count < 0)
			die("read");
		if (count == 0)
			return total;
		total += count;
	}
}

static void change_directory(const char *path)
{
	if (chdir(path))
		die("chdir %s", path);
}

/* DIR DIRECTORIES FILES PREFIX: calls `action` for each file of a tree, from within DIR. */
static void each(char **args, void (*action)(const char *path))
{
	int directories = atoi(args[1]), files = atoi(args[2]);
	char path[300];
	change_directory(args[0]);
	for (int i = 0; i < directories; i++)
		for (int j = 0; j < files; j++) {
			snprintf(path, sizeof path, "d%04d/%s%05d", i, args[3], j);
			action(path);
		}
}

/* Preparations, whose time nobody asks for. */

/* DIR DIRECTORIES FILES PREFIX SIZE: makes the files of a tree; what is there already stays. */
static size_t file_size;

static void make_file(const char *path)
{
	int fd = opened(path, O_WRONLY | O_CREAT | O_TRUNC);
	write_all(fd, block, file_size);
	closed(fd);
}

static void tree(char **args)
{
	char path[16];
	file_size = atol(args[4]);
	if (file_size > sizeof block) {
		errno = EFBIG;
		die("tree");
	}
	change_directory(args[0]);
	for (int i = 0; i < atoi(args[1]); i++) {
		snprintf(path, sizeof path, "d%04d", i);
		if (mkdir(path, 0755) && errno != EEXIST)
			die("mkdir %s", path);
	}
	each((char *[]){".", args[1], args[2], args[3]}, make_file);
}

static int visit(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status, (void)type, (void)path, (void)walk;
	return 0;
}

static int visit_and_read(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status, (void)walk;
	if (type == FTW_F && S_ISREG(status->st_mode)) {
		int fd = opened(path, O_RDONLY);
		read_to_end(fd);
		closed(fd);
	}
	return 0;
}

/* DIR: all inodes below it are in memory afterwards. */
static void walk(char **args)
{
	if (nftw(args[0], visit, 64, FTW_PHYS))
		die("nftw %s", args[0]);
}

/* DIR: also the contents of all files are in memory afterwards. */
static void warm(char **args)
{
	if (nftw(args[0], visit_and_read, 64, FTW_PHYS))
		die("nftw %s", args[0]);
}

/* DIR: writes out what waits to be written on its file system. */
static void settle(char **args)
{
	int fd = opened(args[0], O_RDONLY | O_DIRECTORY);
	if (syncfs(fd))
		die("syncfs %s", args[0]);
	closed(fd);
}

/* The kernel forgets the names and inodes that nobody uses. */
static void drop(char **args)
{
	(void)args;
	int fd = opened("/proc/sys/vm/drop_caches", O_WRONLY);
	write_all(fd, "2\n", 2);
	closed(fd);
}

static void idle(char **args)
{
	(void)args;
}

/* What is measured. */

static void start_and_wait(char **command, void (*prepare)(void))
{
	int status;
	pid_t child = forked();
	if (child == 0) {
		if (prepare)
			prepare();
		execvp(command[0], command);
		die("exec %s", command[0]);
	}
	if (waitpid(child, &status, 0) < 0)
		die("wait");
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		fprintf(stderr, "client: %s ended with exit code %d\n", command[0], code);
		exit(1);
	}
}

/* DIR COMMAND...: runs a program from within DIR, its output going nowhere. */
static void run(char **args)
{
	int out = dup(1), nowhere = opened("/dev/null", O_WRONLY);
	change_directory(args[0]);
	dup2(nowhere, 1);
	start_and_wait(args + 1, NULL);
	dup2(out, 1);
	close(out);
	close(nowhere);
}

/* Whether what the command has started is still to run when it has ended. */
static int leaves_daemon;

/* PATH COMMAND...: runs a program that mounts, until stat of PATH is answered. */
static void ready(char **args)
{
	struct stat status;
	leaves_daemon = 1;
	start_and_wait(args + 1, place_daemon);
	if (stat(args[0], &status))
		die("stat %s", args[0]);
}

static void list_names(const char *path, int with_status)
{
	struct dirent *entry;
	struct stat status;
	DIR *directory = opendir(path);
	if (!directory)
		die("opendir %s", path);
	errno = 0;
	while ((entry = readdir(directory)))
		if (with_status && fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW))
			die("stat %s", entry->d_name);
	if (errno)
		die("readdir %s", path);
	closedir(directory);
}

/* DIR: reads all names. */
static void list(char **args)
{
	list_names(args[0], 0);
}

/* DIR: and the attributes of each, as ls -l does. */
static void list_stat(char **args)
{
	list_names(args[0], 1);
}

static void stat_file(const char *path)
{
	struct stat status;
	if (stat(path, &status))
		die("stat %s", path);
}

/* DIR DIRECTORIES FILES PREFIX */
static void stat_each(char **args)
{
	each(args, stat_file);
}

static void miss_file(const char *path)
{
	struct stat status;
	if (!stat(path, &status)) {
		errno = EEXIST;
		die("stat %s", path);
	}
	if (errno != ENOENT)
		die("stat %s", path);
}

/* DIR DIRECTORIES FILES PREFIX: names that are not there. */
static void stat_missing(char **args)
{
	each(args, miss_file);
}

static void read_file(const char *path)
{
	int fd = opened(path, O_RDONLY);
	if (read(fd, block, sizeof block) < 0)
		die("read %s", path);
	closed(fd);
}

/* DIR DIRECTORIES FILES PREFIX */
static void open_read_close(char **args)
{
	each(args, read_file);
}

static void append_to(const char *path)
{
	int fd = opened(path, O_WRONLY | O_APPEND);
	write_all(fd, block, 1);
	closed(fd);
}

/* DIR DIRECTORIES FILES PREFIX: one byte to each. */
static void append_each(char **args)
{
	each(args, append_to);
}

/* FILE: one byte. */
static void append(char **args)
{
	append_to(args[0]);
}

static void change_mode(const char *path)
{
	if (chmod(path, 0600))
		die("chmod %s", path);
}

/* DIR DIRECTORIES FILES PREFIX */
static void chmod_each(char **args)
{
	each(args, change_mode);
}

/* DIR COUNT SIZE: makes files, then removes them. */
static void create_unlink(char **args)
{
	int count = atoi(args[1]);
	size_t size = atol(args[2]);
	char name[32];
	change_directory(args[0]);
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof name, "new%05d", i);
		int fd = opened(name, O_WRONLY | O_CREAT | O_EXCL);
		write_all(fd, block, size);
		closed(fd);
	}
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof name, "new%05d", i);
		if (unlink(name))
			die("unlink %s", name);
	}
}

/* DIR COUNT: makes directories, then removes them. */
static void mkdir_rmdir(char **args)
{
	int count = atoi(args[1]);
	char name[32];
	change_directory(args[0]);
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof name, "new%05d", i);
		if (mkdir(name, 0755))
			die("mkdir %s", name);
	}
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof name, "new%05d", i);
		if (rmdir(name))
			die("rmdir %s", name);
	}
}

/* FILE: makes it; for renaming. */
static void create(char **args)
{
	int fd = opened(args[0], O_WRONLY | O_CREAT | O_EXCL);
	write_all(fd, block, 100);
	closed(fd);
}

/* FROM TO COUNT: there and back again. */
static void rename_often(char **args)
{
	for (int i = 0; i < atoi(args[2]); i++)
		if (rename(args[i % 2], args[1 - i % 2]))
			die("rename %s", args[i % 2]);
}

/* FILE */
static void read_large(char **args)
{
	int fd = opened(args[0], O_RDONLY);
	read_to_end(fd);
	closed(fd);
}

/* FILE SIZE BLOCK: a new file, written BLOCK bytes at a time. */
static void write_new(char **args)
{
	size_t size = atol(args[1]), chunk = atol(args[2]);
	int fd = opened(args[0], O_WRONLY | O_CREAT | O_EXCL);
	for (size_t at = 0; at < size; at += chunk)
		write_all(fd, block, chunk < size - at ? chunk : size - at);
	closed(fd);
}

/* FILE COUNT: reads a page each at random places, the same in every run. */
static void read_random(char **args)
{
	struct stat status;
	uint64_t random = 88172645463325252u;
	int fd = opened(args[0], O_RDONLY);
	if (fstat(fd, &status))
		die("stat %s", args[0]);
	uint64_t pages = status.st_size / PAGE;
	for (int i = 0; i < atoi(args[1]); i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		if (pread(fd, block, PAGE, random % pages * PAGE) != PAGE)
			die("pread %s", args[0]);
	}
	closed(fd);
}

/* FILE: touches every page of a mapping. */
static void map_read(char **args)
{
	struct stat status;
	int fd = opened(args[0], O_RDONLY);
	if (fstat(fd, &status))
		die("stat %s", args[0]);
	volatile char *memory = mmap(NULL, status.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		die("mmap %s", args[0]);
	for (off_t at = 0; at < status.st_size; at += PAGE)
		(void)memory[at];
	closed(fd);
}

/* DIR DIRECTORIES FILES PREFIX NAME: for each file makes one of its own beside, reads it, looks at both, removes the own. */
static const char *own_name;

static void mix_file(const char *path)
{
	char own[300];
	snprintf(own, sizeof own, "%.5s/%s", path, own_name);
	int fd = opened(own, O_WRONLY | O_CREAT | O_EXCL);
	write_all(fd, block, 1024);
	closed(fd);
	read_file(path);
	stat_file(path);
	stat_file(own);
	if (unlink(own))
		die("unlink %s", own);
}

static void mix(char **args)
{
	own_name = args[4];
	each(args, mix_file);
}

/* FILE DIR DIRECTORIES FILES PREFIX: appends a byte to FILE and meanwhile, each millisecond, stats and reads the next file of a tree. */
static uint64_t *answers;
static size_t answer_count;
/* The process whose work goes on meanwhile. */
static pid_t working;

static void answered(void (*action)(const char *path), const char *path)
{
	uint64_t begin = nanoseconds(CLOCK_MONOTONIC);
	action(path);
	answers[answer_count++] = nanoseconds(CLOCK_MONOTONIC) - begin;
}

static void end_working(int flags)
{
	int status;
	if (!working || waitpid(working, &status, flags) != working)
		return;
	working = 0;
	if (status)
		exit(1);
}

static void probe(const char *path)
{
	end_working(WNOHANG);
	if (!working)
		return;
	answered(stat_file, path);
	answered(read_file, path);
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void append_and_probe(char **args)
{
	answers = calloc(atoi(args[2]) * atoi(args[3]), 2 * sizeof *answers);
	if (!answers)
		die("append_and_probe");
	working = forked();
	if (working == 0) {
		append_to(args[0]);
		_exit(0);
	}
	each(args + 1, probe);
	end_working(0);
}

static void turns(char **args);
static void clients(char **args);
static void beside(char **args);
static void beside_writer(char **args);
static void probe_beside(char **args);

static const struct {
	const char *name;
	int count;
	void (*function)(char **args);
} commands[] = {
	{"tree", 5, tree}, {"walk", 1, walk}, {"warm", 1, warm}, {"settle", 1, settle}, {"drop", 0, drop},
	{"idle", 0, idle}, {"create", 1, create}, {"run", 2, run},
	{"ready", 2, ready}, {"list", 1, list}, {"list_stat", 1, list_stat}, {"stat_each", 4, stat_each},
	{"stat_missing", 4, stat_missing}, {"open_read_close", 4, open_read_close}, {"append_each", 4, append_each},
	{"append", 1, append}, {"chmod_each", 4, chmod_each}, {"create_unlink", 3, create_unlink},
	{"mkdir_rmdir", 2, mkdir_rmdir}, {"rename", 3, rename_often}, {"read", 1, read_large},
	{"write", 3, write_new}, {"read_random", 2, read_random}, {"map_read", 1, map_read}, {"mix", 5, mix},
	{"append_and_probe", 5, append_and_probe}, {"probe_beside", 2, probe_beside}, {"turns", 2, turns},
	{"clients", 2, clients}, {"beside", 2, beside}, {"beside_writer", 2, beside_writer},
};

static void perform(int count, char **args)
{
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (count > 0 && !strcmp(commands[i].name, args[0])) {
			if (count - 1 < commands[i].count)
				break;
			commands[i].function(args + 1);
			return;
		}
	fprintf(stderr, "client: unknown command or too few arguments: %s\n", count > 0 ? args[0] : "(none)");
	exit(1);
}

/* Performs a command with the number of a turn in place of each `%c`. */
static void perform_turn(char **command, int turn)
{
	char *own[MAX_ARGUMENTS + 1] = {NULL};
	int count = 0;
	for (; command[count] && count < MAX_ARGUMENTS; count++) {
		char *mark = strstr(own[count] = command[count], "%c");
		int prefix = mark ? mark - command[count] : 0;
		if (mark && asprintf(&own[count], "%.*s%d%s", prefix, command[count], turn, mark + 2) < 0)
			die("asprintf");
	}
	perform(count, own);
}

/* COUNT COMMAND...: so often, one after the other. */
static void turns(char **args)
{
	for (int turn = 0; turn < atoi(args[0]); turn++)
		perform_turn(args + 1, turn);
}

/* COUNT COMMAND...: in so many processes at the same time. */
static void clients(char **args)
{
	int status, failed = 0, count = atoi(args[0]);
	pid_t children[MAX_PIDS];
	for (int i = 0; i < count && i < MAX_PIDS; i++) {
		children[i] = forked();
		if (children[i] == 0) {
			perform_turn(args + 1, i);
			_exit(0);
		}
	}
	for (int i = 0; i < count && i < MAX_PIDS; i++)
		failed |= waitpid(children[i], &status, 0) < 0 || status;
	if (failed)
		exit(1);
}

/* COUNT COMMAND...: beside so many processes that want a processor all the time. */
static void beside(char **args)
{
	int count = atoi(args[0]);
	pid_t children[MAX_PIDS];
	for (int i = 0; i < count && i < MAX_PIDS; i++)
		children[i] = busy_process();
	perform_turn(args + 1, 0);
	for (int i = 0; i < count && i < MAX_PIDS; i++)
		end_process(children[i]);
}

/* FILE COMMAND...: beside a process that writes to the file, each time until it is on disk. */
static void beside_writer(char **args)
{
	int fd = opened(args[0], O_WRONLY | O_CREAT);
	pid_t writer = writing_process(fd);
	closed(fd);
	perform_turn(args + 1, 0);
	if (waitpid(writer, NULL, WNOHANG))
		exit(1); /* It has said why. */
	/* It ends when the disk has answered, which nobody waits for. */
	kill(writer, SIGKILL);
}

static void create_empty(const char *path)
{
	closed(opened(path, O_WRONLY | O_CREAT | O_EXCL));
}

/* DIR COMMAND...: meanwhile, each millisecond, makes a file in DIR, looks at it and removes it. */
static void probe_beside(char **args)
{
	const int most = 100000;
	char own[300];
	answers = calloc(most, 2 * sizeof *answers);
	if (!answers)
		die("probe_beside");
	working = forked();
	if (working == 0) {
		perform_turn(args + 1, 0);
		_exit(0);
	}
	snprintf(own, sizeof own, "%s/own", args[0]);
	for (int i = 0; working && i < most; i++, end_working(WNOHANG)) {
		answered(create_empty, own);
		answered(stat_file, own);
		if (unlink(own))
			die("unlink %s", own);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	end_working(0);
}

static int compare(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
	return (a > b) - (a < b);
}

/* The least of the sorted answers that `percent` of them do not exceed. */
static unsigned long long percentile(int percent)
{
	return answers[(answer_count * percent + 99) / 100 - 1];
}

int main(int argc, char **argv)
{
	const char *placement = NULL;
	pid_t watched[MAX_PIDS];
	int count = 0, watches_all = 0;
	/* `+`: what follows the command is the command's. */
	for (int option; (option = getopt(argc, argv, "+c:p:a")) >= 0;)
		if (option == 'c')
			placement = optarg;
		else if (option == 'a')
			watches_all = 1;
		else if (option != 'p')
			return 1;
		else if (count < MAX_PIDS)
			watched[count++] = atoi(optarg);
	memset(block, 'x', sizeof block);
	umask(0);
	place(placement);
	if (watches_all)
		take_in_orphans();

	uint64_t used = processor_time(watched, count), begin = nanoseconds(CLOCK_MONOTONIC);
	perform(argc - optind, argv + optind);
	uint64_t end = nanoseconds(CLOCK_MONOTONIC);
	uint64_t used_later =
		watches_all ? processor_time_of_started(!leaves_daemon) : processor_time(watched, count);
	printf("%llu %llu %llu", (unsigned long long)(end - begin), (unsigned long long)(used_later > used ? used_later - used : 0),
	       (unsigned long long)used_later);
	if (answer_count > 0) {
		qsort(answers, answer_count, sizeof *answers, compare);
		printf(" %llu %llu %llu", percentile(50), percentile(99), percentile(100));
	}
	putchar('\n');
	return 0;
}
