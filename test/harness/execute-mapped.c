/*
 * Executes programs while a file is mapped and written to, which the kernel writes back before the execve is over.
 * Usage: execute-mapped DIRECTORY FILE TURNS; most of the messages are lookups in the directory, before each execve.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **arguments) {
	if (count != 4 || chdir(arguments[1]) != 0) return 2;
	int fd = open(arguments[2], O_RDWR | O_CLOEXEC);
	char *mapping = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mapping == MAP_FAILED) return 2;
	for (int turn = 0; turn < atoi(arguments[3]); turn++) {
		pid_t child = fork();
		if (child == 0) {
			for (int index = 0; index < 20 + turn % 3; index++) {
				char name[32];
				snprintf(name, sizeof name, "missing-%d-%d", turn, index);
				access(name, F_OK);
			}
			*mapping = turn;
			execl("/bin/true", "true", NULL);
			_exit(1);
		}
		int status;
		if (child < 0 || waitpid(child, &status, 0) != child || status != 0) return 1;
	}
	return 0;
}
