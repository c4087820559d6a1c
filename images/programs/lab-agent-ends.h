/* SPDX-License-Identifier: Apache-2.0 */
/* A command's end: how it is noticed, what is still waited for, and what the host is told. */
#ifndef LAB_AGENT_ENDS_H
#define LAB_AGENT_ENDS_H

#include "lab-agent-clock.h"
#include "lab-agent-commands.h"
#include "lab-agent-frames.h"
#include "lab-agent-output.h"
#include <endian.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

static volatile sig_atomic_t child_ended;

static void note_child(int number)
{
	(void)number;
	child_ended = 1;
}

static void notice_exits(void)
{
	struct command *command;
	siginfo_t info;
	int which;

	for (command = commands; command < commands + COMMANDS; command++) {
		if (!command->used || command->exited)
			continue;
		info.si_pid = 0;
		/* Left unreaped: its number stays its own for as long as we may kill it. */
		if (waitid(P_PID, (id_t)command->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
			die_of_errno("waitid");
		if (info.si_pid == 0)
			continue;
		command->exited = 1;
		command->linger = clock_ms() + LINGER_MS;
		close_fd(&command->in);
		command->count = 0;
		for (which = 0; which < 2; which++)
			if (command->out[which] >= 0 &&
			    ioctl(command->out[which], FIONREAD, &command->owed[which]) < 0)
				die_of_errno("FIONREAD");
	}
}

/* Whether nothing is left to wait for but somebody else who keeps the pipes open. */
static int only_lingers(const struct command *command)
{
	return command->exited && command->owed[0] == 0 && command->owed[1] == 0 &&
	       (command->out[0] >= 0 || command->out[1] >= 0);
}

static void finish(struct command *command)
{
	struct failure failure = {
		.error = htole32(command->failure.error),
		.program = htole32(command->failure.program),
	};
	int status = 0;

	if (room() < sizeof(failure)) {
		unsaid = 1;
		return;
	}
	if (command->pid > 0 && waitpid(command->pid, &status, 0) < 0)
		die_of_errno("waitpid");
	command->used = 0;
	if (command->forgotten)
		return;
	if (failure.error)
		say(FAILED, command->number, &failure, sizeof(failure));
	else
		say_u32(EXIT, command->number, (uint32_t)status);
}

/* Say what has to be said of a command, as far as there is room. */
static void settle(struct command *command)
{
	if (command->forgotten)
		command->started = 0;
	if (command->started && say_u32(STARTED, command->number, (uint32_t)command->pid))
		command->started = 0;
	/* While more than half of the window is open, the host does not wait. */
	if (command->fed >= STDIN_WINDOW / 2 && !command->no_more && !command->forgotten &&
	    say_u32(FED, command->number, command->fed))
		command->fed = 0;
	if (only_lingers(command) && clock_ms() >= command->linger)
		stop_io(command);
	if (command->exited && !command->started && command->report < 0 &&
	    command->out[0] < 0 && command->out[1] < 0)
		finish(command);
}

#endif
