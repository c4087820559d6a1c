// SPDX-License-Identifier: GPL-2.0-only
/*
 * From what the tracepoints say to events. User memory is read without
 * faulting pages in: a tracepoint must not sleep (before 6.13 it cannot), and
 * what is not resident is reported as that. What it cannot see at entry, the
 * exit and the kernel's own copy tell.
 */
#include <linux/binfmts.h>
#include <linux/cgroup.h>
#include <linux/compat.h>
#include <linux/cred.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/ipc_namespace.h>
#include <linux/ktime.h>
#include <linux/nsproxy.h>
#include <linux/pid_namespace.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>
#include <linux/utsname.h>
#include <linux/version.h>
#include <net/net_namespace.h>
#include <asm/syscall.h>

#include "tap.h"

#define ARGV_MOST 48
#define VFORK_FLAG 0x4000	/* CLONE_VFORK */

static const struct tap_call native[TAP_NUMBERS] = {
	TAP_NATIVE_CALLS
};

static const struct tap_call compat[TAP_NUMBERS] = {
	TAP_COMPAT_CALLS
};

/* The kernel keeps struct mnt_namespace to itself: this is its beginning. */
struct tap_mnt_namespace {
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 11, 0)
	atomic_t count;
#endif
	struct ns_common ns;
};

static const struct tap_call *call_of(long nr, u8 abi)
{
	/* Number 511 is nobody's: what is beyond the table has no type. */
	unsigned long row = min_t(unsigned long, nr, TAP_NUMBERS - 1);

	return abi & TAP_COMPAT ? &compat[row] : &native[row];
}

static u8 abi_now(void)
{
	return in_compat_syscall() ? TAP_COMPAT : 0;
}

static void arguments(u64 *args, struct pt_regs *regs)
{
	unsigned long found[TAP_ARGUMENTS];
	unsigned int i;

	syscall_get_arguments(current, regs, found);
	for (i = 0; i < TAP_ARGUMENTS; i++)
		args[i] = in_compat_syscall() ? (u32)found[i] : found[i];
}

static bool is_reader(pid_t reader)
{
	return task_tgid_nr(current) == reader;
}

/* What every event says of the task that it is about: the current one. */
static void describe(struct tap_event *event, u8 kind)
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

/* A new field with room for `most` bytes, which are still to come; null: no room. */
static struct tap_field *open_field(struct tap_slot *slot, u8 from, u8 arg, u32 most)
{
	struct tap_field *field = (struct tap_field *)(slot->fields + slot->used);

	/* The same bound as in the BPF probes, whatever is to come. */
	if (slot->used > TAP_FIELDS_MAX - TAP_STRING_MAX - 2 * TAP_ALIGN ||
	    most > TAP_STRING_MAX) {
		slot->event.flags |= TAP_NO_ROOM;
		return NULL;
	}
	memset(field, 0, sizeof(*field));
	field->from = from;
	field->arg = arg;
	return field;
}

static void close_field(struct tap_slot *slot, struct tap_field *field, u32 len, u8 state)
{
	u32 whole = ALIGN(len, TAP_ALIGN);

	field->len = len;
	field->state = state;
	memset((u8 *)(field + 1) + len, 0, whole - len);
	slot->used += sizeof(*field) + whole;
}

/* Read user memory that is there: 0, or -EFAULT. */
static int peek(void *to, const void __user *from, size_t len)
{
	unsigned long left;

	if (!access_ok(from, len))
		return -EFAULT;
	pagefault_disable();
	left = __copy_from_user_inatomic(to, from, len);
	pagefault_enable();
	return left ? -EFAULT : 0;
}

/* The same for a string: its length without the NUL, `most` if there is none. */
static long peek_string(char *to, const char __user *from, long most)
{
	long len;

	pagefault_disable();
	len = strncpy_from_user(to, from, most);
	pagefault_enable();
	return len;
}

