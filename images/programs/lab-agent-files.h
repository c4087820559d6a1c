/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files from and to the host, by the agent's own program: it is in every guest's
 * memory already, where a distribution's would be read and linked first.
 */
#ifndef LAB_AGENT_FILES_H
#define LAB_AGENT_FILES_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A record of /dev/kmsg has at most 8 KiB, and each read gives one. */
#define PIECE 65536
/* A kernel that talks without end is read no further. */
#define PIECES_MAX 65536

static int write_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t done = write(fd, data, size);

		if (done < 0 && errno != EINTR)
			return -1;
		if (done > 0) {
			data += done;
			size -= (size_t)done;
		}
	}
	return 0;
}

/* Copy until the end, or until a read would wait; -1 with errno set. */
static int copy(int from, int to)
{
	static char piece[PIECE];

	for (long left = PIECES_MAX; left > 0; left--) {
		ssize_t size = read(from, piece, sizeof(piece));

		if (size == 0 || (size < 0 && errno == EAGAIN))
			return 0;
		/* EPIPE: the kernel has overtaken who reads its log. */
		if (size < 0 && errno != EINTR && errno != EPIPE)
			return -1;
		if (size > 0 && write_all(to, piece, (size_t)size) < 0)
			return -1;
	}
	return 0;
}

/* A file onto standard output. */
static int get_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || copy(fd, STDOUT_FILENO) < 0) {
		perror(path);
		return 1;
	}
	close(fd);
	return 0;
}

/* Standard input into a file: with a mode into a new one, which takes the place of another. */
static int put_file(const char *path, const char *mode)
{
	int fd;

	if (mode && unlink(path) < 0 && errno != ENOENT) {
		perror(path);
		return 1;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | (mode ? O_EXCL : 0), 0644);
	if (fd < 0 || (mode && fchmod(fd, (mode_t)strtoul(mode, NULL, 8)) < 0) ||
	    copy(STDIN_FILENO, fd) < 0 || close(fd) < 0) {
		perror(path);
		return 1;
	}
	return 0;
}

#endif
