// SPDX-License-Identifier: GPL-2.0-only
/*
 * The legacy probe: an object for one kernel, compiled with that kernel's
 * headers, so that the places of its structures' members are fixed in it. It
 * hangs on raw tracepoints (perf's from 7.0 on) and kprobes, writes to one buffer
 * for each CPU, and is cut into programs that call each other as tails, each of
 * which must be small enough for the verifier by itself.
 */
/* The headers are configured for gcc: what only gcc can do is taken out of it. */
#undef CONFIG_USE_X86_SEG_SUPPORT
#undef CONFIG_CC_HAS_NAMED_AS

/* What clang has to say about the kernel's headers is the kernel's business. */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Weverything"
#include <linux/binfmts.h>
#include <linux/bpf.h>
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/ipc_namespace.h>
#include <linux/kernfs.h>
#include <linux/mm_types.h>
#include <linux/nsproxy.h>
#include <linux/pid_namespace.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/socket.h>
#include <linux/types.h>
#include <linux/user_namespace.h>
#include <linux/utsname.h>
#include <linux/version.h>
#include <net/net_namespace.h>
#pragma clang diagnostic pop

#include "tap_arch.h"
#include "helpers.h"

#define TAP_OUTPUT(ctx, data, size) \
	bpf_perf_event_output(ctx, &tap_ring, BPF_F_CURRENT_CPU, data, size)

/* The kernel keeps struct mnt_namespace to itself: this is its beginning. */
struct tap_mnt_namespace {
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 11, 0)
	atomic_t count;
#endif
	struct ns_common ns;
};

#define tap_ns_mnt_ns(found) (&((struct tap_mnt_namespace *)(found))->ns.inum)
#define tap_ns_pid_ns_for_children(found) \
	(&((struct pid_namespace *)(found))->ns.inum)
#define tap_ns_net_ns(found) (&((struct net *)(found))->ns.inum)
#define tap_ns_uts_ns(found) (&((struct uts_namespace *)(found))->ns.inum)
#define tap_ns_ipc_ns(found) (&((struct ipc_namespace *)(found))->ns.inum)
#define tap_ns_cgroup_ns(found) (&((struct cgroup_namespace *)(found))->ns.inum)
#define tap_ns(found, member) tap_ns_##member(found)

