// SPDX-License-Identifier: Apache-2.0
/*
 * Speaks with a driver's consumer, whose process's number is in PIDFILE and
 * whose standard error goes to SAIDFILE; the shell that started it writes
 * "lab: ended with ..." there behind the consumer's last words. One program,
 * because a shell and its sleeps are a hundred system calls each, which the
 * driver under test reports and a slow guest has to make.
 *
 * usage: lab-consumer tell|stop|fault PIDFILE SAIDFILE
 *
 * tell:  send SIGUSR1, and print the whole lines that it says thereupon
 * stop:  send SIGINT, wait for its end, and print the end of what it said
 * fault: print nothing while it runs, else "gone" and what it said
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MOST 65536		/* bytes that are printed; a verifier's log has megabytes */
#define PAUSE_MS 5
#define STATUS_MS 500		/* its status is written a moment after it is gone */
#define STATUS "lab: ended with"

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static void pause_ms(int ms)
{
	struct timespec time = { .tv_sec = 0, .tv_nsec = ms * 1000000L };

	/* Cut short by a signal it is only looked again sooner. */
	nanosleep(&time, NULL);
}

/* The number in the file, 0 when there is none. */
static pid_t read_pid(const char *path)
{
	FILE *file = fopen(path, "re");
	int pid;

	if (!file)
		return 0;
	if (fscanf(file, "%d", &pid) != 1 || pid <= 0)
		pid = 0;
	fclose(file);
	return pid;
}

/* Whether it runs a program: a process that has ended has none, though it may still have its number. */
static int runs(pid_t pid)
{
	char path[32], target[1];

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	return pid > 0 && readlink(path, target, sizeof(target)) >= 0;
}

static off_t size_of(int fd)
{
	struct stat status;

	return fstat(fd, &status) < 0 ? -1 : status.st_size;
}

/* Print the bytes from one place of the file to another. */
static int print(int fd, off_t from, off_t to)
{
	static char data[MOST];
	ssize_t got;

	for (; from < to; from += got) {
		size_t left = (size_t)(to - from);

		got = pread(fd, data, left < sizeof(data) ? left : sizeof(data), from);
		if (got < 0)
			return fail("read");
		if (got == 0)
			return 0;	/* it was cut short meanwhile */
		if (fwrite(data, 1, (size_t)got, stdout) != (size_t)got)
			return fail("write");
	}
	return 0;
}

static int print_end(int fd, off_t from)
{
	off_t end = size_of(fd);

	if (end < 0)
		return fail("fstat");
	return print(fd, end - from > MOST ? end - MOST : from, end);
}

static int tell(pid_t pid, int fd)
{
	off_t before = size_of(fd), now = before;
	char last = 0;

	if (pid <= 0 || before < 0 || kill(pid, SIGUSR1) < 0)
		return fail("SIGUSR1");
	while (now <= before || pread(fd, &last, 1, now - 1) != 1 || last != '\n') {
		if (!runs(pid))
			return 1;
		pause_ms(PAUSE_MS);
		now = size_of(fd);
	}
	return print_end(fd, before);
}

static int stop(pid_t pid, int fd)
{
	char path[32];

	if (pid <= 0)
		return 1;
	/* One that has ended already has said what it had to say. */
	kill(pid, SIGINT);
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	while (access(path, F_OK) == 0)
		pause_ms(PAUSE_MS);
	return print_end(fd, 0);
}

/* Whether the shell has written how it ended. */
static int status_is_there(int fd)
{
	static char data[MOST + 1];
	off_t end = size_of(fd);
	ssize_t got = pread(fd, data, MOST, end > MOST ? end - MOST : 0);
	const char *at = data;

	data[got > 0 ? got : 0] = 0;
	while ((at = strstr(at, STATUS)) != NULL) {
		if (at == data || at[-1] == '\n')
			return 1;
		at++;
	}
	return 0;
}

static int fault(pid_t pid, int fd)
{
	int waited = 0;
	off_t end;

	if (runs(pid))
		return 0;
	while (!status_is_there(fd) && waited < STATUS_MS) {
		pause_ms(PAUSE_MS);
		waited += PAUSE_MS;
	}
	end = size_of(fd);
	if (end < 0)
		return fail("fstat");
	if (puts("gone") < 0)
		return fail("write");
	if (end <= MOST)
		return print(fd, 0, end);
	if (print(fd, 0, MOST / 2) || putchar('\n') < 0)
		return 1;
	return print(fd, end - MOST / 2, end);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*ask)(pid_t pid, int fd);
	} questions[] = { { "tell", tell }, { "stop", stop }, { "fault", fault } };
	size_t index = 0, count = sizeof(questions) / sizeof(questions[0]);
	int fd, status;

	while (argc == 4 && index < count && strcmp(argv[1], questions[index].name) != 0)
		index++;
	if (argc != 4 || index == count) {
		fprintf(stderr, "usage: %s tell|stop|fault PIDFILE SAIDFILE\n", argv[0]);
		return 2;
	}
	fd = open(argv[3], O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail(argv[3]);
	status = questions[index].ask(read_pid(argv[2]), fd);
	close(fd);
	return fflush(stdout) == 0 ? status : 1;
}
