// SPDX-License-Identifier: Apache-2.0
/*
 * eater CGROUP|- KIB: a child that eats memory until it is killed for it, or
 * has eaten that much; in that cgroup, or (-) in its parent's. The kernel
 * takes it before anybody else. Prints what came of it:
 * {"child": PID, "signal": 9, "status": 0, "eaten": KIB}
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIECE (1UL << 20)

static int put(const char *path, const char *text)
{
	int file = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t length = (ssize_t)strlen(text);
	ssize_t done;

	if (file < 0)
		return -1;
	done = write(file, text, (size_t)length);
	close(file);
	return done == length ? 0 : -1;
}

static int eat(const char *group, unsigned long most, unsigned long *eaten)
{
	unsigned long place;
	char path[512];
	char *piece;

	if (put("/proc/self/oom_score_adj", "1000") < 0)
		return 2;
	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	if (strcmp(group, "-") && put(path, "0") < 0)
		return 3;
	while (*eaten < most) {
		piece = mmap(NULL, PIECE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (piece == MAP_FAILED)
			return 4;
		for (place = 0; place < PIECE; place += 4096)
			piece[place] = 1;
		*eaten += PIECE / 1024;
	}
	return 0;
}

int main(int argc, char **argv)
{
	unsigned long *eaten;
	int status;
	pid_t child;

	if (argc != 3) {
		fprintf(stderr, "eater CGROUP|- KIB\n");
		return 2;
	}
	eaten = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (eaten == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	child = fork();
	if (child < 0) {
		perror("fork");
		return 1;
	}
	if (child == 0)
		_exit(eat(argv[1], strtoul(argv[2], NULL, 10), eaten));
	if (waitpid(child, &status, 0) != child) {
		perror("waitpid");
		return 1;
	}
	printf("{\"child\": %d, \"signal\": %d, \"status\": %d, \"eaten\": %lu}\n",
	       (int)child, WIFSIGNALED(status) ? WTERMSIG(status) : 0,
	       WIFEXITED(status) ? WEXITSTATUS(status) : 0, *eaten);
	return fflush(stdout) == 0 ? 0 : 1;
}
