// SPDX-License-Identifier: Apache-2.0
/*
 * Forks a child that ends with status 7, waits for it and prints as JSON:
 * {"parent": PID, "child": PID, "status": 7}
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
	int status;
	pid_t child;

	child = fork();
	if (child < 0) {
		perror("fork");
		return 1;
	}
	if (child == 0)
		_exit(7);
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status)) {
		perror("waitpid");
		return 1;
	}
	printf("{\"parent\": %d, \"child\": %d, \"status\": %d}\n",
	       (int)getpid(), (int)child, WEXITSTATUS(status));
	return fflush(stdout) == 0 ? 0 : 1;
}
