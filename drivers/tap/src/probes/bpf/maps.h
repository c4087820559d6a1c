/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the two BPF probes keep, in maps, since they have no memory of their
 * own. Who includes this has brought the kernel's types.
 *
 * A call that reads memory is assembled in a slot, from its entry to its exit.
 * A slot belongs to a task, not to a CPU: from 6.13 on another task may be
 * traced on this CPU before a program has come to its end.
 */
#ifndef TAP_MAPS_H
#define TAP_MAPS_H

#include "tap_wire.h"
#include "tap_calls.h"

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

/*
 * For each CPU. The reader maps it: while somebody asks the kernel for what is in
 * a map, no program that perf or a kprobe calls is run on that CPU.
 */
struct tap_counts tap_counters[TAP_CPUS] SEC(".bss.counters");

static __always_inline struct task_struct *tap_current(void)
{
	return (struct task_struct *)bpf_get_current_task();
}

static __always_inline int tap_is_reader(void)
{
	return bpf_get_current_pid_tgid() >> 32 == tap_config.reader;
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

static __always_inline struct tap_slot *tap_find(void)
{
	__u64 task = bpf_get_current_task();
	__u32 *number = bpf_map_lookup_elem(&tap_tasks, &task);

	return number ? bpf_map_lookup_elem(&tap_slots, number) : 0;
}

static __always_inline void tap_drop_slot_of(__u64 task)
{
	__u32 *known = bpf_map_lookup_elem(&tap_tasks, &task);
	__u32 number;

	if (!known)
		return;
	number = *known;
	bpf_map_delete_elem(&tap_tasks, &task);
	bpf_map_push_elem(&tap_free, &number, BPF_ANY);
}

static __always_inline void tap_drop_slot(void)
{
	tap_drop_slot_of(bpf_get_current_task());
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

#endif
