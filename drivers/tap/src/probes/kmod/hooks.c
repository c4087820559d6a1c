// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the kernel acts on what it has copied: kprobes on the functions that
 * are given its struct filename, its string or its sockaddr. Those functions
 * have other names on other kernels, and a kernel may lack one: then that copy
 * is not reported, and everything else is.
 */
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/kprobes.h>
#include <linux/ptrace.h>
#include <linux/socket.h>

#include "tap.h"
#include "tap_wrong.h"

/*
 * On riscv64 a function begins with the two instructions that ftrace may patch,
 * where no kprobe may lie; behind them the arguments are still where they were.
 */
#define BEHIND_FTRACE 8

/* The call whose names are to be reported, if this copy is a new one of it. */
static struct tap_slot *slot_for(const void *copy, const void *place)
{
	struct tap_slot *slot = tap_slot_find(current);

	if (!slot || !tap_sees_copies() || !(slot->call->flags & TAP_CALL_NAMES) ||
	    slot->names >= 2 ||
	    (slot->last_name == copy && slot->last_place == place) ||
	    IS_ERR_OR_NULL(copy))
		return NULL;
	slot->last_name = copy;
	slot->last_place = place;
	return slot;
}

/*
 * A name that the kernel has copied and now acts on. A look-up that is tried
 * again (ESTALE) is the same name in the same function; the same address alone
 * can be another name, if the first was freed.
 */
static void record_name(const struct filename *name, const void *place)
{
	struct tap_slot *slot = slot_for(name, place);

	if (slot)
		tap_put_kernel_string(slot, TAP_IN_KERNEL, slot->names++, name->name);
}

/* The same for a string that is not looked up, or not first. */
static void record_text(const char *text, const void *place)
{
	struct tap_slot *slot = slot_for(text, place);

	if (slot)
		tap_put_kernel_string(slot, TAP_IN_KERNEL, slot->names++, text);
}

/* An address that the kernel has copied and now acts on. */
static void record_address(const void *address, int len)
{
	struct tap_slot *slot = tap_slot_find(current);
	struct tap_field *field;

	if (!slot || !tap_sees_copies() || slot->names ||
	    !(slot->call->flags & TAP_CALL_ADDRESS))
		return;
	field = tap_field_open(slot, TAP_IN_KERNEL, 0, TAP_ADDRESS_MAX);
	if (!field)
		return;
	len = clamp(len, 0, TAP_ADDRESS_MAX);
	memcpy(field + 1, address, len);
	tap_field_close(slot, field, len, 0);
	slot->names = 1;
}

static int on_name(struct kprobe *probe, struct pt_regs *regs)
{
	record_name((const void *)regs_get_kernel_argument(regs, 1), probe->addr);
	return 0;
}

static int on_address(struct kprobe *probe, struct pt_regs *regs)
{
	record_address((const void *)regs_get_kernel_argument(regs, 1),
		       regs_get_kernel_argument(regs, 2));
	return 0;
}

static int on_message(struct kprobe *probe, struct pt_regs *regs)
{
	const struct msghdr *message = (const void *)regs_get_kernel_argument(regs, 1);

	/* Without an address it goes where the socket is connected to. */
	if (message->msg_name)
		record_address(message->msg_name, message->msg_namelen);
	return 0;
}

static int on_source(struct kprobe *probe, struct pt_regs *regs)
{
	record_text((const void *)regs_get_kernel_argument(regs, 0), probe->addr);
	return 0;
}

static int on_target(struct kprobe *probe, struct pt_regs *regs)
{
	record_text((const void *)regs_get_kernel_argument(regs, 2), probe->addr);
	return 0;
}

static struct {
	const char *function;
	kprobe_pre_handler_t handler;
	struct kprobe probe;
	bool there;
} hooks[] = {
	{ "do_filp_open", on_name },		/* until 6.19 */
	{ "do_file_open", on_name },		/* from 7.0 on */
	{ "filename_lookup", on_name },
	{ "filename_parentat", on_name },	/* until 5.15 */
	{ "__filename_parentat", on_name },
	{ "path_mount", on_source },
	{ "security_inode_symlink", on_target },
	{ "security_socket_connect", on_address },
	{ "security_socket_bind", on_address },
	{ "security_socket_sendmsg", on_message },
};

static int hook_at(unsigned int i, unsigned int offset)
{
	memset(&hooks[i].probe, 0, sizeof(hooks[i].probe));
	hooks[i].probe.symbol_name = hooks[i].function;
	hooks[i].probe.offset = offset;
	hooks[i].probe.pre_handler = hooks[i].handler;
	return register_kprobe(&hooks[i].probe);
}

int tap_hooks_register(void)
{
	unsigned int i;
	int error;

	for (i = 0; i < ARRAY_SIZE(hooks); i++) {
		error = hook_at(i, 0);
		if (IS_ENABLED(CONFIG_RISCV) && error == -EINVAL)
			error = hook_at(i, BEHIND_FTRACE);
		hooks[i].there = !error;
		/* No such function, or none that can be probed: it does without. */
		if (error && error != -ENOENT && error != -EINVAL) {
			tap_hooks_unregister();
			return error;
		}
	}
	return 0;
}

void tap_hooks_unregister(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(hooks); i++) {
		if (hooks[i].there)
			unregister_kprobe(&hooks[i].probe);
		hooks[i].there = false;
	}
}
