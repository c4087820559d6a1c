// SPDX-License-Identifier: Apache-2.0
/*
 * Makes one call again and again, as fast as it can: closes of no file, of
 * which a driver reads no memory, or opens of a file that is not there, whose
 * path it reads.
 *
 * usage: lab-flood close|open CALLS
 * Prints its process and how long the calls took, in nanoseconds.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATH "/work/no-such-file"

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int argc, char **argv)
{
	long calls, i;
	long long start;
	int opens;

	if (argc != 3) {
		fprintf(stderr, "usage: %s close|open CALLS\n", argv[0]);
		return 2;
	}
	opens = !strcmp(argv[1], "open");
	calls = atol(argv[2]);
	start = now();
	for (i = 0; i < calls; i++) {
		/* Each must fail: one that succeeds would change what the next does. */
		if ((opens ? open(PATH, O_RDONLY) : close(-1)) >= 0) {
			fprintf(stderr, "a call succeeded\n");
			return 1;
		}
	}
	printf("%d %lld\n", (int)getpid(), now() - start);
	return fflush(stdout) == 0 ? 0 : 1;
}
