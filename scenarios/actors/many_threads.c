// SPDX-License-Identifier: Apache-2.0
/*
 * many_threads N: N threads at once, each of which opens a file and then
 * stands in an open that blocks (of a FIFO without a writer). When all stand
 * there, the FIFO gets its writer and all end. Prints
 * {"asked": N, "made": N, "at_once": N, "opened": N, "pid": PID}:
 * at_once is the kernel's own count of this process's threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STACK 32768UL
#define FIFO "/work/many-threads"
#define LONGEST 60	/* seconds */

static unsigned long arrived, opened;

static void *stand(void *unused)
{
	int file = open("/etc/hostname", O_RDONLY | O_CLOEXEC);

	(void)unused;
	if (file >= 0) {
		close(file);
		__atomic_add_fetch(&opened, 1, __ATOMIC_RELAXED);
	}
	__atomic_add_fetch(&arrived, 1, __ATOMIC_RELAXED);
	file = open(FIFO, O_RDONLY | O_CLOEXEC);
	if (file >= 0)
		close(file);
	return NULL;
}

/* As the kernel counts them. */
static long threads(void)
{
	char line[128];
	FILE *status = fopen("/proc/self/status", "re");
	long count = -1;

	if (!status)
		return -1;
	while (fgets(line, sizeof(line), status)) {
		if (sscanf(line, "Threads: %ld", &count) == 1)
			break;
	}
	fclose(status);
	return count;
}

int main(int argc, char **argv)
{
	struct timespec pause = { .tv_nsec = 10000000 };
	unsigned long asked, made, i;
	struct rlimit files;
	pthread_attr_t how;
	pthread_t *known;
	long at_once;
	char *stacks;
	time_t end;
	int writer;

	if (argc != 2) {
		fprintf(stderr, "many_threads N\n");
		return 2;
	}
	asked = strtoul(argv[1], NULL, 10);
	files.rlim_cur = files.rlim_max = asked + 64;
	known = calloc(asked, sizeof(*known));
	stacks = mmap(NULL, asked * STACK, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!known || stacks == MAP_FAILED || setrlimit(RLIMIT_NOFILE, &files) < 0 ||
	    (mkfifo(FIFO, 0600) < 0 && errno != EEXIST) || pthread_attr_init(&how)) {
		perror("many_threads");
		return 1;
	}
	/* Of each stack a page or two; without it all are there, and the guest's memory is not. A kernel may have none. */
	(void)!madvise(stacks, asked * STACK, MADV_NOHUGEPAGE);
	for (made = 0; made < asked; made++) {
		if (pthread_attr_setstack(&how, stacks + made * STACK, STACK) ||
		    pthread_create(&known[made], &how, stand, NULL))
			break;
	}
	end = time(NULL) + LONGEST;
	while (__atomic_load_n(&arrived, __ATOMIC_RELAXED) < made && time(NULL) < end)
		nanosleep(&pause, NULL);
	at_once = threads();
	/* Until the last of them: one may come to its open after the writer is gone. */
	writer = open(FIFO, O_RDWR | O_CLOEXEC);
	if (writer < 0) {
		perror(FIFO);
		return 1;
	}
	for (i = 0; i < made; i++)
		pthread_join(known[i], NULL);
	close(writer);
	printf("{\"asked\": %lu, \"made\": %lu, \"at_once\": %ld, \"opened\": %lu, \"pid\": %d}\n",
	       asked, made, at_once, opened, (int)getpid());
	return fflush(stdout) == 0 ? 0 : 1;
}
