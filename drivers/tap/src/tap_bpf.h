/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the two BPF probes do; they differ in how they get the kernel's types
 * and in how they are cut into programs. Who includes this has brought those
 * types, and TAP_OUTPUT(ctx, data, size).
 *
 * A call that reads memory is assembled in a slot, from its entry to its exit.
 * A slot belongs to a task, not to a CPU: from 7.0 on another task may be
 * traced on this CPU before a program has come to its end.
 */
#ifndef TAP_BPF_H
#define TAP_BPF_H

#include "tap_wire.h"
#include "tap_calls.h"

/* Reads kernel memory that may not be there: then it is zero. */
#define PEEK(to, from) bpf_probe_read_kernel(&(to), sizeof(to), from)

#define OF_TASK_COMPAT (1u << 1)	/* x86: TS_COMPAT */
#define OF_THREAD_32BIT (1u << 22)	/* arm64: TIF_32BIT */
#define VFORK_FLAG 0x4000		/* CLONE_VFORK */
#define ROWS (2 * TAP_NUMBERS)
#define ARGV_MOST 48

struct tap_slot {
	struct tap_event event;
	/* Room behind what is used for the longest read that is not cut off. */
	__u8 fields[TAP_FIELDS_MAX + 2 * TAP_STRING_MAX + 2 * TAP_ALIGN];
	__u32 used;
	__u32 row;
	__u32 names;
	__u32 last_place;	/* where the last name was seen, and which */
	__u64 last_name;
};

/* Where the kernel acts on a name. */
enum tap_place {
	AT_OPEN = 1,
	AT_LOOKUP,
	AT_PARENT,
};

/* Set by the reader before it loads this: its own calls are not reported. */
const volatile struct {
	__u32 reader;
} tap_config SEC(".rodata.config") = {};

const struct tap_version tap_version SEC(".rodata.version") = {
	TAP_API_MAJOR, TAP_API_MINOR, TAP_SCHEMA_MAJOR, TAP_SCHEMA_MINOR,
};

/* The table of calls: the first half native, the second half 32-bit. */
const struct tap_call tap_native[TAP_NUMBERS] SEC(".rodata.native") = {
	TAP_NATIVE_CALLS
};

const struct tap_call tap_compat[TAP_NUMBERS] SEC(".rodata.compat") = {
	TAP_COMPAT_CALLS
};

struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_UINT(max_entries, TAP_SLOTS);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct tap_slot);
} tap_slots SEC(".maps");

/* The numbers of slots that are free; the reader fills it. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_STACK);
	MAP_UINT(max_entries, TAP_SLOTS);
	MAP_TYPE(value, __u32);
} tap_free SEC(".maps");

/* Task -> the number of its slot. Its address stays when execve changes tids. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_HASH);
	MAP_UINT(max_entries, 2 * TAP_SLOTS);
	MAP_TYPE(key, __u64);
	MAP_TYPE(value, __u32);
} tap_tasks SEC(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	MAP_UINT(max_entries, 1);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct tap_counts);
} tap_counters SEC(".maps");

static __always_inline struct task_struct *tap_current(void)
{
	return (struct task_struct *)bpf_get_current_task();
}

static __always_inline int tap_is_reader(void)
{
	return bpf_get_current_pid_tgid() >> 32 == tap_config.reader;
}

/* TAP_COMPAT when the current call is a 32-bit one. */
static __always_inline __u8 tap_abi(void)
{
#if defined(TAP_ARCH_X86)
	__u32 status = 0;

	PEEK(status, &tap_current()->thread_info.status);
	return status & OF_TASK_COMPAT ? TAP_COMPAT : 0;
#elif defined(TAP_ARCH_ARM64)
	unsigned long flags = 0;

	PEEK(flags, &tap_current()->thread_info.flags);
	return flags & OF_THREAD_32BIT ? TAP_COMPAT : 0;
#else
	return 0;
#endif
}

/* The row of a call, or one of zeros. */
static __always_inline const struct tap_call *tap_row(__u32 row)
{
	__u32 number = row & (TAP_NUMBERS - 1);

	OPAQUE(number);
	number &= TAP_NUMBERS - 1;
	if (row < TAP_NUMBERS)
		return &tap_native[number];
	return &tap_compat[number];
}

static __always_inline __u32 tap_row_number(__u64 nr, __u8 abi)
{
	/* Number 511 is nobody's: what is beyond the table has no type. */
	__u32 number = nr < TAP_NUMBERS ? nr : TAP_NUMBERS - 1;

	return abi & TAP_COMPAT ? TAP_NUMBERS + number : number;
}