struct {
	MAP_UINT(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	MAP_UINT(key_size, sizeof(__u32));
	MAP_UINT(value_size, sizeof(__u32));
} tap_ring SEC(".maps");

/* The programs below whose names end in a number, at that number. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_PROG_ARRAY);
	MAP_UINT(max_entries, 4);
	MAP_UINT(key_size, sizeof(__u32));
	MAP_UINT(value_size, sizeof(__u32));
} tap_tails SEC(".maps");

enum tap_tail {
	TAIL_ENTRY_ARGV = 0,
	TAIL_EXIT_MEMORY = 1,
	TAIL_EXIT_ARGV = 2,
	TAIL_EXIT_END = 3,
};

#include "calls.h"
#include "hooks.h"
#include "points.h"

#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 0, 0)
struct tap_raw {
	__u64 args[3];
};

#define CALL_POINT(name) SEC("raw_tracepoint/" #name)
#define TASK_POINT(name) SEC("raw_tracepoint/" #name)
#define POINT struct tap_raw
#define REGISTERS(ctx) ((struct pt_regs *)(ctx)->args[0])
#define NUMBER(ctx) ((ctx)->args[1])
#define RESULT(ctx) ((ctx)->args[1])
#define FILENAME(ctx) tap_raw_filename((struct linux_binprm *)(ctx)->args[2])

static __always_inline const char *tap_raw_filename(const struct linux_binprm *bprm)
{
	const char *name = 0;

	PEEK(name, &bprm->filename);
	return name;
}
#else
#define CALL_POINT(name) SEC("tp/raw_syscalls/" #name)
#define TASK_POINT(name) SEC("tp/sched/" #name)
#define POINT struct tap_point
#define REGISTERS(ctx) tap_registers()
#define NUMBER(ctx) ((ctx)->nr)
#define RESULT(ctx) ((ctx)->result)
#define FILENAME(ctx) tap_filename(ctx)
#endif

CALL_POINT(sys_enter)
int tap_sys_enter(POINT *ctx)
{
	struct tap_slot *slot;
	const struct tap_call *call;

	slot = tap_entry(ctx, REGISTERS(ctx), NUMBER(ctx));
	if (!slot)
		return 0;
	call = tap_row(slot->row);
	tap_memory(slot, call, TAP_AT_ENTRY);
	if (call->flags & TAP_CALL_ARGV)
		bpf_tail_call(ctx, &tap_tails, TAIL_ENTRY_ARGV);
	return 0;
}

CALL_POINT(sys_enter)
int tap_tail_0(POINT *ctx)
{
	struct tap_slot *slot = tap_find();

	if (slot)
		tap_argv_of(slot, tap_row(slot->row), TAP_AT_ENTRY);
	return 0;
}

CALL_POINT(sys_exit)
int tap_sys_exit(POINT *ctx)
{
	struct tap_slot *slot = tap_find();

	if (!slot) {
		tap_exit_plain(ctx, REGISTERS(ctx), RESULT(ctx));
		return 0;
	}
	tap_exit_begin(slot, RESULT(ctx));
	if (tap_has_old_memory(slot, tap_row(slot->row)))
		bpf_tail_call(ctx, &tap_tails, TAIL_EXIT_MEMORY);
	else
		bpf_tail_call(ctx, &tap_tails, TAIL_EXIT_END);
	return 0;
}

CALL_POINT(sys_exit)
int tap_tail_1(POINT *ctx)
{
	struct tap_slot *slot = tap_find();
	const struct tap_call *call;

	if (!slot)
		return 0;
	call = tap_row(slot->row);
	tap_memory(slot, call, TAP_AT_EXIT);
	if (call->flags & TAP_CALL_ARGV)
		bpf_tail_call(ctx, &tap_tails, TAIL_EXIT_ARGV);
	bpf_tail_call(ctx, &tap_tails, TAIL_EXIT_END);
	return 0;
}

CALL_POINT(sys_exit)
int tap_tail_2(POINT *ctx)
{
	struct tap_slot *slot = tap_find();

	if (slot)
		tap_argv_of(slot, tap_row(slot->row), TAP_AT_EXIT);
	bpf_tail_call(ctx, &tap_tails, TAIL_EXIT_END);
	return 0;
}

CALL_POINT(sys_exit)
int tap_tail_3(POINT *ctx)
{
	struct tap_slot *slot = tap_find();

	if (slot)
		tap_exit_end(ctx, slot, tap_row(slot->row));
	return 0;
}

TASK_POINT(sched_process_exec)
int tap_sched_exec(POINT *ctx)
{
	tap_exec(ctx, FILENAME(ctx));
	return 0;
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 0, 0)
SEC("raw_tracepoint/sched_process_fork")
int tap_sched_fork(struct tap_raw *ctx)
{
	tap_task(ctx, TAP_FORK, (struct task_struct *)ctx->args[1]);
	return 0;
}
#else
SEC("kprobe/wake_up_new_task")
int tap_sched_fork(struct pt_regs *ctx)
{
	tap_new_task(ctx, (struct task_struct *)HOOK_ARGUMENT_1(ctx));
	return 0;
}
#endif

TASK_POINT(sched_process_exit)
int tap_sched_exit(POINT *ctx)
{
	tap_task(ctx, TAP_EXIT, tap_current());
	tap_drop_slot();
	return 0;
}

/* Where the kernel acts on a name; the reader takes those that the kernel has. */
#define NAMES_AT(function, place)						\
SEC("kprobe/" #function)						\
int tap_kprobe_##function(struct pt_regs *ctx)				\
{									\
	unsigned long name = HOOK_ARGUMENT_2(ctx);			\
	tap_kernel_name((struct filename *)name, place);		\
	return 0;							\
}

NAMES_AT(do_filp_open, AT_OPEN)
NAMES_AT(do_file_open, AT_OPEN)
NAMES_AT(filename_lookup, AT_LOOKUP)
NAMES_AT(filename_parentat, AT_PARENT)
NAMES_AT(__filename_parentat, AT_PARENT)

/* Strings of the kernel's, of which each function has one. */
#define TEXT_AT(function, argument, place)					\
SEC("kprobe/" #function)						\
int tap_kprobe_##function(struct pt_regs *ctx)				\
{									\
	unsigned long text = HOOK_ARGUMENT_##argument(ctx);		\
	tap_kernel_text((const char *)text, place);			\
	return 0;							\
}

TEXT_AT(path_mount, 1, AT_MOUNT)
TEXT_AT(security_inode_symlink, 3, AT_SYMLINK)

#define ADDRESS_AT(function)						\
SEC("kprobe/" #function)						\
int tap_kprobe_##function(struct pt_regs *ctx)				\
{									\
	unsigned long address = HOOK_ARGUMENT_2(ctx);			\
	tap_kernel_address((void *)address, HOOK_ARGUMENT_3(ctx));	\
	return 0;							\
}

ADDRESS_AT(security_socket_connect)
ADDRESS_AT(security_socket_bind)

SEC("kprobe/security_socket_sendmsg")
int tap_kprobe_sendmsg(struct pt_regs *ctx)
{
	unsigned long message = HOOK_ARGUMENT_2(ctx);

	tap_kernel_message((struct msghdr *)message);
	return 0;
}

char tap_license[] SEC("license") = "GPL";