/* What a build that is wrong on purpose does when it sees a path of its own. */
static void misbehave(const char *text, long len)
{
#ifdef TAP_WRONG_SLEEP
	if (len >= 10 && !memcmp(text, "/tap-sleep", 10)) {
		preempt_disable();
		msleep(20);
		preempt_enable();
	}
#endif
#ifdef TAP_WRONG_OOPS
	if (len >= 9 && !memcmp(text, "/tap-oops", 9))
		WRITE_ONCE(*(int *)8, 1);
#endif
}

static void put_string(struct tap_slot *slot, u8 from, u8 arg, u64 place)
{
	struct tap_field *field;
	u8 state = 0;
	long len;

	if (!place)
		return;
	field = open_field(slot, from, arg, TAP_STRING_MAX);
	if (!field)
		return;
	len = peek_string((char *)(field + 1), (const char __user *)(unsigned long)place,
			  TAP_STRING_MAX);
	if (len < 0) {
		state = TAP_FAULT;
		len = 0;
	} else if (len == TAP_STRING_MAX) {
		state = TAP_CUT;
		len--;
	}
	if (from == TAP_AT_ENTRY)
		misbehave((const char *)(field + 1), len);
#ifdef TAP_WRONG_PATH_LENGTH
	if (len > 0)
		len--;
#endif
	close_field(slot, field, len, state);
}

static void put_kernel_string(struct tap_slot *slot, u8 from, u8 arg, const char *text)
{
	struct tap_field *field = open_field(slot, from, arg, TAP_STRING_MAX);
	size_t len;

	if (!field)
		return;
	len = strnlen(text, TAP_STRING_MAX - 1);
	memcpy(field + 1, text, len);
	close_field(slot, field, len, 0);
}

static void put_bytes(struct tap_slot *slot, u8 from, u8 arg, u64 place, u64 len, u32 most)
{
	struct tap_field *field;
	u8 state = 0;

	if (!place || !len)
		return;
	field = open_field(slot, from, arg, most);
	if (!field)
		return;
	if (len > most) {
		state = TAP_CUT;
		len = most;
	}
	if (peek(field + 1, (const void __user *)(unsigned long)place, len)) {
		state = TAP_FAULT;
		len = 0;
	}
	close_field(slot, field, len, state);
}

/* The next of a list of strings: its address, 0 at the end, or -EFAULT. */
static int next_string(u64 *text, u64 list, unsigned int i, u8 abi)
{
	u32 narrow = 0;
	int error;

	if (!(abi & TAP_COMPAT))
		return peek(text, (const u64 __user *)(unsigned long)list + i, sizeof(*text));
	error = peek(&narrow, (const u32 __user *)(unsigned long)list + i, sizeof(narrow));
	*text = narrow;
	return error;
}

/* A list of strings, each with its NUL. */
static void put_argv(struct tap_slot *slot, u8 from, u8 arg, u64 list, u8 abi)
{
	struct tap_field *field;
	u8 state = TAP_CUT;
	unsigned int i;
	u32 used = 0;

	if (!list)
		return;
	field = open_field(slot, from, arg, TAP_STRING_MAX);
	if (!field)
		return;
	for (i = 0; i < ARGV_MOST && used < TAP_STRING_MAX; i++) {
		u64 text;
		long len;

		if (next_string(&text, list, i, abi)) {
			state = TAP_FAULT;
			break;
		}
		if (!text) {
			state = 0;
			break;
		}
		len = peek_string((char *)(field + 1) + used,
				  (const char __user *)(unsigned long)text,
				  TAP_STRING_MAX - used);
		if (len < 0) {
			state = TAP_FAULT;
			break;
		}
		used = min_t(u32, used + len + 1, TAP_STRING_MAX);
	}
	close_field(slot, field, used, state);
}

