/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From a call's tracepoints to its event. The two BPF probes share it; they
 * differ in how they get the kernel's types and in how they are cut into
 * programs.
 */
#ifndef TAP_CALL_EVENTS_H
#define TAP_CALL_EVENTS_H

#include "process.h"
#include "registers.h"
#include "tap_wrong.h"

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
	event.result = tap_reported(result);
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
	slot->event.result = tap_reported(slot->event.result);
	used = slot->used;
	OPAQUE(used);
	used &= TAP_FIELDS_MAX - 1;
	if (!tap_misses(call, slot->event.flags, 0))
		tap_send(ctx, &slot->event, sizeof(slot->event) + used);
	tap_drop_slot();
}

#endif
