// SPDX-License-Identifier: Apache-2.0
/*
 * Connections on 127.0.0.1, by mode, which prints as JSON what came of them.
 *
 *   full      connects to a listener that accepts nothing until a connect has
 *             to wait, and gives up after a moment:
 *             {"pid": PID, "port": N, "fd": N, "result": -errno}
 *   inherited accepts a connection, forks, and the child sends on it:
 *             {"parent": PID, "child": PID, "fd": N, "port": N, "result": N}
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* More than a listener without a backlog takes. */
#define MOST 16
#define PATIENCE_US 200000

static struct sockaddr_in address = { .sin_family = AF_INET };
static socklen_t size = sizeof(address);

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int stream(void)
{
	int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (made < 0)
		die("socket");
	return made;
}

static int listener(void)
{
	int made = stream();

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(made, (struct sockaddr *)&address, size) < 0)
		die("bind");
	if (listen(made, 0) < 0)
		die("listen");
	if (getsockname(made, (struct sockaddr *)&address, &size) < 0)
		die("getsockname");
	return made;
}

static void full(void)
{
	struct timeval patience = { .tv_usec = PATIENCE_US };
	int made, i;

	listener();
	for (i = 0; i < MOST; i++) {
		made = stream();
		if (setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
			die("setsockopt");
		if (connect(made, (struct sockaddr *)&address, size) == 0)
			continue;
		printf("{\"pid\": %d, \"port\": %d, \"fd\": %d, \"result\": %d}\n", (int)getpid(),
		       ntohs(address.sin_port), made, -errno);
		return;
	}
	fprintf(stderr, "connections: none had to wait\n");
	exit(1);
}

static void inherited(void)
{
	int server = listener(), client = stream(), accepted, status;
	int *sent = mmap(NULL, sizeof(*sent), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct sockaddr_in peer;
	pid_t child;

	if (sent == MAP_FAILED)
		die("mmap");
	if (connect(client, (struct sockaddr *)&address, size) < 0)
		die("connect");
	accepted = accept4(server, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC);
	if (accepted < 0)
		die("accept4");
	child = fork();
	if (child < 0)
		die("fork");
	if (child == 0) {
		*sent = (int)sendto(accepted, "inherited", 9, 0, NULL, 0);
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child)
		die("waitpid");
	printf("{\"parent\": %d, \"child\": %d, \"fd\": %d, \"port\": %d, \"result\": %d}\n", (int)getpid(),
	       (int)child, accepted, ntohs(peer.sin_port), *sent);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "full"))
		full();
	else if (argc == 2 && !strcmp(argv[1], "inherited"))
		inherited();
	else
		return 2;
	return fflush(stdout) == 0 ? 0 : 1;
}
