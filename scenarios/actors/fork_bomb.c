// SPDX-License-Identifier: Apache-2.0
/*
 * fork_bomb CGROUP FORKS: in a cgroup that bounds their number, processes
 * that each fork as often as they can, until that many forks succeeded and
 * the bound was met, or a minute is over. All of them are killed. Prints
 * {"forks": N, "refused": N, "most": N}: forks that succeeded, forks that the
 * bound refused, and how many there were at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LONGEST 60	/* seconds */
#define ENDING 60	/* seconds: a thousand processes under emulation, each reaped by somebody else */

struct shared {
	unsigned long forks, refused;
};

static int join(const char *group)
{
	char path[512];
	int file, done;

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	file = open(path, O_WRONLY | O_CLOEXEC);
	if (file < 0)
		return -1;
	done = write(file, "0", 1) == 1 ? 0 : -1;
	close(file);
	return done;
}

static long tasks(const char *group)
{
	char path[512], text[32] = "";
	int file;

	snprintf(path, sizeof(path), "%s/pids.current", group);
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return -1;
	if (read(file, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(file);
	return strtol(text, NULL, 10);
}

static void bomb(struct shared *shared)
{
	pid_t child;

	/* Who ends is nobody's to wait for: the bound is on those that live. */
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		child = fork();
		if (child > 0) {
			__atomic_add_fetch(&shared->forks, 1, __ATOMIC_RELAXED);
			/* Half of them make room for others. */
			if (child % 2)
				_exit(0);
		} else if (child < 0 && errno == EAGAIN) {
			__atomic_add_fetch(&shared->refused, 1, __ATOMIC_RELAXED);
			if (getpid() % 3 == 0)
				_exit(0);
		}
	}
}

int main(int argc, char **argv)
{
	struct timespec pause = { .tv_nsec = 10000000 };
	unsigned long wanted;
	struct shared *shared;
	long most = 0, now;
	time_t end;
	pid_t child;

	if (argc != 3) {
		fprintf(stderr, "fork_bomb CGROUP FORKS\n");
		return 2;
	}
	wanted = strtoul(argv[2], NULL, 10);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	child = fork();
	if (child < 0) {
		perror("fork");
		return 1;
	}
	if (child == 0) {
		if (setpgid(0, 0) < 0 || join(argv[1]) < 0)
			_exit(1);
		bomb(shared);
	}
	end = time(NULL) + LONGEST;
	do {
		nanosleep(&pause, NULL);
		now = tasks(argv[1]);
		if (now > most)
			most = now;
	} while ((__atomic_load_n(&shared->forks, __ATOMIC_RELAXED) < wanted ||
		  !__atomic_load_n(&shared->refused, __ATOMIC_RELAXED)) &&
		 time(NULL) < end);
	/* One that was just being made is met the next time. */
	end = time(NULL) + ENDING;
	while (tasks(argv[1]) > 0 && time(NULL) < end) {
		kill(-child, SIGKILL);
		waitpid(-1, NULL, WNOHANG);
		nanosleep(&pause, NULL);
	}
	if (tasks(argv[1]) != 0) {
		fprintf(stderr, "fork_bomb: some are left\n");
		return 1;
	}
	printf("{\"forks\": %lu, \"refused\": %lu, \"most\": %ld}\n",
	       shared->forks, shared->refused, most);
	return fflush(stdout) == 0 ? 0 : 1;
}
