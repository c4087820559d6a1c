// SPDX-License-Identifier: Apache-2.0
/*
 * Listens on 127.0.0.1, connects to itself and prints as JSON what it did:
 * {"port": N, "fd": N, "pid": N}
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

int main(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t length = sizeof(address);
	int listener, client;

	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0)
		return fail("socket");
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0)
		return fail("bind");
	if (listen(listener, 1) < 0)
		return fail("listen");
	if (getsockname(listener, (struct sockaddr *)&address, &length) < 0)
		return fail("getsockname");

	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client < 0)
		return fail("socket");
	if (connect(client, (struct sockaddr *)&address, sizeof(address)) < 0)
		return fail("connect");

	printf("{\"port\": %d, \"fd\": %d, \"pid\": %d}\n",
	       ntohs(address.sin_port), client, (int)getpid());
	if (fflush(stdout) != 0)
		return fail("stdout");
	close(client);
	close(listener);
	return 0;
}
