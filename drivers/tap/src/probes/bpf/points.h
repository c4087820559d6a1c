/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * perf's tracepoints, for kernels from 7.0 on. There a program on a raw or typed
 * tracepoint can be preempted, and is left out for other tasks until it goes on;
 * one that perf or a kprobe calls cannot.
 */
#ifndef TAP_POINTS_H
#define TAP_POINTS_H

#include "process.h"

#define OF_USER_WORKER 0x4000	/* PF_USER_WORKER */

/* What perf gives instead of a tracepoint's arguments; it has no registers. */
struct tap_point {
	__u64 common;
	union {
		struct {
			__s64 nr;
			__s64 result;	/* at exit */
		};
		__u32 filename;	/* its place from here, and its length */
	};
};

/* The current call's registers. */
static __always_inline struct pt_regs *tap_registers(void)
{
	return bpf_task_pt_regs(bpf_get_current_task_btf());
}

static __always_inline const char *tap_filename(struct tap_point *ctx)
{
	return (const char *)ctx + (ctx->filename & 0xffff);
}

/*
 * perf does not say which task was made: so this is from where it is woken for
 * the first time. Workers of the kernel's (io_uring, vhost) are, and are no forks.
 */
static __always_inline void tap_new_task(void *ctx, struct task_struct *child)
{
	unsigned int flags = 0;

	PEEK(flags, &child->flags);
	if (!(flags & OF_USER_WORKER))
		tap_task(ctx, TAP_FORK, child);
}

#endif