#if defined(TAP_ARCH_X86)
static __always_inline void tap_arguments(__u64 *args, struct pt_regs *regs,
					  __u8 abi)
{
	if (abi & TAP_COMPAT) {
		PEEK(args[0], &regs->bx);
		PEEK(args[1], &regs->cx);
		PEEK(args[2], &regs->dx);
		PEEK(args[3], &regs->si);
		PEEK(args[4], &regs->di);
		PEEK(args[5], &regs->bp);
#pragma unroll
		for (int i = 0; i < TAP_ARGUMENTS; i++)
			args[i] = (__u32)args[i];
	} else {
		PEEK(args[0], &regs->di);
		PEEK(args[1], &regs->si);
		PEEK(args[2], &regs->dx);
		PEEK(args[3], &regs->r10);
		PEEK(args[4], &regs->r8);
		PEEK(args[5], &regs->r9);
	}
}

static __always_inline __u64 tap_number(struct pt_regs *regs)
{
	unsigned long nr = 0;

	PEEK(nr, &regs->orig_ax);
	return nr;
}

#define HOOK_ARGUMENT_2(frame) ((frame)->si)
#define HOOK_ARGUMENT_3(frame) ((frame)->dx)
#elif defined(TAP_ARCH_ARM64)
static __always_inline void tap_arguments(__u64 *args, struct pt_regs *regs,
					  __u8 abi)
{
	PEEK(args[0], &regs->orig_x0);
	bpf_probe_read_kernel(&args[1], 5 * sizeof(args[1]), &regs->regs[1]);
	if (abi & TAP_COMPAT) {
#pragma unroll
		for (int i = 0; i < TAP_ARGUMENTS; i++)
			args[i] = (__u32)args[i];
	}
}

static __always_inline __u64 tap_number(struct pt_regs *regs)
{
	__s32 nr = 0;

	PEEK(nr, &regs->syscallno);
	return nr;
}

#define HOOK_ARGUMENT_2(frame) ((frame)->regs[1])
#define HOOK_ARGUMENT_3(frame) ((frame)->regs[2])
#elif defined(TAP_ARCH_RISCV)
static __always_inline void tap_arguments(__u64 *args, struct pt_regs *regs,
					  __u8 abi)
{
	PEEK(args[0], &regs->orig_a0);
	PEEK(args[1], &regs->a1);
	PEEK(args[2], &regs->a2);
	PEEK(args[3], &regs->a3);
	PEEK(args[4], &regs->a4);
	PEEK(args[5], &regs->a5);
}

static __always_inline __u64 tap_number(struct pt_regs *regs)
{
	unsigned long nr = 0, cause = 0;

	PEEK(nr, &regs->a7);
	PEEK(cause, &regs->cause);
	return cause == -1ul ? cause : nr;
}

#define HOOK_ARGUMENT_2(frame) ((frame)->a1)
#define HOOK_ARGUMENT_3(frame) ((frame)->a2)
#endif

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
	struct tap_counts *counts;
	__u32 zero = 0;

	counts = bpf_map_lookup_elem(&tap_counters, &zero);
	if (!counts)
		return;
	event->len = size;
	event->cpu = bpf_get_smp_processor_id();
	__sync_fetch_and_add(&counts->offered, 1);
	if (TAP_OUTPUT(ctx, event, size) == 0)
		return;
#ifdef TAP_WRONG_SILENT_DROP
	__sync_fetch_and_add(&counts->offered, -1);
#else
	__sync_fetch_and_add(&counts->dropped, 1);
#endif
}

static __always_inline struct tap_slot *tap_find(void)
{
	__u64 task = bpf_get_current_task();
	__u32 *number = bpf_map_lookup_elem(&tap_tasks, &task);

	return number ? bpf_map_lookup_elem(&tap_slots, number) : 0;
}

static __always_inline void tap_drop_slot(void)
{
	__u64 task = bpf_get_current_task();
	__u32 *known = bpf_map_lookup_elem(&tap_tasks, &task);
	__u32 number;

	if (!known)
		return;
	number = *known;
	bpf_map_delete_elem(&tap_tasks, &task);
	bpf_map_push_elem(&tap_free, &number, BPF_ANY);
}

