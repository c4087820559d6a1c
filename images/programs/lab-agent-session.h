/* SPDX-License-Identifier: Apache-2.0 */
/* A session: its name, how it begins, and the HELLO that tells the host. */
#ifndef LAB_AGENT_SESSION_H
#define LAB_AGENT_SESSION_H

#include "lab-agent-clock.h"
#include "lab-agent-commands.h"
#include "lab-agent-frames.h"
#include "lab-agent-identity.h"
#include "lab-agent-output.h"
#include <endian.h>
#include <stdint.h>
#include <unistd.h>

static struct session session;
static int synced; /* START has named it */
static int greet; /* HELLO is still to be sent */

/* Begin a session: commands of the one before end unheard. */
static void start_session(void)
{
	struct command *command;

	kill_all();
	for (command = commands; command < commands + COMMANDS; command++)
		command->forgotten = 1;
	session.nanoseconds = htole64(clock_ns());
	session.pid = htole32((uint32_t)getpid());
	session.count = htole32(le32toh(session.count) + 1);
	synced = 0;
	greet = 1;
	answer_count = 0;
}

static void say_hello(void)
{
	struct hello hello = {
		.magic = { 'K', 'L', 'A', 'B' },
		.version = htole16(VERSION),
		.commands = htole16(COMMANDS),
		.session = session,
	};

	if (say(HELLO, 0, &hello, sizeof(hello)))
		greet = 0;
}

#endif
