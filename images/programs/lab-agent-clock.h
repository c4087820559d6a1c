/* SPDX-License-Identifier: Apache-2.0 */
/* The clock that nobody sets: it times what lingers, and names sessions. */
#ifndef LAB_AGENT_CLOCK_H
#define LAB_AGENT_CLOCK_H

#include "lab-agent-commands.h"
#include <stdint.h>
#include <time.h>

static uint64_t clock_ns(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
		die_of_errno("clock_gettime");
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int64_t clock_ms(void)
{
	return (int64_t)(clock_ns() / 1000000);
}

#endif
