/*
 * The client's processes: on which processors they run, and that none outlives it.
 *
 * Placements: `free` leaves all to the scheduler. `together` holds the caller and all that it starts, daemons too, on one
 * processor, while a process computes on each of the others. `apart` holds the caller on one, and has the program that
 * mounts begin on another; a daemon may move itself from there.
 */
#define _GNU_SOURCE
#include "processes.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define WRITTEN_AT_ONCE (64 * 1024)
#define WRITTEN_AT_MOST (16 * 1024 * 1024)

/* Those that this process may use, as it was started; `second` is there only if `apart`. */
static cpu_set_t allowed;
static int second = -1;
/* Those that only keep a processor busy, since the client was started. */
static pid_t busy[CPU_SETSIZE];
static int busy_count;

static void hold(int processor)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(processor, &one);
	if (sched_setaffinity(0, sizeof one, &one))
		die("sched_setaffinity");
}

/* The least one above `processor`; -1: there is none. */
static int next_allowed(int processor)
{
	while (++processor < CPU_SETSIZE)
		if (CPU_ISSET(processor, &allowed))
			return processor;
	return -1;
}

/* A process that ends with this one, however that ends. Never -1. */
pid_t forked(void)
{
	pid_t parent = getpid(), child = fork();
	if (child < 0)
		die("fork");
	if (child == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent))
		_exit(1);
	return child;
}

/* Wants a processor all the time: `processor`, or -1 for any. */
static pid_t busy_on(int processor)
{
	pid_t child = forked();
	if (child) {
		if (busy_count < CPU_SETSIZE)
			busy[busy_count++] = child;
		return child;
	}
	if (processor >= 0)
		hold(processor);
	else if (sched_setaffinity(0, sizeof allowed, &allowed))
		die("sched_setaffinity");
	for (volatile unsigned turn = 0;; turn++)
		;
}

/* Wants any processor all the time, wherever the caller is held. */
pid_t busy_process(void)
{
	return busy_on(-1);
}

/* Appends to the file and waits for the disk, over and over; -1: it cannot. */
static int write_and_sync(int fd)
{
	static char block[WRITTEN_AT_ONCE];
	for (off_t size = 0;; size += sizeof block) {
		if (size >= WRITTEN_AT_MOST) {
			if (ftruncate(fd, 0))
				return -1;
			size = 0;
		}
		if (pwrite(fd, block, sizeof block, size) != sizeof block || fsync(fd))
			return -1;
	}
}

/* Keeps the disk of the open file busy. */
pid_t writing_process(int fd)
{
	pid_t child = forked();
	if (child == 0) {
		write_and_sync(fd);
		die("the process that keeps the disk busy");
	}
	return child;
}

int is_busy_process(pid_t pid)
{
	for (int i = 0; i < busy_count; i++)
		if (busy[i] == pid)
			return 1;
	return 0;
}

void end_process(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Holds this process where the placement says, and begins the busy ones. NULL: free. */
void place(const char *placement)
{
	int is_together = placement && !strcmp(placement, "together");
	int is_apart = placement && !strcmp(placement, "apart");
	if (sched_getaffinity(0, sizeof allowed, &allowed))
		die("sched_getaffinity");
	int first = next_allowed(-1), next = next_allowed(first);
	if (!placement || !strcmp(placement, "free"))
		return;
	if (!is_together && (!is_apart || next < 0)) {
		errno = EINVAL;
		die("placement %s", placement);
	}
	if (is_apart)
		second = next;
	else
		for (; next >= 0; next = next_allowed(next))
			busy_on(next);
	hold(first);
}

/* In a process that is about to become the program that mounts. */
void place_daemon(void)
{
	if (second >= 0)
		hold(second);
}
