// SPDX-License-Identifier: GPL-2.0-only
/* From a call's tracepoints to its event: its entry, and its exit. */
#include <linux/compat.h>
#include <linux/ktime.h>
#include <linux/timekeeping.h>
#include <asm/syscall.h>

#include "tap.h"
#include "tap_wrong.h"

static const struct tap_call native[TAP_NUMBERS] = {
	TAP_NATIVE_CALLS
};

static const struct tap_call compat[TAP_NUMBERS] = {
	TAP_COMPAT_CALLS
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

/* The length of an address that the kernel wrote, from where it wrote it. */
static u32 written_length(u64 place)
{
	u32 len = 0;

	if (tap_peek(&len, (const void __user *)(unsigned long)place, sizeof(len)))
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
		tap_put_string(slot, from, i, args[i]);
		break;
	case TAP_HOW_ARGV:
		tap_put_argv(slot, from, i, args[i], slot->event.flags);
		break;
	case TAP_HOW_SOCKADDR:
		tap_put_bytes(slot, from, i, args[i], (u32)next, TAP_ADDRESS_MAX);
		break;
	case TAP_HOW_SOCKADDR_OUT:
		if (from == TAP_AT_EXIT && slot->event.result >= 0 && args[i])
			tap_put_bytes(slot, from, i, args[i], written_length(next),
				      TAP_ADDRESS_MAX);
		break;
	case TAP_HOW_SIZED:
		tap_put_bytes(slot, from, i, args[i], next, call->size[i]);
		break;
	case TAP_HOW_FIXED:
		tap_put_bytes(slot, from, i, args[i], call->size[i], call->size[i]);
		break;
	}
}

static void put_memory(struct tap_slot *slot, u8 from)
{
	unsigned int i;

	for (i = 0; i < TAP_ARGUMENTS; i++)
		put_argument(slot, i, from);
}

void tap_record_entry(pid_t reader, struct pt_regs *regs, long nr)
{
	u8 abi = abi_now();
	const struct tap_call *call = call_of(nr, abi);
	struct tap_event event = {};
	struct tap_slot *slot;

	if (tap_is_reader(reader))
		return;
	if (call->flags & TAP_CALL_NO_RETURN) {
		arguments(event.args, regs);
		if (tap_misses(call, abi, event.args[0]))
			return;
		tap_describe(&event, TAP_CALL);
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
	if (tap_misses(call, abi, event.args[0]))
		return;
	tap_describe(&event, TAP_CALL);
	event.nr = nr;
	event.flags = abi;
	if (call->flags & TAP_CALL_MEMORY)
		event.flags |= TAP_NO_ENTRY;
	event.result = tap_reported(result);
	tap_send(&event, sizeof(event));
}

void tap_record_exit(pid_t reader, struct pt_regs *regs, long result)
{
	struct tap_slot *slot;

	if (tap_is_reader(reader))
		return;
	slot = tap_slot_find(current);
	if (!slot) {
		exit_plain(regs, result);
		return;
	}
	tap_describe(&slot->event, TAP_CALL);
	slot->event.result = result;
	/* An execve that succeeded has new memory: the old is gone. */
	if (!(slot->call->flags & TAP_CALL_EXEC) || result < 0)
		put_memory(slot, TAP_AT_EXIT);
	if (slot->call->flags & TAP_CALL_EXEC) {
		tap_put_process(slot);
		if (result >= 0)
			tap_put_program_args(slot);
	}
	slot->event.result = tap_reported(result);
	if (!tap_misses(slot->call, slot->event.flags, 0))
		tap_send(&slot->event, sizeof(slot->event) + slot->used);
	tap_slot_drop(slot);
}
