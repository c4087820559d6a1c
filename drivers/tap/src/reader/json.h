/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TAP_JSON_H
#define TAP_JSON_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Have room for that many bytes, which is all that is put before this is asked
 * again. Whether the buffer is empty: a new batch begins.
 */
bool json_demand(size_t room);
/* Write out what was put; -errno on failure. */
int json_flush(void);

void put(const char *text);
void put_char(char one);
__attribute__((format(printf, 1, 2)))
void putf(const char *format, ...);
void put_number(__s64 value);
void put_unsigned(__u64 value);
/* A string of the guest's: as it is when it is UTF-8, else in base64. */
void put_string(const void *data, size_t len);
/* Strings of the guest's, each with its NUL. */
void put_list(const __u8 *data, size_t len);
void put_base64(const __u8 *data, size_t len);

#endif
