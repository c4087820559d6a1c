/* SPDX-License-Identifier: Apache-2.0 */
/* What is waited for, and whose turn it is then. */
#ifndef LAB_AGENT_LOOP_H
#define LAB_AGENT_LOOP_H

#include "lab-agent-clock.h"
#include "lab-agent-commands.h"
#include "lab-agent-ends.h"
#include "lab-agent-identity.h"
#include "lab-agent-input.h"
#include "lab-agent-output.h"
#include "lab-agent-pipes.h"
#include "lab-agent-session.h"
#include "lab-agent-spawn.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>

/* Nothing is asked of a descriptor that we would not serve: poll() would not wait. */
static int wanted(const struct command *command, int which)
{
	if (!command->used)
		return -1;
	switch (which) {
	case 0:
		return command->report;
	case 1:
		return command->count > 0 || command->no_more ? command->in : -1;
	}
	if (command->report >= 0 || command->started ||
	    command->window <= sizeof(struct header) || room() == 0)
		return -1;
	return command->out[which - 2];
}

static void wait_for_work(struct pollfd fds[1 + 4 * COMMANDS])
{
	struct timespec timeout, *limit = NULL;
	int64_t now = clock_ms(), soonest = INT64_MAX;
	const struct command *command;
	int index, which;

	fds[0].fd = port;
	fds[0].events = POLLIN | (output_size ? POLLOUT : 0);
	for (index = 0; index < COMMANDS; index++) {
		command = &commands[index];
		for (which = 0; which < 4; which++) {
			fds[1 + 4 * index + which].fd = wanted(command, which);
			fds[1 + 4 * index + which].events = which == 1 ? POLLOUT : POLLIN;
			fds[1 + 4 * index + which].revents = 0;
		}
		if (command->used && only_lingers(command) && command->linger < soonest)
			soonest = command->linger;
	}
	if (soonest != INT64_MAX) {
		soonest = soonest > now ? soonest - now : 0;
		timeout.tv_sec = soonest / 1000;
		timeout.tv_nsec = soonest % 1000 * 1000000;
		limit = &timeout;
	}
	/* Children's ends are let in only here, so that none is missed. */
	if (ppoll(fds, 1 + 4 * COMMANDS, limit, &undisturbed) < 0) {
		if (errno != EINTR)
			die_of_errno("poll");
		for (index = 0; index < 1 + 4 * COMMANDS; index++)
			fds[index].revents = 0;
	}
}

static void serve(struct command *command, const struct pollfd fds[4])
{
	/* What the host sent meanwhile may have ended or replaced what was asked for. */
	if (fds[0].revents && command->report == fds[0].fd)
		read_report(command);
	if (fds[1].revents && command->in == fds[1].fd)
		write_stdin(command);
	if (fds[2].revents && command->out[0] == fds[2].fd)
		read_output(command, 0);
	if (fds[3].revents && command->out[1] == fds[3].fd)
		read_output(command, 1);
}

/*
 * Say all that there is to say. What had no room has some when the frame has
 * gone, and nothing else may happen by which we would come back to it.
 */
static void say_all(void)
{
	int index;

	do {
		unsaid = 0;
		if (greet)
			say_hello();
		else
			say_answers();
		for (index = 0; index < COMMANDS; index++)
			if (commands[index].used)
				settle(&commands[index]);
		flush_output();
	} while (unsaid && output_size == 0);
}

static void run_for_ever(void)
{
	static struct pollfd fds[1 + 4 * COMMANDS];
	int index, turn = 0;

	for (;;) {
		say_all();
		wait_for_work(fds);
		if (child_ended) {
			child_ended = 0;
			notice_exits();
		}
		/* Another one first each time: the first to print may fill the frame. */
		turn = (turn + 1) % COMMANDS;
		for (index = turn; index < turn + COMMANDS; index++)
			if (commands[index % COMMANDS].used)
				serve(&commands[index % COMMANDS],
				      fds + 1 + 4 * (index % COMMANDS));
		/* Last: it may start commands that nobody was asked about. */
		if (fds[0].revents & (POLLIN | POLLHUP | POLLERR))
			read_port();
	}
}

#endif
