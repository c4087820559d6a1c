// SPDX-License-Identifier: GPL-2.0-only
/* Writes JSON, through one buffer, to standard output. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "json.h"

#define BUFFER (1024 * 1024)
#define LONGEST (256 * 1024)	/* an event's line: every byte of it as \u00xx */

static char buffer[BUFFER];
static size_t used;

/* After a failure it fails for ever, and what is put goes nowhere. */
int json_flush(void)
{
	static int error;
	size_t done = 0;

	while (done < used && !error) {
		ssize_t part = write(STDOUT_FILENO, buffer + done, used - done);

		if (part < 0 && errno != EINTR)
			error = -errno;
		if (part > 0)
			done += part;
	}
	used = 0;
	return error;
}

void put(const char *text)
{
	size_t len = strlen(text);

	memcpy(buffer + used, text, len);
	used += len;
}

void putf(const char *format, ...)
{
	va_list words;

	va_start(words, format);
	used += vsnprintf(buffer + used, BUFFER - used, format, words);
	va_end(words);
}

void put_number(__s64 value)
{
	char digits[24], *at = digits + sizeof(digits);
	__u64 rest = value < 0 ? -(__u64)value : (__u64)value;

	do {
		*--at = '0' + rest % 10;
		rest /= 10;
	} while (rest);
	if (value < 0)
		*--at = '-';
	memcpy(buffer + used, at, digits + sizeof(digits) - at);
	used += digits + sizeof(digits) - at;
}

void put_unsigned(__u64 value)
{
	if (value >> 63)
		putf("%llu", value);
	else
		put_number(value);
}

/* How long the UTF-8 sequence at `text` is; 0 when it is none (RFC 3629). */
static int sequence(const __u8 *text, size_t left)
{
	__u32 least[] = { 0, 0, 0x80, 0x800, 0x10000 }, value;
	int len = text[0] < 0x80 ? 1 : text[0] >> 5 == 6 ? 2 :
		  text[0] >> 4 == 14 ? 3 : text[0] >> 3 == 30 ? 4 : 0;

	if (len < 2 || (size_t)len > left)
		return len == 1;
	value = text[0] & (0x7f >> len);
	for (int i = 1; i < len; i++) {
		if (text[i] >> 6 != 2)
			return 0;
		value = value << 6 | (text[i] & 0x3f);
	}
	if (value < least[len] || value > 0x10ffff || value >> 11 == 0x1b)
		return 0;
	return len;
}

static bool is_utf8(const __u8 *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		int step = sequence(text + i, len - i);

		if (!step)
			return false;
		i += step;
	}
	return true;
}

void put_base64(const __u8 *data, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	put("{\"b64\": \"");
	for (size_t i = 0; i < len; i += 3) {
		__u32 bits = data[i] << 16;

		bits |= i + 1 < len ? data[i + 1] << 8 : 0;
		bits |= i + 2 < len ? data[i + 2] : 0;
		buffer[used++] = digits[bits >> 18];
		buffer[used++] = digits[bits >> 12 & 63];
		buffer[used++] = i + 1 < len ? digits[bits >> 6 & 63] : '=';
		buffer[used++] = i + 2 < len ? digits[bits & 63] : '=';
	}
	put("\"}");
}

void put_string(const void *data, size_t len)
{
	const __u8 *text = data;

	if (!is_utf8(text, len)) {
		put_base64(text, len);
		return;
	}
	buffer[used++] = '"';
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '"' || text[i] == '\\') {
			buffer[used++] = '\\';
			buffer[used++] = text[i];
		} else if (text[i] < 0x20 || text[i] == 0x7f) {
			putf("\\u%04x", text[i]);
		} else {
			buffer[used++] = text[i];
		}
	}
	buffer[used++] = '"';
}

void put_list(const __u8 *data, size_t len)
{
	buffer[used++] = '[';
	for (size_t i = 0; i < len;) {
		size_t one = strnlen((const char *)data + i, len - i);

		if (i)
			put(", ");
		put_string(data + i, one);
		i += one + 1;
	}
	buffer[used++] = ']';
}

void put_char(char one)
{
	buffer[used++] = one;
}

bool json_demand(size_t room)
{
	if (used > BUFFER - room)
		json_flush();
	return !used;
}
