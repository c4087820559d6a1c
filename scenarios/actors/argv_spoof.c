// SPDX-License-Identifier: Apache-2.0
/*
 * Writes other words over its own argument, and then has a child, which ends
 * at once.
 *
 * usage: argv_spoof WORD	what is written has the same length: "hhh..."
 * Prints {"pid": N, "child": N}.
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	pid_t child;

	if (argc != 2)
		return 2;
	memset(argv[1], 'h', strlen(argv[1]));
	child = fork();
	if (child < 0) {
		perror("fork");
		return 1;
	}
	if (child == 0)
		_exit(0);
	if (waitpid(child, NULL, 0) != child) {
		perror("waitpid");
		return 1;
	}
	printf("{\"pid\": %d, \"child\": %d}\n", (int)getpid(), (int)child);
	return fflush(stdout) == 0 ? 0 : 1;
}
