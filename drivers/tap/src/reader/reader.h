/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TAP_READER_H
#define TAP_READER_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "tap_arch.h"
#include "tap_version.h"
#include "tap_wire.h"

#define MOST_CPUS TAP_CPUS
#define WAIT_MS 100

/* Where events come from; the two of them are in kmod.c and bpf.c. */
struct source {
	int cpus;
	/* Hand every event that is there to deliver(); -errno on failure. */
	int (*read)(struct source *source);
	/* Wait for more, WAIT_MS at most or until a signal. */
	int (*wait)(struct source *source);
	/* What the driver has counted on each CPU, into `counts`. */
	int (*counts)(struct source *source, struct tap_counts *counts);
	/* How often a probe could not run at all. */
	__u64 (*missed)(struct source *source);
	/* Stop the probes: nothing is offered after it. */
	void (*stop)(struct source *source);
	void (*close)(struct source *source);
};

struct source *kmod_open(const char *device);
struct source *bpf_open_object(const char *path);

/* main.c: count one event and print it. False when it is malformed. */
bool deliver(const void *data, size_t size);
/* main.c: whether a reader of this version can read such a driver; says why not. */
bool version_fits(const struct tap_version *driver);

/* tracefs.c: make tracefs visible to this process; -errno when there is none. */
int tracefs_demand(void);

/* print.c */
void print_event(const struct tap_event *event, const __u8 *fields, size_t size);

#endif
