/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An event's fields: what a call's arguments point to. The verifier must see
 * that no read goes beyond a slot: hence the masks, and hence OPAQUE, which
 * keeps the compiler from proving a mask away.
 */
#ifndef TAP_FIELDS_H
#define TAP_FIELDS_H

#include "maps.h"
#include "tap_wrong.h"

#define ARGV_MOST 48

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
	field->from = tap_read_at(from);
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
	if (len < 0)
		state = TAP_FAULT;
	/* An empty string's NUL is not counted, that of others is. */
	if (len <= 0)
		len = 1;
	len--;
	tap_close(slot, field, tap_length((char *)(field + 1), len), state);
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
		if (len < 0) {
			state = TAP_FAULT;
			break;
		}
		/*
		 * An empty string's NUL is not counted: 0 becomes 1, without a
		 * branch, of which the verifier would follow both sides each
		 * time round.
		 */
		OPAQUE(len);
		used += len + ((__u64)(len - 1) >> 63);
	}
	if (used > TAP_STRING_MAX)
		used = TAP_STRING_MAX;
	tap_close(slot, field, used, state);
}

#endif