/* The arguments as the kernel copied them: they lie where the program begins. */
static void put_program_args(struct tap_slot *slot)
{
	struct mm_struct *mm = current->mm;
	unsigned long first, last;

	if (!mm)
		return;
	first = READ_ONCE(mm->arg_start);
	last = READ_ONCE(mm->arg_end);
	if (last > first)
		put_bytes(slot, TAP_OF_TASK, TAP_ABOUT_ARGS, first, last - first,
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

static void put_process(struct tap_slot *slot)
{
	struct tap_field *field;

	field = open_field(slot, TAP_OF_TASK, TAP_ABOUT_PROCESS, sizeof(struct tap_process));
	if (!field)
		return;
	fill_process((struct tap_process *)(field + 1), current);
	close_field(slot, field, sizeof(struct tap_process), 0);
}

/* The length of an address that the kernel wrote, from where it wrote it. */
static u32 written_length(u64 place)
{
	u32 len = 0;

	if (peek(&len, (const void __user *)(unsigned long)place, sizeof(len)))
		return 0;
	return len;
}

/* One argument, if it points to memory that is to be read at that time. */
static void put_argument(struct tap_slot *slot, unsigned int i, u8 from)
{
	const struct tap_call *call = slot->call;
	const u64 *args = slot->event.args;
	u64 next = i + 1 < TAP_ARGUMENTS ? args[i + 1] : 0;

	switch (call->how[i]) {
	case TAP_HOW_STRING:
		put_string(slot, from, i, args[i]);
		break;
	case TAP_HOW_ARGV:
		put_argv(slot, from, i, args[i], slot->event.flags);
		break;
	case TAP_HOW_SOCKADDR:
		put_bytes(slot, from, i, args[i], (u32)next, TAP_ADDRESS_MAX);
		break;
	case TAP_HOW_SOCKADDR_OUT:
		if (from == TAP_AT_EXIT && slot->event.result >= 0 && args[i])
			put_bytes(slot, from, i, args[i], written_length(next),
				  TAP_ADDRESS_MAX);
		break;
	case TAP_HOW_SIZED:
		put_bytes(slot, from, i, args[i], next, call->size[i]);
		break;
	case TAP_HOW_FIXED:
		put_bytes(slot, from, i, args[i], call->size[i], call->size[i]);
		break;
	}
}

static void put_memory(struct tap_slot *slot, u8 from)
{
	unsigned int i;

	for (i = 0; i < TAP_ARGUMENTS; i++)
		put_argument(slot, i, from);
}

/* Whether a build that is wrong on purpose leaves this call out. */
static bool misses(const struct tap_call *call, u8 abi, u64 first)
{
#ifdef TAP_WRONG_NO_COMPAT
	if (abi & TAP_COMPAT)
		return true;
#endif
#ifdef TAP_WRONG_NO_VFORK
	if (call->vfork == 1 || (call->vfork == 2 && (first & VFORK_FLAG)))
		return true;
#endif
	return false;
}

static s64 reported(long result)
{
#ifdef TAP_WRONG_RESULT
	return result < 0 ? 0 : -1;
#else
	return result;
#endif
}

void tap_record_entry(pid_t reader, struct pt_regs *regs, long nr)
{
	u8 abi = abi_now();
	const struct tap_call *call = call_of(nr, abi);
	struct tap_event event = {};
	struct tap_slot *slot;

	if (is_reader(reader))
		return;
	if (call->flags & TAP_CALL_NO_RETURN) {
		arguments(event.args, regs);
		if (misses(call, abi, event.args[0]))
			return;
		describe(&event, TAP_CALL);
		event.nr = nr;
		event.flags = abi | TAP_NO_RESULT;
		event.entered = event.ts;
		tap_send(&event, sizeof(event));
		return;
	}
	if (!(call->flags & TAP_CALL_MEMORY))
		return;
	slot = tap_slot_find(current);
	if (slot)	/* of a call whose exit was not seen */
		tap_slot_drop(slot);
	slot = tap_slot_take(current);
	if (!slot)
		return;
	slot->call = call;
	arguments(slot->event.args, regs);
	slot->event.nr = nr;
	slot->event.flags = abi;
	slot->event.entered = ktime_get_boottime_ns();
#ifndef TAP_WRONG_EXIT_ONLY
	put_memory(slot, TAP_AT_ENTRY);
#endif
}

/* The number of the call that returns; negative when it is none. */
static long number_at_exit(struct pt_regs *regs)
{
#ifdef TAP_ARCH_RISCV
	/* After rt_sigreturn a7 is the interrupted program's; the cause says so. */
	if (regs->cause == -1UL)
		return -1;
#endif
	return syscall_get_nr(current, regs);
}

/* The exit of a call without a slot: everything about it is in registers. */
static void exit_plain(struct pt_regs *regs, long result)
{
	long nr = number_at_exit(regs);
	struct tap_event event = {};
	const struct tap_call *call;
	u8 abi = abi_now();

	if (nr < 0)
		return;
	call = call_of(nr, abi);
	arguments(event.args, regs);
	if (misses(call, abi, event.args[0]))
		return;
	describe(&event, TAP_CALL);
	event.nr = nr;
	event.flags = abi;
	if (call->flags & TAP_CALL_MEMORY)
		event.flags |= TAP_NO_ENTRY;
	event.result = reported(result);
	tap_send(&event, sizeof(event));
}

void tap_record_exit(pid_t reader, struct pt_regs *regs, long result)
{
	struct tap_slot *slot;

	if (is_reader(reader))
		return;
	slot = tap_slot_find(current);
	if (!slot) {
		exit_plain(regs, result);
		return;
	}
	describe(&slot->event, TAP_CALL);
	slot->event.result = result;
	/* An execve that succeeded has new memory: the old is gone. */
	if (!(slot->call->flags & TAP_CALL_EXEC) || result < 0)
		put_memory(slot, TAP_AT_EXIT);
	if (slot->call->flags & TAP_CALL_EXEC) {
		put_process(slot);
		if (result >= 0)
			put_program_args(slot);
	}
	slot->event.result = reported(result);
	if (!misses(slot->call, slot->event.flags, 0))
		tap_send(&slot->event, sizeof(slot->event) + slot->used);
	tap_slot_drop(slot);
}

void tap_record_exec(pid_t reader, const struct linux_binprm *bprm)
{
	struct tap_slot *slot;

	if (is_reader(reader))
		return;
	slot = tap_slot_take(NULL);
	if (!slot) {
		tap_record_task(reader, TAP_EXEC, current);
		return;
	}
	describe(&slot->event, TAP_EXEC);
	put_process(slot);
	put_kernel_string(slot, TAP_OF_TASK, TAP_ABOUT_FILE, bprm->filename);
	put_program_args(slot);
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

	if (!is_reader(reader)) {
		describe(&all.event, kind);
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

/*
 * A name that the kernel has copied and now acts on. A look-up that is tried
 * again (ESTALE) is the same name in the same function; the same address alone
 * can be another name, if the first was freed.
 */
void tap_record_name(const void *filename, const void *place)
{
	const struct filename *name = filename;
	struct tap_slot *slot = tap_slot_find(current);

	if (!slot || !(slot->call->flags & TAP_CALL_NAMES) || slot->names >= 2 ||
	    (slot->last_name == name && slot->last_place == place) ||
	    IS_ERR_OR_NULL(name))
		return;
	put_kernel_string(slot, TAP_IN_KERNEL, slot->names, name->name);
	slot->last_name = name;
	slot->last_place = place;
	slot->names++;
}

/* An address that the kernel has copied and now acts on. */
void tap_record_address(const void *address, int len)
{
	struct tap_slot *slot = tap_slot_find(current);
	struct tap_field *field;

	if (!slot || slot->names || !(slot->call->flags & TAP_CALL_ADDRESS))
		return;
	field = open_field(slot, TAP_IN_KERNEL, 0, TAP_ADDRESS_MAX);
	if (!field)
		return;
	len = clamp(len, 0, TAP_ADDRESS_MAX);
	memcpy(field + 1, address, len);
	close_field(slot, field, len, 0);
	slot->names = 1;
}
