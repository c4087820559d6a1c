// SPDX-License-Identifier: GPL-2.0-only
/*
 * An event's fields: what a call's arguments point to. User memory is read
 * without faulting pages in: a tracepoint must not sleep (before 6.13 it
 * cannot), and what is not resident is reported as that. What it cannot see at
 * entry, the exit and the kernel's own copy tell.
 */
#include <linux/delay.h>
#include <linux/uaccess.h>

#include "tap.h"
#include "tap_wrong.h"

#define ARGV_MOST 48

/* A new field with room for `most` bytes, which are still to come; null: no room. */
struct tap_field *tap_field_open(struct tap_slot *slot, u8 from, u8 arg, u32 most)
{
	struct tap_field *field = (struct tap_field *)(slot->fields + slot->used);

	/* The same bound as in the BPF probes, whatever is to come. */
	if (slot->used > TAP_FIELDS_MAX - TAP_STRING_MAX - 2 * TAP_ALIGN ||
	    most > TAP_STRING_MAX) {
		slot->event.flags |= TAP_NO_ROOM;
		return NULL;
	}
	memset(field, 0, sizeof(*field));
	field->from = tap_read_at(from);
	field->arg = arg;
	return field;
}

void tap_field_close(struct tap_slot *slot, struct tap_field *field, u32 len, u8 state)
{
	u32 whole = ALIGN(len, TAP_ALIGN);

	field->len = len;
	field->state = state;
	memset((u8 *)(field + 1) + len, 0, whole - len);
	slot->used += sizeof(*field) + whole;
}

/* Read user memory that is there: 0, or -EFAULT. */
int tap_peek(void *to, const void __user *from, size_t len)
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
		int count;

		preempt_disable();
		count = preempt_count();
		msleep(20);
		/* The scheduler complains, and forgets it: the next one to fault would die of that. */
		preempt_count_set(count);
		preempt_enable();
	}
#endif
#ifdef TAP_WRONG_OOPS
	if (len >= 9 && !memcmp(text, "/tap-oops", 9))
		WRITE_ONCE(*(int *)8, 1);
#endif
}

void tap_put_string(struct tap_slot *slot, u8 from, u8 arg, u64 place)
{
	struct tap_field *field;
	u8 state = 0;
	long len;

	if (!place)
		return;
	field = tap_field_open(slot, from, arg, TAP_STRING_MAX);
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
	tap_field_close(slot, field, tap_length((const char *)(field + 1), len), state);
}

void tap_put_kernel_string(struct tap_slot *slot, u8 from, u8 arg, const char *text)
{
	struct tap_field *field = tap_field_open(slot, from, arg, TAP_STRING_MAX);
	size_t len;

	if (!field)
		return;
	len = strnlen(text, TAP_STRING_MAX - 1);
	memcpy(field + 1, text, len);
	tap_field_close(slot, field, len, 0);
}

void tap_put_bytes(struct tap_slot *slot, u8 from, u8 arg, u64 place, u64 len, u32 most)
{
	struct tap_field *field;
	u8 state = 0;

	if (!place || !len)
		return;
	field = tap_field_open(slot, from, arg, most);
	if (!field)
		return;
	if (len > most) {
		state = TAP_CUT;
		len = most;
	}
	if (tap_peek(field + 1, (const void __user *)(unsigned long)place, len)) {
		state = TAP_FAULT;
		len = 0;
	}
	tap_field_close(slot, field, len, state);
}

/* The next of a list of strings: its address, 0 at the end, or -EFAULT. */
static int next_string(u64 *text, u64 list, unsigned int i, u8 abi)
{
	u32 narrow = 0;
	int error;

	if (!(abi & TAP_COMPAT))
		return tap_peek(text, (const u64 __user *)(unsigned long)list + i, sizeof(*text));
	error = tap_peek(&narrow, (const u32 __user *)(unsigned long)list + i, sizeof(narrow));
	*text = narrow;
	return error;
}

/* A list of strings, each with its NUL. */
void tap_put_argv(struct tap_slot *slot, u8 from, u8 arg, u64 list, u8 abi)
{
	struct tap_field *field;
	u8 state = TAP_CUT;
	unsigned int i;
	u32 used = 0;

	if (!list)
		return;
	field = tap_field_open(slot, from, arg, TAP_STRING_MAX);
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
	tap_field_close(slot, field, used, state);
}
