// SPDX-License-Identifier: GPL-2.0-only
/*
 * Slots: a fixed number of them, made when the module is loaded, because a
 * tracepoint is no place to ask for memory. When none is free, a call is
 * reported without what was at its entry, and says so.
 */
#include <linux/hash.h>
#include <linux/hashtable.h>
#include <linux/spinlock.h>
#include <linux/vmalloc.h>

#include "tap.h"

#define TAP_BITS 8

static struct tap_slot *slots;
static HLIST_HEAD(unused);
static DEFINE_HASHTABLE(tasks, TAP_BITS);
/* Raw: on a PREEMPT_RT kernel too, whoever takes it must not sleep. */
static DEFINE_RAW_SPINLOCK(lock);

int tap_slots_create(void)
{
	slots = vzalloc(array_size(TAP_SLOTS, sizeof(*slots)));
	if (!slots)
		return -ENOMEM;
	tap_slots_reset();
	return 0;
}

void tap_slots_destroy(void)
{
#ifndef TAP_WRONG_LEAK
	vfree(slots);
#endif
	slots = NULL;
}

/* Take all slots back: nothing is traced while this is called. */
void tap_slots_reset(void)
{
	unsigned int i;

	raw_spin_lock(&lock);
	hash_init(tasks);
	INIT_HLIST_HEAD(&unused);
	for (i = 0; i < TAP_SLOTS; i++) {
		slots[i].task = NULL;
		hlist_add_head(&slots[i].node, &unused);
	}
	raw_spin_unlock(&lock);
}

/* Whose a slot is. */
static const struct task_struct *owner(const struct task_struct *task)
{
#ifdef TAP_WRONG_PER_CPU
	/* As if no other task ran on this CPU between a call's entry and its exit. */
	if (task)
		return (const struct task_struct *)(1UL + raw_smp_processor_id());
#endif
	return task;
}

static struct hlist_head *bucket(const struct task_struct *task)
{
	return &tasks[hash_ptr(task, TAP_BITS)];
}

/* An empty slot, which is then that task's; null task: nobody's. */
struct tap_slot *tap_slot_take(const struct task_struct *task)
{
	struct tap_slot *slot = NULL;

	task = owner(task);
	raw_spin_lock(&lock);
	if (!hlist_empty(&unused)) {
		slot = hlist_entry(unused.first, struct tap_slot, node);
		hlist_del_init(&slot->node);
		slot->task = task;
		if (task)
			hlist_add_head(&slot->node, bucket(task));
	}
	raw_spin_unlock(&lock);
	if (slot) {
		slot->call = NULL;
		slot->last_name = NULL;
		slot->last_place = NULL;
		slot->used = 0;
		slot->names = 0;
		memset(&slot->event, 0, sizeof(slot->event));
	}
	return slot;
}

struct tap_slot *tap_slot_find(const struct task_struct *task)
{
	struct tap_slot *slot, *found = NULL;

	task = owner(task);
	raw_spin_lock(&lock);
	hlist_for_each_entry(slot, bucket(task), node) {
		if (slot->task == task) {
			found = slot;
			break;
		}
	}
	raw_spin_unlock(&lock);
	return found;
}

void tap_slot_drop(struct tap_slot *slot)
{
	raw_spin_lock(&lock);
	if (slot->task)
		hlist_del_init(&slot->node);
	slot->task = NULL;
	hlist_add_head(&slot->node, &unused);
	raw_spin_unlock(&lock);
}
