/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TAP_VALUES_H
#define TAP_VALUES_H

#include <linux/types.h>
#include <stddef.h>

/* As in events.toml. */
enum kind {
	TAP_KIND_FD, TAP_KIND_PID, TAP_KIND_INT, TAP_KIND_LONG, TAP_KIND_UINT,
	TAP_KIND_ULONG, TAP_KIND_MODE, TAP_KIND_PTR, TAP_KIND_FLAGS,
	/* memory: */
	TAP_KIND_PATH, TAP_KIND_TEXT, TAP_KIND_ARGV, TAP_KIND_SOCKADDR,
	TAP_KIND_SOCKADDR_OUT, TAP_KIND_DATA, TAP_KIND_STRUCT,
};

void put_value(enum kind kind, __u64 value);
void put_memory(enum kind kind, const __u8 *data, size_t len);

#endif
