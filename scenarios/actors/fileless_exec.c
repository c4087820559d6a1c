// SPDX-License-Identifier: Apache-2.0
/*
 * Runs a copy of itself from memory: the copy prints {"pid": N, "exe": "..."},
 * its process (the same) and what /proc/self/exe says.
 *
 * usage: fileless_exec fexecve|execve|copy PATH
 * fexecve, execve: from a memfd, by its descriptor or by /proc/self/fd/N; copy:
 * from a file at PATH, which is removed before it runs.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void copy_to(int to)
{
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat about;
	off_t at = 0;

	if (from < 0 || fstat(from, &about))
		fail("/proc/self/exe");
	while (at < about.st_size) {
		if (sendfile(to, from, &at, about.st_size - at) <= 0)
			fail("sendfile");
	}
	close(from);
}

static int tell(void)
{
	char exe[256];
	ssize_t length = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (length < 0)
		fail("/proc/self/exe");
	exe[length] = '\0';
	printf("{\"pid\": %d, \"exe\": \"%s\"}\n", (int)getpid(), exe);
	return fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	char *words[] = { "payload", NULL }, path[64];
	int fd;

	if (argc == 1)
		return tell();
	if (argc != 3) {
		fprintf(stderr, "usage: %s fexecve|execve|copy PATH\n", argv[0]);
		return 2;
	}
	if (!strcmp(argv[1], "copy")) {
		fd = open(argv[2], O_WRONLY | O_CREAT | O_EXCL, 0700);
		if (fd < 0)
			fail(argv[2]);
		copy_to(fd);
		close(fd);
		fd = open(argv[2], O_RDONLY | O_CLOEXEC);
		if (fd < 0 || unlink(argv[2]))
			fail(argv[2]);
	} else {
		fd = memfd_create("payload", MFD_CLOEXEC);
		if (fd < 0)
			fail("memfd_create");
		copy_to(fd);
	}
	if (strcmp(argv[1], "execve")) {
		fexecve(fd, words, environ);
		fail("fexecve");
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	execve(path, words, environ);
	fail("execve");
	return 1;
}