/* A slot that is nobody's: its number goes back with bpf_map_push_elem. */
static __always_inline struct tap_slot *tap_borrow(__u32 *number)
{
	struct tap_slot *slot;

	if (bpf_map_pop_elem(&tap_free, number))
		return 0;
	slot = bpf_map_lookup_elem(&tap_slots, number);
	if (!slot)
		return 0;
	slot->used = 0;
	slot->names = 0;
	slot->last_name = 0;
	slot->event.flags = 0;
	slot->event.result = 0;
	slot->event.nr = 0;
	slot->event.entered = 0;
	return slot;
}

/* The current task's slot, empty; null when none is free. */
static __always_inline struct tap_slot *tap_take(void)
{
	__u64 task = bpf_get_current_task();
	struct tap_slot *slot;
	__u32 number = 0;

	tap_drop_slot();	/* of a call whose exit was not seen */
	slot = tap_borrow(&number);
	if (!slot)
		return 0;
	if (bpf_map_update_elem(&tap_tasks, &task, &number, BPF_ANY)) {
		bpf_map_push_elem(&tap_free, &number, BPF_ANY);
		return 0;
	}
	return slot;
}

/* A new field behind the others, its bytes still to come; null: no room. */
static __always_inline struct tap_field *tap_field(struct tap_slot *slot,
						   __u8 from, __u8 arg)
{
	__u32 used = slot->used;
	struct tap_field *field;

	if (used > TAP_FIELDS_MAX - TAP_STRING_MAX - 2 * TAP_ALIGN) {
		slot->event.flags |= TAP_NO_ROOM;
		return 0;
	}
	OPAQUE(used);
	used &= TAP_FIELDS_MAX - TAP_ALIGN;
	field = (struct tap_field *)&slot->fields[used];
	field->len = 0;
	field->from = from;
	field->arg = arg;
	field->state = 0;
	field->zero[0] = 0;
	field->zero[1] = 0;
	field->zero[2] = 0;
	return field;
}

static __always_inline void tap_close(struct tap_slot *slot,
				      struct tap_field *field, __u32 len,
				      __u8 state)
{
	field->len = len;
	field->state = state;
	slot->used += sizeof(*field) + ((len + TAP_ALIGN - 1) & -TAP_ALIGN);
}

/* A string of the task's. One that is not in memory is flagged, not empty. */
static __always_inline void tap_string(struct tap_slot *slot, __u8 from,
				       __u8 arg, __u64 place)
{
	struct tap_field *field;
	__u8 state = 0;
	char more = 0;
	long len;

	if (!place)
		return;
	field = tap_field(slot, from, arg);
	if (!field)
		return;
	len = bpf_probe_read_user_str(field + 1, TAP_STRING_MAX, (void *)place);
	if (len == TAP_STRING_MAX) {
		bpf_probe_read_user(&more, 1, (void *)(place + len - 1));
		state = more ? TAP_CUT : 0;
	}
	if (len <= 0) {
		state = TAP_FAULT;
		len = 1;
	}
	len--;
#ifdef TAP_WRONG_PATH_LENGTH
	if (len > 0)
		len--;
#endif
	tap_close(slot, field, len, state);
}

/* The kernel's own copy of a string. */
static __always_inline void tap_kernel_string(struct tap_slot *slot, __u8 from,
					      __u8 arg, const char *text)
{
	struct tap_field *field = tap_field(slot, from, arg);
	long len;

	if (!field)
		return;
	len = bpf_probe_read_kernel_str(field + 1, TAP_STRING_MAX, text);
	if (len <= 0)
		tap_close(slot, field, 0, TAP_FAULT);
	else
		tap_close(slot, field, len - 1, 0);
}

/* `len` bytes, not more than `most`, which is at most TAP_ADDRESS_MAX or 255. */
static __always_inline void tap_bytes(struct tap_slot *slot, __u8 from,
				      __u8 arg, __u64 place, __u64 len,
				      __u32 most)
{
	struct tap_field *field;
	__u8 state = 0;
	__u32 size;

	if (!place || !len)
		return;
	field = tap_field(slot, from, arg);
	if (!field)
		return;
	if (len > most) {
		state = TAP_CUT;
		len = most;
	}
	size = len;
	OPAQUE(size);
	size &= 255;
	if (bpf_probe_read_user(field + 1, size, (void *)place))
		tap_close(slot, field, 0, TAP_FAULT);
	else
		tap_close(slot, field, size, state);
}

