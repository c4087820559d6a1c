// SPDX-License-Identifier: Apache-2.0
/*
 * A 64-bit process that makes 32-bit calls, by int $0x80 (amd64 alone).
 *
 * usage: int80_attack open|unlink|connect|socketcall|execve PATH
 * Prints {"pid": N, "result": N, "port": N}, or {"unsupported": "why"}. execve
 * runs PATH in its place, which then says nothing of this.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __x86_64__
int main(void)
{
	puts("{\"unsupported\": \"int 0x80 is amd64's\"}");
	return 0;
}
#else
enum { I386_OPEN = 5, I386_UNLINK = 10, I386_EXECVE = 11, I386_GETPID = 20,
       I386_SOCKETCALL = 102, I386_CONNECT = 362, CALL_CONNECT = 3 };

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static long int80(long number, long one, long two, long three)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(one), "c"(two), "d"(three)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)result;
}

/* A kernel without these calls kills who makes one. */
static int has_them(void)
{
	int status;
	pid_t child = fork();

	if (child < 0)
		fail("fork");
	if (child == 0)
		_exit(int80(I386_GETPID, 0, 0, 0) > 0 ? 0 : 1);
	if (waitpid(child, &status, 0) != child)
		fail("waitpid");
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Below 4 GiB, where a 32-bit pointer reaches. */
static char *low_page(void)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	if (page == MAP_FAILED)
		fail("mmap");
	memset(page, 0, 4096);
	return page;
}

static int connected(char *page, int by_socketcall, struct sockaddr_in *peer)
{
	socklen_t length = sizeof(*peer);
	uint32_t *words = (uint32_t *)(page + 2048);
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);

	peer->sin_family = AF_INET;
	peer->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (listener < 0 || fd < 0 || bind(listener, (struct sockaddr *)peer, length) ||
	    listen(listener, 1) || getsockname(listener, (struct sockaddr *)peer, &length))
		fail("a socket on 127.0.0.1");
	memcpy(page, peer, sizeof(*peer));
	words[0] = fd;
	words[1] = (uint32_t)(uintptr_t)page;
	words[2] = sizeof(*peer);
	if (by_socketcall)
		return int80(I386_SOCKETCALL, CALL_CONNECT, (long)words, 0);
	return int80(I386_CONNECT, fd, (long)page, sizeof(*peer));
}

int main(int argc, char **argv)
{
	struct sockaddr_in peer = { 0 };
	char *page;
	long result;

	if (argc != 3 || strlen(argv[2]) > 1000) {
		fprintf(stderr, "usage: %s open|unlink|connect|socketcall|execve PATH\n", argv[0]);
		return 2;
	}
	if (!has_them()) {
		puts("{\"unsupported\": \"this kernel takes no 32-bit calls\"}");
		return 0;
	}
	page = low_page();
	strcpy(page, argv[2]);
	if (!strcmp(argv[1], "open")) {
		result = int80(I386_OPEN, (long)page, O_RDONLY, 0);
	} else if (!strcmp(argv[1], "unlink")) {
		result = int80(I386_UNLINK, (long)page, 0, 0);
	} else if (!strcmp(argv[1], "execve")) {
		((uint32_t *)(page + 2048))[0] = (uint32_t)(uintptr_t)page;
		result = int80(I386_EXECVE, (long)page, (long)(page + 2048), 0);
	} else {
		result = connected(page, !strcmp(argv[1], "socketcall"), &peer);
	}
	if (result < 0) {
		fprintf(stderr, "%s: %ld\n", argv[1], result);
		return 1;
	}
	printf("{\"pid\": %d, \"result\": %ld, \"port\": %d}\n", (int)getpid(), result,
	       ntohs(peer.sin_port));
	return fflush(stdout) == 0 ? 0 : 1;
}
#endif
