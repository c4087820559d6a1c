// SPDX-License-Identifier: Apache-2.0
/*
 * Prints how far the clock is ahead of the time since boot, in nanoseconds.
 * eBPF programs have the time since boot only, and readers add this once.
 */
#include <stdio.h>
#include <time.h>

#define TRIES 16

static long long now(clockid_t clock)
{
	struct timespec time;

	if (clock_gettime(clock, &time) < 0)
		return -1;
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(void)
{
	long long best = -1, offset = 0;
	int try;

	/* The two are read one after the other: the quickest pair is the best. */
	for (try = 0; try < TRIES; try++) {
		long long before = now(CLOCK_BOOTTIME);
		long long clock = now(CLOCK_REALTIME);
		long long after = now(CLOCK_BOOTTIME);

		if (before < 0 || clock < 0 || after < 0) {
			perror("clock_gettime");
			return 1;
		}
		if (best < 0 || after - before < best) {
			best = after - before;
			offset = clock - before - best / 2;
		}
	}
	return printf("%lld\n", offset) < 0 || fflush(stdout) ? 1 : 0;
}
