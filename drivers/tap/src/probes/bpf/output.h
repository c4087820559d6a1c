/* SPDX-License-Identifier: GPL-2.0-only */
/* What every event says, and where it goes: who includes this has brought TAP_OUTPUT(ctx, data, size). */
#ifndef TAP_OUTPUT_H
#define TAP_OUTPUT_H

#include "registers.h"

/* Fill in what every event says of the task that it is about: the current one. */
static __always_inline void tap_describe(struct tap_event *event, __u8 kind)
{
	struct task_struct *task = tap_current(), *parent = 0;
	__u64 ids = bpf_get_current_pid_tgid();
	__u64 owner = bpf_get_current_uid_gid();
	__u32 ppid = 0;

	PEEK(parent, &task->real_parent);
	PEEK(ppid, &parent->tgid);
	event->kind = kind;
	event->ts = bpf_ktime_get_boot_ns();
	event->tid = (__u32)ids;
	event->pid = ids >> 32;
	event->ppid = ppid;
	event->uid = (__u32)owner;
	event->gid = owner >> 32;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
}

/* Send an event of `size` bytes, and count it whether there is room or not. */
static __always_inline void tap_send(void *ctx, struct tap_event *event,
				     __u64 size)
{
	__u32 cpu = tap_cpu();
	struct tap_counts *counts = &tap_counters[cpu & (TAP_CPUS - 1)];

	event->len = size;
	event->cpu = cpu;
	__sync_fetch_and_add(&counts->offered, 1);
	if (TAP_OUTPUT(ctx, event, size) == 0)
		return;
#ifdef TAP_WRONG_SILENT_DROP
	__sync_fetch_and_add(&counts->offered, -1);
#else
	__sync_fetch_and_add(&counts->dropped, 1);
#endif
}

#endif
