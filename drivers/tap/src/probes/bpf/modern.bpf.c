// SPDX-License-Identifier: GPL-2.0-only
/*
 * The modern probe: one object for every kernel of an architecture. It hangs
 * on the kernel's tracepoints, finds the kernel's structures by BTF, and
 * writes to one ring for all CPUs, in which order is the order of events.
 */
#include "tap_arch.h"
#include "co_re.h"
#include "helpers.h"

#define RING_SIZE (4 * 1024 * 1024)
#define TAP_OUTPUT(ctx, data, size) bpf_ringbuf_output(&tap_ring, data, size, 0)
#define tap_ns(found, member) \
	(&((typeof(((struct nsproxy *)0)->member))(found))->ns.inum)

struct {
	MAP_UINT(type, BPF_MAP_TYPE_RINGBUF);
	MAP_UINT(max_entries, RING_SIZE);
} tap_ring SEC(".maps");

#include "calls.h"
#include "hooks.h"
#include "points.h"

static __always_inline int tap_sys_enter(void *ctx, struct pt_regs *regs, long nr)
{
	struct tap_slot *slot = tap_entry(ctx, regs, nr);
	const struct tap_call *call;

	if (!slot)
		return 0;
	call = tap_row(slot->row);
	tap_memory(slot, call, TAP_AT_ENTRY);
	if (call->flags & TAP_CALL_ARGV)
		tap_argv_of(slot, call, TAP_AT_ENTRY);
	return 0;
}

static __always_inline int tap_sys_exit(void *ctx, struct pt_regs *regs, long result)
{
	struct tap_slot *slot = tap_find();
	const struct tap_call *call;

	if (!slot) {
		tap_exit_plain(ctx, regs, result);
		return 0;
	}
	tap_exit_begin(slot, result);
	call = tap_row(slot->row);
	if (tap_has_old_memory(slot, call)) {
		tap_memory(slot, call, TAP_AT_EXIT);
		if (call->flags & TAP_CALL_ARGV)
			tap_argv_of(slot, call, TAP_AT_EXIT);
	}
	tap_exit_end(ctx, slot, call);
	return 0;
}

static __always_inline int tap_sched_exit(void *ctx)
{
	tap_task(ctx, TAP_EXIT, tap_current());
	tap_drop_slot();
	return 0;
}

/* The kernel's typed tracepoints, which the reader takes before 7.0. */
SEC("tp_btf/sys_enter")
int tap_typed_sys_enter(__u64 *ctx)
{
	return tap_sys_enter(ctx, (struct pt_regs *)ctx[0], ctx[1]);
}

SEC("tp_btf/sys_exit")
int tap_typed_sys_exit(__u64 *ctx)
{
	return tap_sys_exit(ctx, (struct pt_regs *)ctx[0], ctx[1]);
}

SEC("tp_btf/sched_process_exec")
int tap_typed_exec(__u64 *ctx)
{
	const char *name = 0;

	PEEK(name, &((struct linux_binprm *)ctx[2])->filename);
	tap_exec(ctx, name);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int tap_typed_fork(__u64 *ctx)
{
	tap_task(ctx, TAP_FORK, (struct task_struct *)ctx[1]);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int tap_typed_exit(__u64 *ctx)
{
	return tap_sched_exit(ctx);
}

/* The same tracepoints as perf's, which the reader takes from 7.0 on. */
SEC("tp/raw_syscalls/sys_enter")
int tap_perf_sys_enter(struct tap_point *ctx)
{
	return tap_sys_enter(ctx, tap_registers(), ctx->nr);
}

SEC("tp/raw_syscalls/sys_exit")
int tap_perf_sys_exit(struct tap_point *ctx)
{
	return tap_sys_exit(ctx, tap_registers(), ctx->result);
}

SEC("tp/sched/sched_process_exec")
int tap_perf_exec(struct tap_point *ctx)
{
	tap_exec(ctx, tap_filename(ctx));
	return 0;
}

SEC("kprobe/wake_up_new_task")
int tap_perf_fork(struct pt_regs *ctx)
{
	unsigned long child = 0;

	PEEK(child, &HOOK_ARGUMENT_1(ctx));
	tap_new_task(ctx, (struct task_struct *)child);
	return 0;
}

SEC("tp/sched/sched_process_exit")
int tap_perf_exit(struct tap_point *ctx)
{
	return tap_sched_exit(ctx);
}

/*
 * Where the kernel acts on a name: the reader attaches to those of these that
 * the kernel has, by trampoline (fentry) or, where it has none, by kprobe.
 */
#define NAMES_AT(function, place)						\
SEC("fentry/" #function)						\
int tap_fentry_##function(__u64 *ctx)					\
{									\
	tap_kernel_name((struct filename *)ctx[1], place);		\
	return 0;							\
}									\
SEC("kprobe/" #function)						\
int tap_kprobe_##function(struct pt_regs *ctx)				\
{									\
	unsigned long name = 0;						\
	PEEK(name, &HOOK_ARGUMENT_2(ctx));				\
	tap_kernel_name((struct filename *)name, place);		\
	return 0;							\
}

NAMES_AT(do_filp_open, AT_OPEN)
NAMES_AT(do_file_open, AT_OPEN)
NAMES_AT(filename_lookup, AT_LOOKUP)
NAMES_AT(filename_parentat, AT_PARENT)
NAMES_AT(__filename_parentat, AT_PARENT)

/* Strings of the kernel's; `argument` counts from 1. */
#define TEXT_AT(function, argument, place)					\
SEC("fentry/" #function)						\
int tap_fentry_##function(__u64 *ctx)					\
{									\
	tap_kernel_text((const char *)ctx[argument - 1], place);	\
	return 0;							\
}									\
SEC("kprobe/" #function)						\
int tap_kprobe_##function(struct pt_regs *ctx)				\
{									\
	unsigned long text = 0;						\
	PEEK(text, &HOOK_ARGUMENT_##argument(ctx));			\
	tap_kernel_text((const char *)text, place);			\
	return 0;							\
}

TEXT_AT(path_mount, 1, AT_MOUNT)
TEXT_AT(security_inode_symlink, 3, AT_SYMLINK)

#define ADDRESS_AT(function)						\
SEC("fentry/" #function)						\
int tap_fentry_##function(__u64 *ctx)					\
{									\
	tap_kernel_address((void *)ctx[1], ctx[2]);			\
	return 0;							\
}									\
SEC("kprobe/" #function)						\
int tap_kprobe_##function(struct pt_regs *ctx)				\
{									\
	unsigned long address = 0, len = 0;				\
	PEEK(address, &HOOK_ARGUMENT_2(ctx));				\
	PEEK(len, &HOOK_ARGUMENT_3(ctx));				\
	tap_kernel_address((void *)address, len);			\
	return 0;							\
}

ADDRESS_AT(security_socket_connect)
ADDRESS_AT(security_socket_bind)

SEC("fentry/security_socket_sendmsg")
int tap_fentry_sendmsg(__u64 *ctx)
{
	tap_kernel_message((struct msghdr *)ctx[1]);
	return 0;
}

SEC("kprobe/security_socket_sendmsg")
int tap_kprobe_sendmsg(struct pt_regs *ctx)
{
	unsigned long message = 0;

	PEEK(message, &HOOK_ARGUMENT_2(ctx));
	tap_kernel_message((struct msghdr *)message);
	return 0;
}

char tap_license[] SEC("license") = "GPL";
