// SPDX-License-Identifier: GPL-2.0-only
/*
 * perf's tracepoints go by numbers, which only tracefs tells. Where nobody has
 * mounted it the reader does, for itself alone: in a mount namespace of its own,
 * with which it is gone again.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "reader.h"

#define TRACEFS "/sys/kernel/tracing"
#define IN_DEBUGFS "/sys/kernel/debug/tracing"

int tracefs_demand(void)
{
	if (!access(TRACEFS "/events", F_OK) || !access(IN_DEBUGFS "/events", F_OK))
		return 0;
	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tracefs", TRACEFS, "tracefs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
		return -errno;
	return 0;
}
