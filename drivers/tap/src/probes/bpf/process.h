/* SPDX-License-Identifier: GPL-2.0-only */
/* What is said of processes, and the events of the scheduler's tracepoints. */
#ifndef TAP_PROCESS_H
#define TAP_PROCESS_H

#include "output.h"
#include "fields.h"

/* The arguments as the kernel copied them: they lie where the program begins. */
static __always_inline void tap_program_args(struct tap_slot *slot)
{
	unsigned long first = 0, last = 0;
	struct mm_struct *mm = 0;
	struct tap_field *field;
	__u8 state = 0;
	__u64 len;

	PEEK(mm, &tap_current()->mm);
	PEEK(first, &mm->arg_start);
	PEEK(last, &mm->arg_end);
	if (!first || last <= first)
		return;
	field = tap_field(slot, TAP_OF_TASK, TAP_ABOUT_ARGS);
	if (!field)
		return;
	len = last - first;
	if (len > TAP_STRING_MAX) {
		len = TAP_STRING_MAX;
		state = TAP_CUT;
	}
	OPAQUE(len);
	len &= 2 * TAP_STRING_MAX - 1;
	if (bpf_probe_read_user(field + 1, len, (void *)first))
		tap_close(slot, field, 0, TAP_FAULT);
	else
		tap_close(slot, field, len, state);
}

#define PEEK_NS(into, proxy, member)			\
	do {						\
		void *found = 0;			\
		__u32 inum = 0;				\
		PEEK(found, &(proxy)->member);		\
		PEEK(inum, tap_ns(found, member));	\
		into = inum;				\
	} while (0)

/* Credentials, cgroup and namespaces of a task. */
static __always_inline void tap_process(struct tap_process *process,
					struct task_struct *task)
{
	struct task_struct *parent = 0;
	const struct cred *cred = 0;
	struct nsproxy *proxy = 0;
	struct css_set *set = 0;
	struct cgroup *group = 0;
	struct kernfs_node *node = 0;
	struct user_namespace *user = 0;

	PEEK(process->tid, &task->pid);
	PEEK(process->pid, &task->tgid);
	PEEK(parent, &task->real_parent);
	bpf_probe_read_kernel(process->parent, sizeof(process->parent),
			      &parent->comm);
	PEEK(cred, &task->cred);
	PEEK(process->uid, &cred->uid.val);
	PEEK(process->euid, &cred->euid.val);
	PEEK(process->gid, &cred->gid.val);
	PEEK(process->egid, &cred->egid.val);
	PEEK(process->caps, &cred->cap_effective);
	PEEK(set, &task->cgroups);
	PEEK(group, &set->dfl_cgrp);
	PEEK(node, &group->kn);
	PEEK(process->cgroup, &node->id);
	PEEK(proxy, &task->nsproxy);
	PEEK_NS(process->ns[0], proxy, mnt_ns);
	PEEK_NS(process->ns[1], proxy, pid_ns_for_children);
	PEEK_NS(process->ns[2], proxy, net_ns);
	PEEK_NS(process->ns[3], proxy, uts_ns);
	PEEK_NS(process->ns[4], proxy, ipc_ns);
	PEEK_NS(process->ns[5], proxy, cgroup_ns);
	PEEK(user, &cred->user_ns);
	PEEK(process->ns[6], &user->ns.inum);
	process->status = 0;
}

static __always_inline void tap_process_field(struct tap_slot *slot)
{
	struct tap_field *field;

	field = tap_field(slot, TAP_OF_TASK, TAP_ABOUT_PROCESS);
	if (!field)
		return;
	tap_process((struct tap_process *)(field + 1), tap_current());
	tap_close(slot, field, sizeof(struct tap_process), 0);
}

/* A fork or an exit: everything about it fits on the stack. */
struct tap_task_event {
	struct tap_event event;
	struct tap_field field;
	struct tap_process process;
};

static __always_inline void tap_task(void *ctx, __u8 kind,
				     struct task_struct *about)
{
	struct tap_task_event all = {};
	__s32 status = 0;

	/* It may lie where one lay whose end was not seen. */
	if (kind == TAP_FORK)
		tap_drop_slot_of((__u64)about);
	if (tap_is_reader())
		return;
	tap_describe(&all.event, kind);
	all.field.len = sizeof(all.process);
	all.field.from = TAP_OF_TASK;
	all.field.arg = TAP_ABOUT_PROCESS;
	tap_process(&all.process, about);
	if (kind == TAP_EXIT) {
		PEEK(status, &about->exit_code);
		all.process.status = status;
	}
	tap_send(ctx, &all.event, sizeof(all));
}

static __always_inline void tap_exec(void *ctx, const char *name)
{
	struct tap_slot *slot;
	__u32 number = 0, used;

	if (tap_is_reader())
		return;
	slot = tap_borrow(&number);
	if (!slot) {
		tap_task(ctx, TAP_EXEC, tap_current());
		return;
	}
	for (int i = 0; i < TAP_ARGUMENTS; i++)
		slot->event.args[i] = 0;
	tap_describe(&slot->event, TAP_EXEC);
	tap_process_field(slot);
	tap_kernel_string(slot, TAP_OF_TASK, TAP_ABOUT_FILE, name);
	tap_program_args(slot);
	used = slot->used;
	OPAQUE(used);
	used &= TAP_FIELDS_MAX - 1;
	tap_send(ctx, &slot->event, sizeof(slot->event) + used);
	bpf_map_push_elem(&tap_free, &number, BPF_ANY);
}

#endif
