/* SPDX-License-Identifier: Apache-2.0 */
/* The frames on their way to the host, and how they are put there. */
#ifndef LAB_AGENT_OUTPUT_H
#define LAB_AGENT_OUTPUT_H

#include "lab-agent-commands.h"
#include "lab-agent-frames.h"
#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

static int port;
static unsigned char output[FRAME_MAX];
static size_t output_size;
static int unsaid;	/* there was something to say and no room for it */

/* Room for the bytes of one more frame. */
static size_t room(void)
{
	size_t left = sizeof(output) - output_size;

	return left > sizeof(struct header) ? left - sizeof(struct header) : 0;
}

static void put_header(enum kind kind, uint16_t number, size_t length)
{
	struct header header = {
		.length = htole32((uint32_t)length),
		.kind = htole16((uint16_t)kind),
		.number = htole16(number),
	};

	memcpy(output + output_size, &header, sizeof(header));
	output_size += sizeof(header) + length;
}

/* Put a small frame behind what is to be sent; 0 when it has to wait. */
static int say(enum kind kind, uint16_t number, const void *data, size_t length)
{
	if (room() < length) {
		unsaid = 1;
		return 0;
	}
	memcpy(output + output_size + sizeof(struct header), data, length);
	put_header(kind, number, length);
	return 1;
}

static int say_u32(enum kind kind, uint16_t number, uint32_t value)
{
	value = htole32(value);
	return say(kind, number, &value, sizeof(value));
}

static void flush_output(void)
{
	ssize_t sent;

	if (output_size == 0)
		return;
	sent = write(port, output, output_size);
	if (sent < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return;
		die_of_errno("the host cannot be written to");
	}
	/* A port takes all or nothing; a socket may take a part. */
	memmove(output, output + sent, output_size - (size_t)sent);
	output_size -= (size_t)sent;
}

#endif
