/* SPDX-License-Identifier: Apache-2.0 */
/* A command's begin: the words that the host sent, the pipes, the process. */
#ifndef LAB_AGENT_SPAWN_H
#define LAB_AGENT_SPAWN_H

#include "lab-agent-commands.h"
#include "lab-agent-frames.h"
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is blocked in a command, and while the agent waits: not the ends of children. */
static sigset_t undisturbed;

/* In the child: never returns. */
static void become(char **argv, char **environment, const char *folder,
		   mode_t mask, const int ends[3], int report)
{
	struct failure failure = { 0, 0 };
	int number;

	for (number = 0; number < 3; number++)
		if (dup2(ends[number], number) < 0)
			goto fail;
	if (setsid() < 0 || chdir(folder) < 0 || signal(SIGPIPE, SIG_DFL) == SIG_ERR ||
	    sigprocmask(SIG_SETMASK, &undisturbed, NULL) < 0)
		goto fail;
	umask(mask);
	/* execvp() looks in the PATH of the environment that it is called in. */
	environ = environment;
	failure.program = 1;
	execvp(argv[0], argv);
fail:
	failure.error = (uint32_t)errno;
	/* A pipe takes so little whole; without it, the status tells. */
	if (write(report, &failure, sizeof(failure)) < 0)
		_exit(126);
	_exit(127);
}

static void set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		die_of_errno("fcntl");
}

static void spawn(struct command *command, char **argv, char **environment,
		  const char *folder, mode_t mask)
{
	/* Standard input, output, error, and the report: reading end first. */
	int pipes[4][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 }, { -1, -1 } };
	int number, ends[3];

	for (number = 0; number < 4; number++)
		if (pipe2(pipes[number], O_CLOEXEC) < 0)
			goto fail;
	ends[0] = pipes[0][0];
	ends[1] = pipes[1][1];
	ends[2] = pipes[2][1];
	command->pid = fork();
	if (command->pid < 0)
		goto fail;
	if (command->pid == 0)
		become(argv, environment, folder, mask, ends, pipes[3][1]);
	command->in = pipes[0][1];
	command->out[0] = pipes[1][0];
	command->out[1] = pipes[2][0];
	command->report = pipes[3][0];
	for (number = 0; number < 3; number++)
		close(ends[number]);
	close(pipes[3][1]);
	set_nonblocking(command->in);
	set_nonblocking(command->out[0]);
	set_nonblocking(command->out[1]);
	return;
fail:
	command->failure.error = (uint32_t)errno;
	command->pid = 0;
	command->exited = 1;
	for (number = 0; number < 4; number++) {
		close_fd(&pipes[number][0]);
		close_fd(&pipes[number][1]);
	}
}

static void start_command(uint16_t number, const unsigned char *data, size_t length)
{
	static char *words[FRAME_MAX + 2];
	const char *text, *folder = NULL;
	size_t argc, envc, found = 0;
	struct command *command;
	struct run run;

	if (length <= sizeof(run) || data[length - 1] != 0)
		die("a command without words");
	memcpy(&run, data, sizeof(run));
	argc = le16toh(run.argc);
	envc = le16toh(run.envc);
	/* words: the arguments, NULL, the environment, NULL. */
	for (text = (const char *)data + sizeof(run);
	     text < (const char *)data + length; text += strlen(text) + 1) {
		if (!folder) {
			folder = text;
			continue;
		}
		if (found == argc)
			words[found++] = NULL;
		if (found > argc + envc)
			die("a command with more words than it says");
		words[found++] = (char *)text;
	}
	if (found == argc)
		words[found++] = NULL;
	if (argc == 0 || found != argc + 1 + envc)
		die("a command with fewer words than it says");
	words[found] = NULL;
	command = new_command(number);
	if (!command)
		die("the host runs more commands than there is room for");
	spawn(command, words, words + argc + 1, folder, le16toh(run.umask) & 07777);
}

#endif
