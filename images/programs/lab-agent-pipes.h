/* SPDX-License-Identifier: Apache-2.0 */
/* What goes into a command, and what comes out of it. */
#ifndef LAB_AGENT_PIPES_H
#define LAB_AGENT_PIPES_H

#include "lab-agent-commands.h"
#include "lab-agent-frames.h"
#include "lab-agent-output.h"
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

static void write_stdin(struct command *command)
{
	ssize_t sent;

	if (command->in < 0)
		return;
	if (command->count > 0) {
		sent = write(command->in, command->waiting + command->first, command->count);
		if (sent < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (sent < 0) {
			/* It reads no more: whatever comes counts as taken. */
			close_fd(&command->in);
			sent = (ssize_t)command->count;
		}
		command->first += (size_t)sent;
		command->count -= (size_t)sent;
		command->fed += (uint32_t)sent;
	}
	if (command->count == 0) {
		command->first = 0;
		if (command->no_more)
			close_fd(&command->in);
	}
}

static void take_stdin(struct command *command, const unsigned char *data, size_t length)
{
	if (command->no_more || length > sizeof(command->waiting) - command->count)
		die("the host sent more input than it may");
	if (command->in < 0) {
		command->fed += (uint32_t)length;
		return;
	}
	if (command->first + command->count + length > sizeof(command->waiting)) {
		memmove(command->waiting, command->waiting + command->first, command->count);
		command->first = 0;
	}
	memcpy(command->waiting + command->first + command->count, data, length);
	command->count += length;
	write_stdin(command);
}

static void read_output(struct command *command, int which)
{
	size_t most = room();
	ssize_t got;

	if (command->window <= sizeof(struct header) || most == 0)
		return;
	if (most > command->window - sizeof(struct header))
		most = command->window - sizeof(struct header);
	got = read(command->out[which], output + output_size + sizeof(struct header), most);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		close_fd(&command->out[which]);
		command->owed[which] = 0;
		return;
	}
	put_header(which == 0 ? STDOUT : STDERR, command->number, (size_t)got);
	command->window -= (uint32_t)got + sizeof(struct header);
	command->owed[which] = command->owed[which] > got ? command->owed[which] - (int)got : 0;
}

static void read_report(struct command *command)
{
	ssize_t got = read(command->report, &command->failure, sizeof(command->failure));

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	close_fd(&command->report);
	command->started = got == 0;
}

#endif
