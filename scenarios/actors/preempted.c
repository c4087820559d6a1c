// SPDX-License-Identifier: Apache-2.0
/*
 * preempted THREADS OPENS: threads that open files which do not exist, each
 * by a path of its own and of another length, while on every CPU one of the
 * highest priority wakes a thousand times a second, opens such a file too and
 * so takes the CPU from whoever is in the kernel. Prints
 * {"pid": PID, "threads": N, "opens": N, "wakers": N, "woken": N, "priority": 1}
 *
 * Thread T's open number I is of /work/t-T-I-xxx..., with (37 * I + 11 * T) %
 * 211 x; a waker's, T counted on behind the threads, no longer than the others.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MOST 64

static unsigned long opens;
static unsigned long woken[MOST];
static int stopped, unprivileged;

static void open_one(unsigned long thread, unsigned long number)
{
	char path[512];
	int length, more = (int)((37 * number + 11 * thread) % 211);

	length = snprintf(path, sizeof(path), "/work/t-%lu-%lu-", thread, number);
	memset(path + length, 'x', (size_t)more);
	path[length + more] = '\0';
	(void)!open(path, O_RDONLY | O_CLOEXEC);
}

static void *work(void *number)
{
	unsigned long i;

	for (i = 0; i < opens; i++)
		open_one((unsigned long)number, i);
	return NULL;
}

struct waker {
	unsigned long number;
	int cpu;
	unsigned long *count;
};

static void *wake(void *given)
{
	const struct waker *own = given;
	struct timespec rest = { .tv_nsec = 1000000 };
	struct sched_param how = { .sched_priority = 50 };
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(own->cpu, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus) < 0 ||
	    sched_setscheduler(0, SCHED_FIFO, &how) < 0)
		__atomic_store_n(&unprivileged, 1, __ATOMIC_RELAXED);
	while (!__atomic_load_n(&stopped, __ATOMIC_RELAXED)) {
		open_one(own->number, *own->count);
		++*own->count;
		clock_nanosleep(CLOCK_MONOTONIC, 0, &rest, NULL);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned long threads, i, sum = 0;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t workers[MOST], wakers[MOST];
	struct waker given[MOST];

	if (argc != 3) {
		fprintf(stderr, "preempted THREADS OPENS\n");
		return 2;
	}
	threads = strtoul(argv[1], NULL, 10);
	opens = strtoul(argv[2], NULL, 10);
	if (!threads || threads > MOST || cpus < 1 || cpus > MOST)
		return 2;
	for (i = 0; i < (unsigned long)cpus; i++) {
		given[i] = (struct waker){ threads + i, (int)i, &woken[i] };
		if (pthread_create(&wakers[i], NULL, wake, &given[i]))
			return 1;
	}
	for (i = 0; i < threads; i++) {
		if (pthread_create(&workers[i], NULL, work, (void *)i))
			return 1;
	}
	for (i = 0; i < threads; i++)
		pthread_join(workers[i], NULL);
	__atomic_store_n(&stopped, 1, __ATOMIC_RELAXED);
	for (i = 0; i < (unsigned long)cpus; i++) {
		pthread_join(wakers[i], NULL);
		sum += woken[i];
	}
	printf("{\"pid\": %d, \"threads\": %lu, \"opens\": %lu, \"wakers\": %ld, \"woken\": %lu, \"priority\": %d}\n",
	       (int)getpid(), threads, opens, cpus, sum, !unprivileged);
	return fflush(stdout) == 0 ? 0 : 1;
}
