// SPDX-License-Identifier: Apache-2.0
/*
 * Stops who reads a driver's events, fills the driver's buffer with opens of a
 * long path that leads nowhere, and what is left of it with what is as large as
 * the event that shall not fit: removals of a file that is not there. Then it
 * removes a file, and lets the reader go on; all on one CPU, whose buffer it is.
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

/* Of few words: who reads it may take each of them apart. */
static void fill_with_opens(long opens)
{
	static char path[PATH_MAX] = "/work/flood";

	for (size_t at = strlen(path); at + 1 < sizeof(path); at++)
		path[at] = at % NAME_MAX ? 'x' : '/';
	while (opens-- > 0) {
		if (open(path, O_RDONLY) >= 0)
			fail(path);
	}
}

/* As many as fit where one open more would not: of a hundred bytes at least. */
static void fill_the_rest(const char *file)
{
	char *absent = strdup(file);

	if (!absent)
		fail("strdup");
	absent[strlen(absent) - 1] ^= 1;
	for (int left = 2 * PATH_MAX / 100; left > 0; left--) {
		if (!unlinkat(AT_FDCWD, absent, 0))
			fail(absent);
	}
	free(absent);
}

int main(int argc, char **argv)
{
	cpu_set_t one;

	if (argc < 4) {
		fprintf(stderr, "usage: %s OPENS PATH PROCESS...\n", argv[0]);
		return 2;
	}
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		fail("sched_setaffinity");
	tell_all(argc - 3, argv + 3, SIGSTOP);
	fill_with_opens(atol(argv[1]));
	fill_the_rest(argv[2]);
	/* Not unlink, which not every architecture and driver has. */
	if (unlinkat(AT_FDCWD, argv[2], 0))
		fail(argv[2]);
	tell_all(argc - 3, argv + 3, SIGCONT);
	printf("{\"pid\": %d}\n", (int)getpid());
	return fflush(stdout) == 0 ? 0 : 1;
}