/* A list of strings, each with its NUL. */
static __always_inline void tap_argv(struct tap_slot *slot, __u8 from, __u8 arg,
				     __u64 list, __u8 abi)
{
	__u32 used = 0, width = abi & TAP_COMPAT ? 4 : 8;
	__u8 state = TAP_CUT;
	struct tap_field *field;

	if (!list)
		return;
	field = tap_field(slot, from, arg);
	if (!field)
		return;
	for (int i = 0; i < ARGV_MOST; i++) {
		__u64 text = 0;
		__u32 at = used;
		long len;

		if (used >= TAP_STRING_MAX)
			break;
		if (bpf_probe_read_user(&text, width, (void *)(list + i * width))) {
			state = TAP_FAULT;
			break;
		}
		if (!text) {
			state = 0;
			break;
		}
		OPAQUE(at);
		at &= TAP_STRING_MAX - 1;
		len = bpf_probe_read_user_str((char *)(field + 1) + at,
					      TAP_STRING_MAX, (void *)text);
		if (len <= 0) {
			state = TAP_FAULT;
			break;
		}
		used += len;
	}
	if (used > TAP_STRING_MAX)
		used = TAP_STRING_MAX;
	tap_close(slot, field, used, state);
}

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

/* One argument, if it points to memory that is to be read at that time. */
static __always_inline void tap_argument(struct tap_slot *slot,
					 const struct tap_call *call, int i,
					 __u8 from)
{
	__u64 value = slot->event.args[i];
	__u64 next = i + 1 < TAP_ARGUMENTS ? slot->event.args[i + 1] : 0;
	__u32 written = 0;

	switch (call->how[i]) {
	case TAP_HOW_STRING:
		tap_string(slot, from, i, value);
		break;
	case TAP_HOW_SOCKADDR:
		tap_bytes(slot, from, i, value, (__u32)next, TAP_ADDRESS_MAX);
		break;
	case TAP_HOW_SOCKADDR_OUT:
		if (from != TAP_AT_EXIT || slot->event.result < 0 || !value)
			break;
		bpf_probe_read_user(&written, sizeof(written), (void *)next);
		tap_bytes(slot, from, i, value, written, TAP_ADDRESS_MAX);
		break;
	case TAP_HOW_SIZED:
		tap_bytes(slot, from, i, value, next, call->size[i]);
		break;
	case TAP_HOW_FIXED:
		tap_bytes(slot, from, i, value, call->size[i], call->size[i]);
		break;
	}
}

static __always_inline void tap_memory(struct tap_slot *slot,
				       const struct tap_call *call, __u8 from)
{
#pragma unroll
	for (int i = 0; i < TAP_ARGUMENTS; i++)
		tap_argument(slot, call, i, from);
}

static __always_inline void tap_argv_of(struct tap_slot *slot,
					const struct tap_call *call, __u8 from)
{
	__u8 abi = slot->event.flags;

	/* execve and execveat: there is no other call with such a list. */
	if (call->how[1] == TAP_HOW_ARGV)
		tap_argv(slot, from, 1, slot->event.args[1], abi);
	else
		tap_argv(slot, from, 2, slot->event.args[2], abi);
}

/* Whether a build that is wrong on purpose leaves this call out. */
static __always_inline int tap_misses(const struct tap_call *call, __u8 abi,
				      __u64 first)
{
#ifdef TAP_WRONG_NO_COMPAT
	if (abi & TAP_COMPAT)
		return 1;
#endif
#ifdef TAP_WRONG_NO_VFORK
	if (call->vfork == 1 || (call->vfork == 2 && (first & VFORK_FLAG)))
		return 1;
#endif
	return 0;
}

/*
 * The entry of a call. Returns the slot when there is memory to be read, else
 * null: what does not return is sent at once, the rest waits for the exit.
 */
static __always_inline struct tap_slot *tap_entry(void *ctx,
						  struct pt_regs *regs, long nr)
{
	__u8 abi = tap_abi();
	__u32 row = tap_row_number(nr, abi);
	const struct tap_call *call = tap_row(row);
	struct tap_event event = {};
	struct tap_slot *slot;

	if (tap_is_reader())
		return 0;
	if (call->flags & TAP_CALL_NO_RETURN) {
		tap_arguments(event.args, regs, abi);
		if (tap_misses(call, abi, event.args[0]))
			return 0;
		tap_describe(&event, TAP_CALL);
		event.nr = nr;
		event.flags = abi | TAP_NO_RESULT;
		event.entered = event.ts;
		tap_send(ctx, &event, sizeof(event));
		return 0;
	}
	if (!(call->flags & TAP_CALL_MEMORY))
		return 0;
	slot = tap_take();
	if (!slot)
		return 0;
	tap_arguments(slot->event.args, regs, abi);
	slot->row = row;
	slot->event.nr = nr;
	slot->event.flags = abi;
	slot->event.entered = bpf_ktime_get_boot_ns();
#ifdef TAP_WRONG_EXIT_ONLY
	return 0;
#else
	return slot;
#endif
}

