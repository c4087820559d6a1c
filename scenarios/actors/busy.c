// SPDX-License-Identifier: Apache-2.0
/*
 * Load that goes on while something else is done:
 *
 *   busy start WORKERS    returns at once, {"leader": PID, "workers": N}
 *   busy stop PID         ends it, {"rounds": N}
 *
 * A worker opens, closes, forks, executes and talks to a socket, over and
 * over, and rests in between: it is there to meet what a driver does, not to
 * keep it from doing that. All of it ends by itself after six hours.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_WORKERS 64
#define LONGEST 21600	/* seconds */
#define NICENESS 10	/* about a tenth of a CPU that another wants */
#define NAP 3		/* so many times as long as the round took, */
#define LONGEST_NAP 1000000L	/* and no more microseconds than these */

static int fail(const char *what)
{
	perror(what);
	return 1;
}

/* Where the rounds of all workers are counted. */
static unsigned long *counter(const char *leader, int flags)
{
	char path[64];
	void *place;
	int file;

	snprintf(path, sizeof(path), "/work/busy.%s", leader);
	file = open(path, O_RDWR | O_CLOEXEC | flags, 0600);
	if (file < 0 || ftruncate(file, 4096) < 0)
		return NULL;
	place = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	close(file);
	return place == MAP_FAILED ? NULL : place;
}

static void round_of_calls(void)
{
	char *const command[] = { "true", NULL };
	int file, pair[2], status;
	struct stat about;
	pid_t child;

	file = open("/etc/hostname", O_RDONLY | O_CLOEXEC);
	if (file >= 0)
		close(file);
	(void)!open("/work/no-such-file", O_RDONLY | O_CLOEXEC);
	(void)!stat("/etc/passwd", &about);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0) {
		(void)!write(pair[0], "x", 1);
		close(pair[0]);
		close(pair[1]);
	}
	child = fork();
	if (child == 0) {
		execv("/usr/bin/true", command);
		_exit(127);
	}
	if (child > 0)
		waitpid(child, &status, 0);
}

/* Whoever started it waits until nobody holds its output any more. */
static void be_quiet(void)
{
	int null = open("/dev/null", O_RDWR), i;

	for (i = 0; i < 3 && null >= 0; i++)
		dup2(null, i);
	if (null > 2)
		close(null);
}

static long microseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000L + now.tv_nsec / 1000;
}

/*
 * The nap is for CPUs that are emulated in turn: what one does there, the
 * others wait for, however nice it is.
 */
static void work(unsigned long *rounds)
{
	long began, nap;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	be_quiet();
	for (;;) {
		began = microseconds();
		round_of_calls();
		__atomic_add_fetch(rounds, 1, __ATOMIC_RELAXED);
		nap = NAP * (microseconds() - began);
		usleep((useconds_t)(nap < LONGEST_NAP ? nap : LONGEST_NAP));
	}
}

static int lead(long workers)
{
	unsigned long *rounds;
	char name[32];
	long i;

	snprintf(name, sizeof(name), "%d", (int)getpid());
	rounds = counter(name, O_CREAT | O_EXCL);
	if (!rounds)
		return fail("counter");
	if (setpriority(PRIO_PROCESS, 0, NICENESS) < 0)
		return fail("setpriority");
	for (i = 0; i < workers; i++) {
		pid_t child = fork();

		if (child < 0)
			return fail("fork");
		if (child == 0)
			work(rounds);
	}
	printf("{\"leader\": %d, \"workers\": %ld}\n", (int)getpid(), workers);
	if (fflush(stdout) != 0)
		return fail("stdout");
	return 0;
}

static int start(const char *word)
{
	long workers = strtol(word, NULL, 10);
	int status;
	pid_t child;

	if (workers < 1 || workers > MOST_WORKERS) {
		fprintf(stderr, "busy: 1 to %d workers\n", MOST_WORKERS);
		return 2;
	}
	child = fork();
	if (child < 0)
		return fail("fork");
	if (child > 0) {
		/* It has printed when it stops itself. */
		if (waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status))
			return 1;
		return kill(child, SIGCONT) == 0 ? 0 : fail("kill");
	}
	if (setsid() < 0)
		_exit(fail("setsid"));
	alarm(LONGEST);
	status = lead(workers);
	if (status)
		_exit(status);
	be_quiet();
	raise(SIGSTOP);
	for (;;)
		pause();
}

static int stop(const char *leader)
{
	unsigned long *rounds = counter(leader, 0);
	long number = strtol(leader, NULL, 10);
	int tries;

	if (!rounds || number < 2)
		return fail("busy");
	if (kill((pid_t)-number, SIGKILL) < 0)
		return fail("kill");
	/* Whoever started it has ended: init reaps it. */
	for (tries = 0; kill((pid_t)number, 0) == 0 && tries < 1000; tries++)
		usleep(10000);
	printf("{\"rounds\": %lu}\n", *rounds);
	return fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "start"))
		return start(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "stop"))
		return stop(argv[2]);
	fprintf(stderr, "busy start WORKERS | busy stop PID\n");
	return 2;
}
