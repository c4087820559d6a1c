/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that there are, and how they end by force: one of them, or all with the agent. */
#ifndef LAB_AGENT_COMMANDS_H
#define LAB_AGENT_COMMANDS_H

#include "lab-agent-frames.h"
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

struct command {
	int used;
	int forgotten;		/* of an earlier session: it ends in silence */
	uint16_t number;
	pid_t pid;		/* 0 when none was made */
	int report;		/* says that execve failed, closed by one that did not */
	int in;
	int out[2];		/* standard output and error */
	int owed[2];		/* bytes that lay in them when the process ended */
	int started;		/* STARTED is still to be sent */
	int exited;		/* the process has ended; it is reaped when its output is out */
	int64_t linger;		/* until when its pipes are waited for, in ms */
	struct failure failure;
	int no_more;		/* STDIN_END has come */
	uint32_t fed;		/* taken from `waiting` and not told yet */
	uint32_t window;	/* bytes of output that the host still takes */
	size_t first, count;	/* what of `waiting` is to be written */
	unsigned char waiting[STDIN_WINDOW];
};

static struct command commands[COMMANDS];

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void stop_io(struct command *command)
{
	close_fd(&command->in);
	close_fd(&command->out[0]);
	close_fd(&command->out[1]);
	command->owed[0] = command->owed[1] = 0;
	command->count = 0;
}

/*
 * Until it is reaped, its number is nobody else's. Its group bears that number
 * once it has called setsid(), before which it has no children.
 */
static void kill_command(struct command *command)
{
	if (command->pid > 0) {
		kill(-command->pid, SIGKILL);
		kill(command->pid, SIGKILL);
	}
	stop_io(command);
}

static void kill_all(void)
{
	struct command *command;

	for (command = commands; command < commands + COMMANDS; command++)
		if (command->used)
			kill_command(command);
}

/* Whoever asked for the commands hears of them no more: they end with us. */
static _Noreturn void leave(int status)
{
	kill_all();
	exit(status);
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "lab-agent: %s\n", what);
	leave(1);
}

static _Noreturn void die_of_errno(const char *what)
{
	fprintf(stderr, "lab-agent: %s: %s\n", what, strerror(errno));
	leave(1);
}

static struct command *find_command(uint16_t number)
{
	struct command *command;

	for (command = commands; command < commands + COMMANDS; command++)
		if (command->used && !command->forgotten && command->number == number)
			return command;
	return NULL;
}

static struct command *new_command(uint16_t number)
{
	struct command *command;

	if (find_command(number))
		die("the host used a number twice");
	for (command = commands; command < commands + COMMANDS; command++)
		if (!command->used)
			break;
	if (command == commands + COMMANDS)
		return NULL;
	memset(command, 0, offsetof(struct command, waiting));
	command->used = 1;
	command->number = number;
	command->report = command->in = command->out[0] = command->out[1] = -1;
	command->window = OUTPUT_WINDOW;
	return command;
}

#endif
