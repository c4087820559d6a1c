/* SPDX-License-Identifier: Apache-2.0 */
/* The frames that come from the host, and what is done at each. */
#ifndef LAB_AGENT_INPUT_H
#define LAB_AGENT_INPUT_H

#include "lab-agent-commands.h"
#include "lab-agent-frames.h"
#include "lab-agent-identity.h"
#include "lab-agent-pipes.h"
#include "lab-agent-session.h"
#include "lab-agent-spawn.h"
#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

static unsigned char input[FRAME_MAX];
static size_t input_size;

static void open_window(struct command *command, const unsigned char *data, size_t length)
{
	uint32_t value;

	if (length != sizeof(value))
		die("a frame of a wrong size");
	memcpy(&value, data, sizeof(value));
	value = le32toh(value);
	if (value > OUTPUT_WINDOW - command->window)
		die("the host took more than it was sent");
	command->window += value;
}

/* What is for a command that runs. */
static void take_for_command(struct command *command, uint16_t kind,
			     const unsigned char *data, size_t length)
{
	switch (kind) {
	case STDIN:
		take_stdin(command, data, length);
		break;
	case STDIN_END:
		command->no_more = 1;
		write_stdin(command);
		break;
	case KILL:
		kill_command(command);
		break;
	case TAKEN:
		open_window(command, data, length);
		break;
	}
}

static void take_frame(uint16_t kind, uint16_t number, const unsigned char *data, size_t length)
{
	struct command *command;

	if (kind == RUN) {
		start_command(number, data, length);
		return;
	}
	if (kind == GREET) {
		start_session();
		return;
	}
	if (kind >= CLOCK && kind <= MACHINE_ID) {
		renew(kind, data, length);
		return;
	}
	if (kind < STDIN || kind > TAKEN)
		die("a frame of an unknown kind");
	command = find_command(number);
	if (command) /* else it ended while the host sent this */
		take_for_command(command, kind, data, length);
}

/* Drop everything up to START with this session's name; what remains is for us. */
static size_t synchronize(void)
{
	unsigned char wanted[sizeof(struct header) + sizeof(session)];
	struct header header = {
		.length = htole32(sizeof(session)),
		.kind = htole16(START),
	};
	unsigned char *found;

	memcpy(wanted, &header, sizeof(header));
	memcpy(wanted + sizeof(header), &session, sizeof(session));
	found = memmem(input, input_size, wanted, sizeof(wanted));
	if (found) {
		synced = 1;
		return (size_t)(found - input) + sizeof(wanted);
	}
	return input_size < sizeof(wanted) ? 0 : input_size - sizeof(wanted) + 1;
}

static void take_input(void)
{
	struct header header;
	size_t used = 0, length;

	for (;;) {
		memmove(input, input + used, input_size - used);
		input_size -= used;
		used = 0;
		if (!synced) {
			used = synchronize();
			if (used == 0)
				return;
			continue;
		}
		while (synced && input_size - used >= sizeof(header)) {
			memcpy(&header, input + used, sizeof(header));
			length = le32toh(header.length);
			if (length > sizeof(input) - sizeof(header))
				die("a frame that is too long");
			if (input_size - used < sizeof(header) + length)
				break;
			take_frame(le16toh(header.kind), le16toh(header.number),
				   input + used + sizeof(header), length);
			used += sizeof(header) + length;
		}
		if (used == 0)
			return;
	}
}

static void read_port(void)
{
	ssize_t got;

	got = read(port, input + input_size, sizeof(input) - input_size);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		if (got < 0)
			die_of_errno("the host cannot be read");
		leave(0); /* the host is gone */
	}
	input_size += (size_t)got;
	take_input();
}

#endif
