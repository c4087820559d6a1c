/* SPDX-License-Identifier: Apache-2.0 */
/* What makes a restored machine one of its own: its clock, its random bytes and its names. */
#ifndef LAB_AGENT_IDENTITY_H
#define LAB_AGENT_IDENTITY_H

#include "lab-agent-commands.h"
#include "lab-agent-frames.h"
#include "lab-agent-output.h"
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define ANSWERS 16
#define ENTROPY_MAX 256
#define NAME_MAX_BYTES 64

static struct answer answers[ANSWERS];
static size_t answer_count;

static int set_clock(const unsigned char *data, size_t length)
{
	struct timespec time;
	uint64_t value;

	if (length != sizeof(value))
		die("a frame of a wrong size");
	memcpy(&value, data, sizeof(value));
	value = le64toh(value);
	time.tv_sec = (time_t)(value / 1000000000);
	time.tv_nsec = (long)(value % 1000000000);
	return clock_settime(CLOCK_REALTIME, &time) < 0 ? errno : 0;
}

/* Into the kernel's pool, and from there at once into what hands out random bytes. */
static int add_entropy(const unsigned char *data, size_t length)
{
	union {
		struct rand_pool_info info;
		unsigned char bytes[sizeof(struct rand_pool_info) + ENTROPY_MAX];
	} pool;
	int fd, error = 0;

	if (length == 0 || length > ENTROPY_MAX)
		die("a frame of a wrong size");
	pool.info.entropy_count = (int)length * 8;
	pool.info.buf_size = (int)length;
	memcpy(pool.bytes + offsetof(struct rand_pool_info, buf), data, length);
	fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno;
	if (ioctl(fd, RNDADDENTROPY, &pool) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0)
		error = errno;
	close(fd);
	return error;
}

static int write_line(const char *path, const unsigned char *data, size_t length)
{
	char line[NAME_MAX_BYTES + 1];
	int fd, error = 0;

	memcpy(line, data, length);
	line[length] = '\n';
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return errno;
	if (write(fd, line, length + 1) < 0)
		error = errno;
	close(fd);
	return error;
}

static int set_name(enum kind kind, const unsigned char *data, size_t length)
{
	if (length == 0 || length > NAME_MAX_BYTES)
		die("a frame of a wrong size");
	if (kind == MACHINE_ID)
		return write_line("/etc/machine-id", data, length);
	if (sethostname((const char *)data, length) < 0)
		return errno;
	return write_line("/etc/hostname", data, length);
}

static void renew(enum kind kind, const unsigned char *data, size_t length)
{
	struct answer *answer;
	int error;

	if (answer_count == ANSWERS)
		die("the host asks for more than it hears");
	if (kind == CLOCK)
		error = set_clock(data, length);
	else if (kind == ENTROPY)
		error = add_entropy(data, length);
	else
		error = set_name(kind, data, length);
	answer = &answers[answer_count++];
	answer->kind = htole32(kind);
	answer->error = htole32((uint32_t)error);
}

static void say_answers(void)
{
	while (answer_count > 0 && say(DONE, 0, &answers[0], sizeof(answers[0])))
		memmove(&answers[0], &answers[1], --answer_count * sizeof(answers[0]));
}

#endif
