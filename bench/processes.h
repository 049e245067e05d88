/* The client's processes: see processes.c, and processor-time.c for the second half. */
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define MAX_PIDS 64

void die(const char *format, ...);

void place(const char *placement);
void place_daemon(void);
pid_t forked(void);
pid_t busy_process(void);
pid_t writing_process(int fd);
void end_process(pid_t pid);
int is_busy_process(pid_t pid);

uint64_t nanoseconds(clockid_t clock);
uint64_t processor_time(const pid_t *pids, int count);
void take_in_orphans(void);
uint64_t processor_time_of_started(int until_ended);
