/*
 * Processor time: user and system together, of all threads, in nanoseconds. Of processes by their ids, and of all that a
 * command starts, whoever their parents are: the client takes in those whose parents have ended.
 *
 * Children that a living process has waited for are known in the kernel's ticks only, mostly 10 ms: what fusermount3 takes
 * when a daemon calls it is lost. Those of a process that has ended are known exactly.
 */
#define _GNU_SOURCE
#include "processes.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_PROCESSES 65536
/* How long what a command leaves running may take to end. */
#define PATIENCE_MS 2000

struct process {
	pid_t pid, parent;
	/* What its children took that it has waited for. */
	uint64_t children;
};

uint64_t nanoseconds(clockid_t clock)
{
	struct timespec now;
	if (clock_gettime(clock, &now))
		return 0; /* The process has left. */
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

uint64_t processor_time(const pid_t *pids, int count)
{
	uint64_t total = 0;
	clockid_t clock;
	for (int i = 0; i < count; i++)
		if (!clock_getcpuclockid(pids[i], &clock))
			total += nanoseconds(clock);
	return total;
}

/* 0: there is no such process. */
static int read_process(const char *pid, struct process *process)
{
	char path[32], text[1024], *fields;
	unsigned long user, system;
	int parent;
	snprintf(path, sizeof path, "/proc/%.16s/stat", pid);
	FILE *file = fopen(path, "re");
	if (!file)
		return 0;
	size_t size = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	text[size] = 0;
	/* The program's name goes before, which may hold anything. */
	fields = strrchr(text, ')');
	if (!fields || sscanf(fields + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %lu %lu", &parent, &user,
			      &system) != 3)
		return 0;
	process->pid = atoi(pid);
	process->parent = parent;
	process->children = (user + system) * (1000000000ull / sysconf(_SC_CLK_TCK));
	return 1;
}

static int list_processes(struct process *all)
{
	int count = 0;
	struct dirent *entry;
	DIR *directory = opendir("/proc");
	if (!directory)
		die("opendir /proc");
	while (count < MAX_PROCESSES && (entry = readdir(directory)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			count += read_process(entry->d_name, &all[count]);
	closedir(directory);
	return count;
}

static const struct process *find_process(const struct process *all, int count, pid_t pid)
{
	for (int i = 0; i < count; i++)
		if (all[i].pid == pid)
			return &all[i];
	return NULL;
}

static int is_started_here(const struct process *all, int count, const struct process *process)
{
	for (int generation = 0; process && generation < count; generation++) {
		if (is_busy_process(process->pid))
			return 0;
		if (process->parent == getpid())
			return 1;
		process = find_process(all, count, process->parent);
	}
	return 0;
}

/* What those take that live, and how many they are. */
static uint64_t living(int *how_many)
{
	static struct process all[MAX_PROCESSES];
	uint64_t total = 0;
	int count = list_processes(all);
	*how_many = 0;
	for (int i = 0; i < count; i++)
		if (is_started_here(all, count, &all[i])) {
			total += processor_time(&all[i].pid, 1) + all[i].children;
			++*how_many;
		}
	return total;
}

/* From now on a process whose parent ends gets this one as its parent. */
void take_in_orphans(void)
{
	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		die("prctl");
}

/* Of all that were started since take_in_orphans, with `until_ended` after the last of them has ended. */
uint64_t processor_time_of_started(int until_ended)
{
	struct rusage ended;
	uint64_t total;
	int left;
	for (int waited = 0;; waited++) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		total = living(&left);
		if (!until_ended || left == 0 || waited == PATIENCE_MS)
			break;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	if (getrusage(RUSAGE_CHILDREN, &ended))
		die("getrusage");
	return total + (ended.ru_utime.tv_sec + ended.ru_stime.tv_sec) * 1000000000ull +
	       (ended.ru_utime.tv_usec + ended.ru_stime.tv_usec) * 1000ull;
}
