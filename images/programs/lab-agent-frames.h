/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent of lab-agent.c and its host say to each other, and the rules of
 * both; lab/machines/frames.py is the host's side.
 *
 * Both directions carry frames, all numbers little-endian: a header (length of
 * what follows it, kind, number of the command) and at most 32760 bytes. The
 * agent begins with HELLO, which names its session, and then drops whatever
 * comes in until START names that session back: what was meant for an agent
 * before it, which was killed, is never taken for its own. Its frames are
 * written whole, because a port takes up to 32 KiB in one write or nothing.
 *
 * Nobody waits for anybody: a command's input is sent within a window that the
 * agent opens again (FED) as the command reads, and its output, headers and
 * all, within one that the host opens again (TAKEN). So the agent always reads,
 * and what it holds is bounded: COMMANDS x STDIN_WINDOW and two frames.
 *
 * A command has ended when its process has, and what lay in its pipes then has
 * been sent, and its pipes are closed; what a process that it left behind
 * keeps open delays the end by LINGER_MS, and what that prints later is lost.
 *
 * GREET starts a session anew: for a host that meets an agent which said its
 * HELLO to another (a machine restored from a saved one). Such a machine has
 * the clock, the random state and the names of the one that was saved; CLOCK
 * and the kinds behind it give it its own. Each is answered by DONE.
 */
#ifndef LAB_AGENT_FRAMES_H
#define LAB_AGENT_FRAMES_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdint.h>

#define VERSION 2
#define FRAME_MAX 32768
#define COMMANDS 32
#define STDIN_WINDOW 65536
#define OUTPUT_WINDOW 262144
#define LINGER_MS 200

enum kind {
	/* From the host. */
	START = 1,	/* the session, from HELLO */
	RUN,		/* struct run, then strings: cwd, argv, environment */
	STDIN,		/* bytes */
	STDIN_END,
	KILL,		/* the command and its process group, its output unread */
	TAKEN,		/* u32: bytes of output, and their headers, that were taken */
	GREET,
	CLOCK = 16,	/* u64: nanoseconds since the epoch */
	ENTROPY,	/* bytes, all of them random */
	HOST_NAME,	/* bytes, also for /etc/hostname */
	MACHINE_ID,	/* bytes, for /etc/machine-id */
	/* From the guest. */
	HELLO = 64,	/* struct hello */
	STARTED,	/* u32: pid */
	FAILED,		/* u32 errno, u32: 1 when the program itself would not run */
	STDOUT,		/* bytes */
	STDERR,		/* bytes */
	FED,		/* u32: bytes of input that the command has taken */
	EXIT,		/* u32: wait status */
	DONE,		/* struct answer */
};

struct header {
	uint32_t length;
	uint16_t kind;
	uint16_t number;
};

struct session {
	uint64_t nanoseconds;
	uint32_t pid;
	uint32_t count;
};

struct hello {
	char magic[4];
	uint16_t version;
	uint16_t commands;
	struct session session;
};

struct run {
	uint16_t argc;
	uint16_t envc;
	uint16_t umask;
	uint16_t zero;
};

struct failure {
	uint32_t error;
	uint32_t program;
};

struct answer {
	uint32_t kind;		/* of what was asked */
	uint32_t error;		/* errno, 0 when it was done */
};

#endif
