// SPDX-License-Identifier: Apache-2.0
/*
 * Makes one event on every online CPU that nothing else can make: it asks for
 * PREFIX/CPU, which does not exist, while pinned to that CPU. Rings are per
 * CPU and in order, so when all of these have come through, everything that
 * happened before them has.
 *
 * usage: lab-sentinel PREFIX
 * Prints the number of each CPU on which it did so, one per line.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int mark(const char *prefix, int cpu)
{
	char path[256];
	cpu_set_t only;
	int length, fd;

	CPU_ZERO(&only);
	CPU_SET(cpu, &only);
	if (sched_setaffinity(0, sizeof(only), &only) < 0) {
		fprintf(stderr, "cpu %d: %s\n", cpu, strerror(errno));
		return -1;
	}
	length = snprintf(path, sizeof(path), "%s/%d", prefix, cpu);
	if (length < 0 || (size_t)length >= sizeof(path)) {
		fprintf(stderr, "the prefix is too long\n");
		return -1;
	}
	fd = open(path, O_RDONLY);
	if (fd >= 0 || errno != ENOENT) {
		fprintf(stderr, "%s must not exist\n", path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return printf("%d\n", cpu) < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
	cpu_set_t allowed;
	int cpu;

	if (argc != 2) {
		fprintf(stderr, "usage: %s PREFIX\n", argv[0]);
		return 2;
	}
	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0) {
		perror("sched_getaffinity");
		return 1;
	}
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed) && mark(argv[1], cpu) < 0)
			return 1;
	return fflush(stdout) == 0 ? 0 : 1;
}
