/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TAP_PERF_H
#define TAP_PERF_H

#include "reader.h"

struct perf;

/*
 * Buffers for the events that a probe sends to `map`, one for each CPU that is
 * online, `counters` being what the probe counts of each; NULL with errno set.
 */
struct perf *perf_new(int map, int cpus, const struct tap_counts *counters);
/* Hand every event that is there to deliver(); -errno on failure. */
int perf_read(struct perf *perf);
/* Wait for more, WAIT_MS at most or until a signal; -errno on failure. */
int perf_wait(struct perf *perf);
void perf_free(struct perf *perf);

#endif
