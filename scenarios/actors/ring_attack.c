// SPDX-License-Identifier: Apache-2.0
/*
 * Reads a file, connects or sends, by the usual calls or through an io_uring,
 * whose requests are no system calls.
 *
 * usage: ring_attack call|ring open|read|connect|send PATH
 * Prints {"pid": N, "result": N, "port": N}: what the open, read, connect or
 * send returned, and the port on 127.0.0.1 that was reached (0: none); or
 * {"unsupported": "why"}.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct ring {
	int fd;
	struct io_uring_params params;
	char *queues;
	struct io_uring_sqe *entries;
};

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void *map(int fd, size_t size, off_t what)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, what);

	if (at == MAP_FAILED)
		fail("mmap");
	return at;
}

/* One mapping holds both queues: every kernel from 5.4 on has that feature. */
static void ring_begin(struct ring *ring)
{
	size_t size;

	memset(ring, 0, sizeof(*ring));
	ring->fd = syscall(SYS_io_uring_setup, 4, &ring->params);
	if (ring->fd < 0) {
		if (errno != ENOSYS && errno != EPERM)
			fail("io_uring_setup");
		printf("{\"unsupported\": \"this kernel gives no io_uring: %s\"}\n", strerror(errno));
		exit(0);
	}
	size = ring->params.sq_off.array + ring->params.sq_entries * sizeof(uint32_t);
	if (size < ring->params.cq_off.cqes + ring->params.cq_entries * sizeof(struct io_uring_cqe))
		size = ring->params.cq_off.cqes +
		       ring->params.cq_entries * sizeof(struct io_uring_cqe);
	ring->queues = map(ring->fd, size, IORING_OFF_SQ_RING);
	ring->entries = map(ring->fd, ring->params.sq_entries * sizeof(*ring->entries),
			    IORING_OFF_SQES);
}

/* One request, and its result. */
static int ring_do(struct ring *ring, const struct io_uring_sqe *wish)
{
	uint32_t *tail = (void *)(ring->queues + ring->params.sq_off.tail);
	uint32_t *mask = (void *)(ring->queues + ring->params.sq_off.ring_mask);
	uint32_t *array = (void *)(ring->queues + ring->params.sq_off.array);
	uint32_t *head = (void *)(ring->queues + ring->params.cq_off.head);
	uint32_t *done_mask = (void *)(ring->queues + ring->params.cq_off.ring_mask);
	struct io_uring_cqe *done = (void *)(ring->queues + ring->params.cq_off.cqes);
	uint32_t at = *tail & *mask;
	int result;

	ring->entries[at] = *wish;
	array[at] = at;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
		fail("io_uring_enter");
	result = done[__atomic_load_n(head, __ATOMIC_ACQUIRE) & *done_mask].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return result;
}

static int socket_of(int type, struct sockaddr_in *address)
{
	socklen_t length = sizeof(*address);
	int fd = socket(AF_INET, type, 0);

	address->sin_family = AF_INET;
	address->sin_port = 0;
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)address, length) ||
	    getsockname(fd, (struct sockaddr *)address, &length))
		fail("a socket on 127.0.0.1");
	return fd;
}

static int do_open(struct ring *ring, const char *path)
{
	struct io_uring_sqe wish = {
		.opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .addr = (uintptr_t)path,
		.open_flags = O_RDONLY,
	};

	return ring ? ring_do(ring, &wish) : open(path, O_RDONLY);
}

static int do_read(struct ring *ring, const char *path)
{
	static char buffer[4096];
	struct io_uring_sqe wish = {
		.opcode = IORING_OP_READ, .addr = (uintptr_t)buffer, .len = sizeof(buffer),
	};

	wish.fd = open(path, O_RDONLY);
	if (wish.fd < 0)
		fail(path);
	return ring ? ring_do(ring, &wish) : read(wish.fd, buffer, sizeof(buffer));
}

static int do_connect(struct ring *ring, struct sockaddr_in *peer)
{
	int listener = socket_of(SOCK_STREAM, peer);
	struct io_uring_sqe wish = {
		.opcode = IORING_OP_CONNECT, .addr = (uintptr_t)peer, .off = sizeof(*peer),
	};

	if (listen(listener, 1))
		fail("listen");
	wish.fd = socket(AF_INET, SOCK_STREAM, 0);
	if (wish.fd < 0)
		fail("socket");
	return ring ? ring_do(ring, &wish) :
		      connect(wish.fd, (struct sockaddr *)peer, sizeof(*peer));
}

static int do_send(struct ring *ring, struct sockaddr_in *peer)
{
	static char word[] = "secret", got[16];
	int receiver = socket_of(SOCK_DGRAM, peer);
	struct iovec part = { word, sizeof(word) };
	struct msghdr message = {
		.msg_name = peer, .msg_namelen = sizeof(*peer), .msg_iov = &part, .msg_iovlen = 1,
	};
	struct io_uring_sqe wish = {
		.opcode = IORING_OP_SENDMSG, .addr = (uintptr_t)&message, .len = 1,
	};
	int result;

	wish.fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (wish.fd < 0)
		fail("socket");
	result = ring ? ring_do(ring, &wish) :
			sendto(wish.fd, word, sizeof(word), 0, (struct sockaddr *)peer,
			       sizeof(*peer));
	if (recv(receiver, got, sizeof(got), MSG_DONTWAIT) != (ssize_t)sizeof(word))
		fail("nothing was received");
	return result;
}

int main(int argc, char **argv)
{
	struct sockaddr_in peer = { 0 };
	struct ring own, *ring = NULL;
	int result;

	if (argc != 4) {
		fprintf(stderr, "usage: %s call|ring open|read|connect|send PATH\n", argv[0]);
		return 2;
	}
	if (!strcmp(argv[1], "ring")) {
		ring = &own;
		ring_begin(ring);
	}
	if (!strcmp(argv[2], "open"))
		result = do_open(ring, argv[3]);
	else if (!strcmp(argv[2], "read"))
		result = do_read(ring, argv[3]);
	else if (!strcmp(argv[2], "connect"))
		result = do_connect(ring, &peer);
	else
		result = do_send(ring, &peer);
	if (result < 0) {
		fprintf(stderr, "%s by %s: %d\n", argv[2], argv[1], result);
		return 1;
	}
	printf("{\"pid\": %d, \"result\": %d, \"port\": %d}\n", (int)getpid(), result,
	       ntohs(peer.sin_port));
	return fflush(stdout) == 0 ? 0 : 1;
}
