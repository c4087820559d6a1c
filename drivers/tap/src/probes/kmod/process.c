// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is said of processes: of the one that an event is about, and, from the
 * scheduler's tracepoints, of those that begin, fork and end.
 */
#include <linux/binfmts.h>
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/ipc_namespace.h>
#include <linux/ktime.h>
#include <linux/nsproxy.h>
#include <linux/pid_namespace.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/timekeeping.h>
#include <linux/user_namespace.h>
#include <linux/utsname.h>
#include <linux/version.h>
#include <net/net_namespace.h>

#include "tap.h"

/* The kernel keeps struct mnt_namespace to itself: this is its beginning. */
struct tap_mnt_namespace {
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 11, 0)
	atomic_t count;
#endif
	struct ns_common ns;
};

bool tap_is_reader(pid_t reader)
{
	return task_tgid_nr(current) == reader;
}

/* What every event says of the task that it is about: the current one. */
void tap_describe(struct tap_event *event, u8 kind)
{
	event->kind = kind;
	event->ts = ktime_get_boottime_ns();
	event->tid = task_pid_nr(current);
	event->pid = task_tgid_nr(current);
	rcu_read_lock();
	event->ppid = task_tgid_nr(rcu_dereference(current->real_parent));
	rcu_read_unlock();
	event->uid = from_kuid(&init_user_ns, current_uid());
	event->gid = from_kgid(&init_user_ns, current_gid());
	memcpy(event->comm, current->comm, sizeof(event->comm));
}

/* The arguments as the kernel copied them: they lie where the program begins. */
void tap_put_program_args(struct tap_slot *slot)
{
	struct mm_struct *mm = current->mm;
	unsigned long first, last;

	if (!mm)
		return;
	first = READ_ONCE(mm->arg_start);
	last = READ_ONCE(mm->arg_end);
	if (last > first)
		tap_put_bytes(slot, TAP_OF_TASK, TAP_ABOUT_ARGS, first, last - first,
			      TAP_STRING_MAX);
}

static void put_namespaces(u32 *ns, const struct task_struct *task, const struct cred *cred)
{
	const struct nsproxy *proxy = task->nsproxy;

	if (proxy) {
		ns[0] = ((const struct tap_mnt_namespace *)proxy->mnt_ns)->ns.inum;
		ns[1] = proxy->pid_ns_for_children->ns.inum;
		ns[2] = proxy->net_ns->ns.inum;
		ns[3] = proxy->uts_ns->ns.inum;
#ifdef CONFIG_IPC_NS
		ns[4] = proxy->ipc_ns->ns.inum;
#endif
		ns[5] = proxy->cgroup_ns->ns.inum;
	}
	ns[6] = cred->user_ns->ns.inum;
}

/* Credentials, cgroup and namespaces of the current task or of its new child. */
static void fill_process(struct tap_process *process, struct task_struct *task)
{
	const struct cred *cred;

	memset(process, 0, sizeof(*process));
	process->tid = task_pid_nr(task);
	process->pid = task_tgid_nr(task);
	rcu_read_lock();
	cred = __task_cred(task);
	process->uid = from_kuid(&init_user_ns, cred->uid);
	process->euid = from_kuid(&init_user_ns, cred->euid);
	process->gid = from_kgid(&init_user_ns, cred->gid);
	process->egid = from_kgid(&init_user_ns, cred->egid);
	BUILD_BUG_ON(sizeof(cred->cap_effective) != sizeof(process->caps));
	memcpy(&process->caps, &cred->cap_effective, sizeof(process->caps));
	process->cgroup = cgroup_id(rcu_dereference(task->cgroups)->dfl_cgrp);
	put_namespaces(process->ns, task, cred);
	memcpy(process->parent, rcu_dereference(task->real_parent)->comm,
	       sizeof(process->parent));
	rcu_read_unlock();
}

void tap_put_process(struct tap_slot *slot)
{
	struct tap_field *field;

	field = tap_field_open(slot, TAP_OF_TASK, TAP_ABOUT_PROCESS, sizeof(struct tap_process));
	if (!field)
		return;
	fill_process((struct tap_process *)(field + 1), current);
	tap_field_close(slot, field, sizeof(struct tap_process), 0);
}

void tap_record_exec(pid_t reader, const struct linux_binprm *bprm)
{
	struct tap_slot *slot;

	if (tap_is_reader(reader))
		return;
	slot = tap_slot_take(NULL);
	if (!slot) {
		tap_record_task(reader, TAP_EXEC, current);
		return;
	}
	tap_describe(&slot->event, TAP_EXEC);
	tap_put_process(slot);
	tap_put_kernel_string(slot, TAP_OF_TASK, TAP_ABOUT_FILE, bprm->filename);
	tap_put_program_args(slot);
	tap_send(&slot->event, sizeof(slot->event) + slot->used);
	tap_slot_drop(slot);
}

/* A fork or an exit: everything about it fits on the stack. */
void tap_record_task(pid_t reader, u8 kind, struct task_struct *about)
{
	struct {
		struct tap_event event;
		struct tap_field field;
		struct tap_process process;
	} all = {};
	struct tap_slot *slot;

	if (!tap_is_reader(reader)) {
		tap_describe(&all.event, kind);
		all.field.len = sizeof(all.process);
		all.field.from = TAP_OF_TASK;
		all.field.arg = TAP_ABOUT_PROCESS;
		fill_process(&all.process, about);
		if (kind == TAP_EXIT)
			all.process.status = about->exit_code;
		tap_send(&all.event, sizeof(all));
	}
	if (kind != TAP_EXIT)
		return;
	slot = tap_slot_find(current);
	if (slot)
		tap_slot_drop(slot);
}
