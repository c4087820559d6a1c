// SPDX-License-Identifier: Apache-2.0
/*
 * A shell whose input and output is a connection to 127.0.0.1, where the one
 * who waits for it tells it to run a command, and to end.
 *
 * usage: reverse_shell COMMAND
 * Prints {"shell": PID, "port": N, "status": 3}: the status it was told to end
 * with.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void shell(const struct sockaddr_in *peer)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)peer, sizeof(*peer)))
		fail("connect");
	for (int i = 0; i < 3; i++) {
		if (dup2(fd, i) != i)
			fail("dup2");
	}
	execl("/bin/sh", "sh", "-i", (char *)NULL);
	fail("/bin/sh");
}

int main(int argc, char **argv)
{
	struct sockaddr_in peer = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t length = sizeof(peer);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), client, status;
	char line[256];
	pid_t child;

	if (argc != 2) {
		fprintf(stderr, "usage: %s COMMAND\n", argv[0]);
		return 2;
	}
	if (listener < 0 || bind(listener, (struct sockaddr *)&peer, length) ||
	    listen(listener, 1) || getsockname(listener, (struct sockaddr *)&peer, &length))
		fail("a socket on 127.0.0.1");
	child = fork();
	if (child < 0)
		fail("fork");
	if (child == 0)
		shell(&peer);
	client = accept(listener, NULL, NULL);
	if (client < 0)
		fail("accept");
	if (snprintf(line, sizeof(line), "%s\nexit 3\n", argv[1]) >= (int)sizeof(line) ||
	    write(client, line, strlen(line)) != (ssize_t)strlen(line))
		fail("write");
	/* What it says is of no interest; its end closes the connection. */
	while (read(client, line, sizeof(line)) > 0)
		;
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		fail("waitpid");
	printf("{\"shell\": %d, \"port\": %d, \"status\": %d}\n", (int)child,
	       ntohs(peer.sin_port), WEXITSTATUS(status));
	return fflush(stdout) == 0 ? 0 : 1;
}
