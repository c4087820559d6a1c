// SPDX-License-Identifier: GPL-2.0-only
/* What arguments hold, by their kind. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "json.h"
#include "values.h"

static void put_address(const __u8 *data, size_t len)
{
	struct sockaddr_storage all = {};
	const struct sockaddr_in *four = (const void *)&all;
	const struct sockaddr_in6 *six = (const void *)&all;
	const struct sockaddr_un *local = (const void *)&all;
	size_t before = offsetof(struct sockaddr_un, sun_path);
	char text[INET6_ADDRSTRLEN];

	memcpy(&all, data, len < sizeof(all) ? len : sizeof(all));
	if (len < sizeof(all.ss_family)) {
		put_base64(data, len);
		return;
	}
	putf("{\"family\": %u", all.ss_family);
	if (all.ss_family == AF_INET && len >= sizeof(*four)) {
		inet_ntop(AF_INET, &four->sin_addr, text, sizeof(text));
		putf(", \"address\": \"%s\", \"port\": %u", text,
		     ntohs(four->sin_port));
	} else if (all.ss_family == AF_INET6 && len >= offsetof(struct sockaddr_in6, sin6_scope_id)) {
		inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof(text));
		putf(", \"address\": \"%s\", \"port\": %u", text,
		     ntohs(six->sin6_port));
	} else if (all.ss_family == AF_UNIX) {
		size_t path = len - before;

		/* One that begins with NUL is abstract, and all of it counts. */
		if (path && local->sun_path[0])
			path = strnlen(local->sun_path, path);
		put(", \"path\": ");
		put_string(local->sun_path, path);
	} else {
		put(", \"data\": ");
		put_base64(data, len);
	}
	put_char('}');
}

void put_memory(enum kind kind, const __u8 *data, size_t len)
{
	switch (kind) {
	case TAP_KIND_ARGV:
		put_list(data, len);
		break;
	case TAP_KIND_SOCKADDR:
	case TAP_KIND_SOCKADDR_OUT:
		put_address(data, len);
		break;
	case TAP_KIND_DATA:
	case TAP_KIND_STRUCT:
		put_base64(data, len);
		break;
	default:
		put_string(data, len);
	}
}

void put_value(enum kind kind, __u64 value)
{
	switch (kind) {
	case TAP_KIND_FD:
	case TAP_KIND_PID:
	case TAP_KIND_INT:
		put_number((__s32)value);
		break;
	case TAP_KIND_LONG:
		put_number(value);
		break;
	case TAP_KIND_UINT:
	case TAP_KIND_MODE:
		put_number((__u32)value);
		break;
	default:
		put_unsigned(value);
	}
}
