// SPDX-License-Identifier: Apache-2.0
/*
 * Runs commands in a guest for the host, several at a time, over one channel:
 * a virtio-serial port, or any stream socket that a test gives it.
 *
 * usage: lab-agent PATH|DESCRIPTOR
 *        lab-agent get PATH
 *        lab-agent put PATH [MODE]
 *        lab-agent bpf
 *
 * What both say is in lab-agent-frames.h, with the rules. lab-agent-loop.h waits
 * for all of it at once; the other headers have a part of it each. The last
 * three are commands that it runs like any other: lab-agent-files.h and
 * lab-agent-bpf.h.
 */
#include "lab-agent-bpf.h"
#include "lab-agent-commands.h"
#include "lab-agent-ends.h"
#include "lab-agent-files.h"
#include "lab-agent-loop.h"
#include "lab-agent-output.h"
#include "lab-agent-session.h"
#include "lab-agent-spawn.h"
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int open_port(const char *where)
{
	char *end;
	long number = strtol(where, &end, 10);
	int fd;

	if (*where && !*end) {
		if (number < 0 || number > INT_MAX)
			die("there is no such descriptor");
		fd = (int)number;
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
			die_of_errno(where);
		set_nonblocking(fd);
		return fd;
	}
	fd = open(where, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		die_of_errno(where);
	return fd;
}

/* A pipe that took the number of one of them would be lost on the way to the child. */
static void hold_standard_streams(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (fd < 0)
			die_of_errno("/dev/null");
	} while (fd <= 2);
	close(fd);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = note_child };
	sigset_t child;

	if (argc == 3 && !strcmp(argv[1], "get"))
		return get_file(argv[2]);
	if ((argc == 3 || argc == 4) && !strcmp(argv[1], "put"))
		return put_file(argv[2], argv[3]);
	if (argc == 2 && !strcmp(argv[1], "bpf"))
		return print_bpf_numbers();
	if (argc != 2) {
		fprintf(stderr, "usage: %s PATH|DESCRIPTOR | get PATH | put PATH [MODE] | bpf\n", argv[0]);
		return 2;
	}
	port = open_port(argv[1]);
	hold_standard_streams();
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &child, &undisturbed) < 0 ||
	    sigaction(SIGCHLD, &action, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		die_of_errno("signals");
	sigdelset(&undisturbed, SIGCHLD);
	start_session();
	run_for_ever();
}
