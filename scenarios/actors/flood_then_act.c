// SPDX-License-Identifier: Apache-2.0
/*
 * Stops who reads a driver's events, fills the driver's buffer with opens of a
 * long path that leads nowhere, removes a file, and lets the reader go on; all
 * on one CPU, whose buffer it is.
 *
 * usage: flood_then_act OPENS PATH PROCESS...
 * Prints {"pid": N}.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void tell_all(int count, char **processes, int signal)
{
	for (int i = 0; i < count; i++) {
		if (kill(atoi(processes[i]), signal))
			fail(processes[i]);
	}
}

int main(int argc, char **argv)
{
	static char path[PATH_MAX] = "/work/flood";
	cpu_set_t one;
	long opens;

	if (argc < 4) {
		fprintf(stderr, "usage: %s OPENS PATH PROCESS...\n", argv[0]);
		return 2;
	}
	opens = atol(argv[1]);
	/* Of few words: who reads it may take each of them apart. */
	for (size_t at = strlen(path); at + 1 < sizeof(path); at++)
		path[at] = at % NAME_MAX ? 'x' : '/';
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		fail("sched_setaffinity");
	tell_all(argc - 3, argv + 3, SIGSTOP);
	while (opens-- > 0) {
		if (open(path, O_RDONLY) >= 0)
			fail(path);
	}
	if (unlink(argv[2]))
		fail(argv[2]);
	tell_all(argc - 3, argv + 3, SIGCONT);
	printf("{\"pid\": %d}\n", (int)getpid());
	return fflush(stdout) == 0 ? 0 : 1;
}
