/* SPDX-License-Identifier: Apache-2.0 */
/* The calls with an address, and the two ports that it may name. */
#ifndef LAB_RACE_SOCKETS_H
#define LAB_RACE_SOCKETS_H

#include "lab-race-acted.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define ASKED_PORT 4001
#define OTHER_PORT 4002

static const uint16_t ports[] = { ASKED_PORT, OTHER_PORT };
static int sockets[2];

static struct sockaddr_in at_port(uint16_t port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	return address;
}

static void listen_on(int type)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		struct sockaddr_in address = at_port(ports[i]);

		sockets[i] = socket(AF_INET, type | SOCK_CLOEXEC, 0);
		if (sockets[i] < 0 ||
		    bind(sockets[i], (struct sockaddr *)&address, sizeof(address)) < 0)
			die("bind");
		if (type == SOCK_STREAM && listen(sockets[i], 4) < 0)
			die("listen");
	}
}

static const char *which_port(int fd, int (*name_of)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_in address;
	socklen_t length = sizeof(address);

	if (name_of(fd, (struct sockaddr *)&address, &length) < 0)
		return "neither";
	return which(ntohs(address.sin_port) == ASKED_PORT, ntohs(address.sin_port) == OTHER_PORT);
}

static int received(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) == 1;
}

/* As those on a file's name: 0 when it is none of these. */
static int do_socket_call(const char *name)
{
	int type = strcmp(name, "sendto") ? SOCK_STREAM : SOCK_DGRAM;
	long result, size = sizeof(struct sockaddr_in);
	int fd;

	if (strcmp(name, "connect") && strcmp(name, "bind") && strcmp(name, "sendto"))
		return 0;
	fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket");
	asked_address = at_port(ASKED_PORT);
	if (!strcmp(name, "bind")) {
		result = call(SYS_bind, fd, BUFFER, size, 0, 0, 0);
		tell(name, result, which_port(fd, getsockname));
		return 1;
	}
	listen_on(type);
	if (!strcmp(name, "connect")) {
		result = call(SYS_connect, fd, BUFFER, size, 0, 0, 0);
		tell(name, result, which_port(fd, getpeername));
	} else {
		result = call(SYS_sendto, fd, (long)"x", 1, 0, BUFFER, size);
		tell(name, result, which(received(sockets[0]), received(sockets[1])));
	}
	return 1;
}

#endif
