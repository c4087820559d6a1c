/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's own copies: what the kernel acts on, which no other thread can change. */
#ifndef TAP_HOOKS_H
#define TAP_HOOKS_H

#include "fields.h"

/* Where the kernel acts on a name. */
enum tap_place {
	AT_OPEN = 1,
	AT_LOOKUP,
	AT_PARENT,
	AT_MOUNT,
	AT_SYMLINK,
};

/* The call whose names are to be reported, if this copy is a new one of it. */
static __always_inline struct tap_slot *tap_slot_for(const void *copy, __u32 place)
{
	struct tap_slot *slot = tap_find();
	const struct tap_call *call;

	if (!slot || !copy || !tap_sees_copies())
		return 0;
	call = tap_row(slot->row);
	if (!(call->flags & TAP_CALL_NAMES) || slot->names >= 2 ||
	    (slot->last_name == (__u64)copy && slot->last_place == place))
		return 0;
	slot->last_name = (__u64)copy;
	slot->last_place = place;
	return slot;
}

/*
 * A name that the kernel has copied and now acts on. A look-up that is tried
 * again (ESTALE) is the same name in the same function; the same address alone
 * can be another name, if the first was freed.
 */
static __always_inline void tap_kernel_name(const struct filename *name, __u32 place)
{
	struct tap_slot *slot = tap_slot_for(name, place);
	const char *text = 0;

	if (!slot)
		return;
	PEEK(text, &name->name);
	tap_kernel_string(slot, TAP_IN_KERNEL, slot->names, text);
	slot->names++;
}

/* The same for a string that is not looked up, or not first. */
static __always_inline void tap_kernel_text(const char *text, __u32 place)
{
	struct tap_slot *slot = tap_slot_for(text, place);

	if (!slot)
		return;
	tap_kernel_string(slot, TAP_IN_KERNEL, slot->names, text);
	slot->names++;
}

/* An address that the kernel has copied and now acts on. */
static __always_inline void tap_kernel_address(const void *address, __u32 len)
{
	struct tap_slot *slot = tap_find();
	struct tap_field *field;
	const struct tap_call *call;

	if (!slot || !tap_sees_copies() || slot->names)
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

/* The same in a message; without an address it goes where the socket is connected to. */
static __always_inline void tap_kernel_message(const struct msghdr *message)
{
	const void *address = 0;
	int len = 0;

	PEEK(address, &message->msg_name);
	PEEK(len, &message->msg_namelen);
	if (address)
		tap_kernel_address(address, len);
}

#endif