/* The exit of a call without a slot: everything about it is in registers. */
static __always_inline void tap_exit_plain(void *ctx, struct pt_regs *regs,
					   long result)
{
	__u8 abi = tap_abi();
	struct tap_event event = {};
	const struct tap_call *call;
	__u64 nr = tap_number(regs);

	/* No call: what a signal had interrupted goes on. */
	if ((long)nr < 0 || tap_is_reader())
		return;
	call = tap_row(tap_row_number(nr, abi));
	tap_arguments(event.args, regs, abi);
	if (tap_misses(call, abi, event.args[0]))
		return;
	tap_describe(&event, TAP_CALL);
	event.nr = nr;
	event.flags = abi;
	if (call->flags & TAP_CALL_MEMORY)
		event.flags |= TAP_NO_ENTRY;
#ifdef TAP_WRONG_RESULT
	result = result < 0 ? 0 : -1;
#endif
	event.result = result;
	tap_send(ctx, &event, sizeof(event));
}

/* The exit of a call with a slot: what every such call has. */
static __always_inline void tap_exit_begin(struct tap_slot *slot, long result)
{
	tap_describe(&slot->event, TAP_CALL);
	slot->event.result = result;
}

/* Whether memory can be read again: an execve that succeeded has a new one. */
static __always_inline int tap_has_old_memory(struct tap_slot *slot,
					      const struct tap_call *call)
{
	return !(call->flags & TAP_CALL_EXEC) || slot->event.result < 0;
}

static __always_inline void tap_exit_end(void *ctx, struct tap_slot *slot,
					 const struct tap_call *call)
{
	__u32 used;

	if (call->flags & TAP_CALL_EXEC) {
		tap_process_field(slot);
		if (slot->event.result >= 0)
			tap_program_args(slot);
	}
#ifdef TAP_WRONG_RESULT
	slot->event.result = slot->event.result < 0 ? 0 : -1;
#endif
	used = slot->used;
	OPAQUE(used);
	used &= TAP_FIELDS_MAX - 1;
	if (!tap_misses(call, slot->event.flags, 0))
		tap_send(ctx, &slot->event, sizeof(slot->event) + used);
	tap_drop_slot();
}

/*
 * A name that the kernel has copied and now acts on. A look-up that is tried
 * again (ESTALE) is the same name in the same function; the same address alone
 * can be another name, if the first was freed.
 */
static __always_inline void tap_kernel_name(const struct filename *name, __u32 place)
{
	struct tap_slot *slot = tap_find();
	const struct tap_call *call;
	const char *text = 0;

	if (!slot)
		return;
	call = tap_row(slot->row);
	if (!(call->flags & TAP_CALL_NAMES) || slot->names >= 2 ||
	    (slot->last_name == (__u64)name && slot->last_place == place))
		return;
	PEEK(text, &name->name);
	tap_kernel_string(slot, TAP_IN_KERNEL, slot->names, text);
	slot->last_name = (__u64)name;
	slot->last_place = place;
	slot->names++;
}

/* An address that the kernel has copied and now acts on. */
static __always_inline void tap_kernel_address(const void *address, __u32 len)
{
	struct tap_slot *slot = tap_find();
	struct tap_field *field;
	const struct tap_call *call;

	if (!slot || slot->names)
		return;
	call = tap_row(slot->row);
	if (!(call->flags & TAP_CALL_ADDRESS))
		return;
	field = tap_field(slot, TAP_IN_KERNEL, 0);
	if (!field)
		return;
	if (len > TAP_ADDRESS_MAX)
		len = TAP_ADDRESS_MAX;
	OPAQUE(len);
	len &= 255;
	if (bpf_probe_read_kernel(field + 1, len, address))
		tap_close(slot, field, 0, TAP_FAULT);
	else
		tap_close(slot, field, len, 0);
	slot->names = 1;
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

static __always_inline void tap_exec(void *ctx, const struct linux_binprm *bprm)
{
	struct tap_slot *slot;
	const char *name = 0;
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
	PEEK(name, &bprm->filename);
	tap_kernel_string(slot, TAP_OF_TASK, TAP_ABOUT_FILE, name);
	tap_program_args(slot);
	used = slot->used;
	OPAQUE(used);
	used &= TAP_FIELDS_MAX - 1;
	tap_send(ctx, &slot->event, sizeof(slot->event) + used);
	bpf_map_push_elem(&tap_free, &number, BPF_ANY);
}

#endif
