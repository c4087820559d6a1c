/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel module: what its parts know of each other. */
#ifndef TAP_H
#define TAP_H

#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/types.h>

#include "tap_arch.h"
#include "tap_wire.h"
#include "tap_calls.h"

struct linux_binprm;

/*
 * A call that reads memory, while it is being made: assembled from its entry
 * to its exit. It belongs to a task, and only that task touches what is in it;
 * the task's address stays when execve changes its thread id.
 */
struct tap_slot {
	struct hlist_node node;		/* in a bucket of tasks, or free */
	const struct task_struct *task;
	const struct tap_call *call;
	const void *last_name;		/* and where it was seen */
	const void *last_place;
	u32 used;
	u8 names;
	struct tap_event event;		/* and behind it, in one piece: */
	u8 fields[TAP_FIELDS_MAX];
};

/* slots.c */
int tap_slots_create(void);
void tap_slots_destroy(void);
void tap_slots_reset(void);
struct tap_slot *tap_slot_take(const struct task_struct *task);
struct tap_slot *tap_slot_find(const struct task_struct *task);
void tap_slot_drop(struct tap_slot *slot);

/* ring.c: one ring for each possible CPU */
int tap_rings_create(unsigned int bytes);
void tap_rings_destroy(void);
void tap_rings_reset(void);
int tap_rings_map(struct vm_area_struct *vma);
unsigned int tap_rings_bytes(void);
bool tap_rings_filled(void);
void tap_send(struct tap_event *event, u32 len);

/* main.c: somebody waits for events */
void tap_wake(void);

/* fields.c: fields of the event in a slot, behind each other */
struct tap_field *tap_field_open(struct tap_slot *slot, u8 from, u8 arg, u32 most);
void tap_field_close(struct tap_slot *slot, struct tap_field *field, u32 len, u8 state);
void tap_put_string(struct tap_slot *slot, u8 from, u8 arg, u64 place);
void tap_put_kernel_string(struct tap_slot *slot, u8 from, u8 arg, const char *text);
void tap_put_bytes(struct tap_slot *slot, u8 from, u8 arg, u64 place, u64 len, u32 most);
void tap_put_argv(struct tap_slot *slot, u8 from, u8 arg, u64 list, u8 abi);
int tap_peek(void *to, const void __user *from, size_t len);

/* process.c; `reader` is the process that is left out */
bool tap_is_reader(pid_t reader);
void tap_describe(struct tap_event *event, u8 kind);
void tap_put_process(struct tap_slot *slot);
void tap_put_program_args(struct tap_slot *slot);
void tap_record_exec(pid_t reader, const struct linux_binprm *bprm);
void tap_record_task(pid_t reader, u8 kind, struct task_struct *about);

/* calls.c */
void tap_record_entry(pid_t reader, struct pt_regs *regs, long nr);
void tap_record_exit(pid_t reader, struct pt_regs *regs, long result);

/* hooks.c: kprobes where the kernel acts on its own copies */
int tap_hooks_register(void);
void tap_hooks_unregister(void);

#endif
