/* The client's processes: see processes.c. */
#include <sys/types.h>

#define MAX_PIDS 64

void die(const char *format, ...);

void place(const char *placement);
void place_daemon(void);
pid_t forked(void);
pid_t busy_process(void);
void end_process(pid_t pid);
