/* SPDX-License-Identifier: Apache-2.0 */
/* The actions with sockets: of each family, at a port of its own. */
#ifndef LAB_ACT_SOCKETS_H
#define LAB_ACT_SOCKETS_H

#include "lab-act.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#define PORT 4010

static struct sockaddr_in own_port(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(PORT),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	return address;
}

static int made_socket(int family, int type)
{
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		cannot("socket");
	return fd;
}

static long do_connect(void)
{
	struct sockaddr_in address = own_port();
	int listener = made_socket(AF_INET, SOCK_STREAM);

	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 1) < 0)
		die("listen");
	return told(connect(made_socket(AF_INET, SOCK_STREAM),
			    (struct sockaddr *)&address, sizeof(address)));
}

static long do_connect_refused(void)
{
	struct sockaddr_in address = own_port();

	return told(connect(made_socket(AF_INET, SOCK_STREAM),
			    (struct sockaddr *)&address, sizeof(address)));
}

static long do_connect_ipv6(void)
{
	struct sockaddr_in6 address = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(PORT),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT,
	};

	return told(connect(made_socket(AF_INET6, SOCK_DGRAM),
			    (struct sockaddr *)&address, sizeof(address)));
}

static long do_connect_unix(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = FOLDER "/socket" };
	int listener = made_socket(AF_UNIX, SOCK_STREAM);

	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 1) < 0)
		die("listen");
	return told(connect(made_socket(AF_UNIX, SOCK_STREAM),
			    (struct sockaddr *)&address, sizeof(address)));
}

static long do_bind(void)
{
	struct sockaddr_in address = own_port();

	return told(bind(made_socket(AF_INET, SOCK_STREAM),
			 (struct sockaddr *)&address, sizeof(address)));
}

static long do_sendto(void)
{
	struct sockaddr_in address = own_port();

	return told(sendto(made_socket(AF_INET, SOCK_DGRAM), "x", 1, 0,
			   (struct sockaddr *)&address, sizeof(address)));
}

#endif
