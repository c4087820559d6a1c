// SPDX-License-Identifier: GPL-2.0-only
/* Events as lines of JSON. */
#include <string.h>
#include <time.h>

#include "json.h"
#include "reader.h"
#include "values.h"

struct tap_described {
	const char *name;
	int arguments;
	struct {
		const char *name;
		enum kind kind;
	} argument[TAP_ARGUMENTS];
	int copied;	/* how many of its arguments' kernel copies come ... */
	__u8 copies[2];	/* ... and of which, in order */
};

#include "tap_names.h"

#define LONGEST (256 * 1024)	/* an event's line: every byte of it as \u00xx */

/* What an event's fields are, found once. */
struct parts {
	const struct tap_field *entry[TAP_ARGUMENTS];
	const struct tap_field *exit[TAP_ARGUMENTS];
	const struct tap_field *kernel[2];
	const struct tap_field *task[3];
};

static const __u8 *bytes_of(const struct tap_field *field)
{
	return (const __u8 *)(field + 1);
}

static void sort(struct parts *parts, const __u8 *fields, size_t size)
{
	size_t at = 0;

	memset(parts, 0, sizeof(*parts));
	while (at + sizeof(struct tap_field) <= size) {
		const struct tap_field *field = (const void *)(fields + at);

		at += sizeof(*field) +
		      ((field->len + TAP_ALIGN - 1) & ~(size_t)(TAP_ALIGN - 1));
		if (at > size)
			return;
		if (field->from == TAP_AT_ENTRY && field->arg < TAP_ARGUMENTS)
			parts->entry[field->arg] = field;
		else if (field->from == TAP_AT_EXIT && field->arg < TAP_ARGUMENTS)
			parts->exit[field->arg] = field;
		else if (field->from == TAP_IN_KERNEL && field->arg < 2)
			parts->kernel[field->arg] = field;
		else if (field->from == TAP_OF_TASK && field->arg < 3)
			parts->task[field->arg] = field;
	}
}

static bool is_memory(enum kind kind)
{
	return kind >= TAP_KIND_PATH;
}

/* A field's content; null for one that was not in memory. */
static void put_field(enum kind kind, const struct tap_field *field)
{
	if (!field || (field->state & TAP_FAULT && !field->len))
		put("null");
	else
		put_memory(kind, bytes_of(field), field->len);
}

static void put_params(const struct tap_described *call,
		       const struct tap_event *event, const struct parts *parts)
{
	put(", \"params\": {");
	for (int i = 0; i < call->arguments; i++) {
		putf("%s\"%s\": ", i ? ", " : "", call->argument[i].name);
		if (is_memory(call->argument[i].kind))
			put_field(call->argument[i].kind, parts->entry[i]);
		else
			put_value(call->argument[i].kind, event->args[i]);
	}
	put("}");
}

static void put_again(const struct tap_described *call, const struct parts *parts)
{
	static const char more[] = ", ";
	const char *before = ", \"exit\": {";

	for (int i = 0; i < call->arguments; i++) {
		if (!parts->exit[i])
			continue;
		putf("%s\"%s\": ", before, call->argument[i].name);
		put_field(call->argument[i].kind, parts->exit[i]);
		before = more;
	}
	if (before == more)
		put("}");
	before = ", \"kernel\": {";
	for (int i = 0; i < call->copied; i++) {
		int which = call->copies[i];

		if (!parts->kernel[i])
			continue;
		putf("%s\"%s\": ", before, call->argument[which].name);
		put_field(call->argument[which].kind, parts->kernel[i]);
		before = more;
	}
	if (before == more)
		put("}");
}

/* The names of arguments with a field of that state: at entry, "NAME_exit", "kernel_NAME". */
static void put_state(const struct tap_described *call, const struct parts *parts,
		      const char *word, __u8 state)
{
	bool any = false;

	for (int i = 0; i < call->arguments; i++) {
		const char *name = call->argument[i].name;

		if (parts->entry[i] && parts->entry[i]->state & state) {
			putf("%s\"%s\"", any ? ", " : word, name);
			any = true;
		}
		if (parts->exit[i] && parts->exit[i]->state & state) {
			putf("%s\"%s_exit\"", any ? ", " : word, name);
			any = true;
		}
	}
	if (any)
		put("]");
}

static void put_task(const struct parts *parts)
{
	static const char *const names[] = { TAP_NAMESPACE_NAMES };
	const struct tap_field *field = parts->task[TAP_ABOUT_PROCESS];
	struct tap_process process;

	if (field && field->len >= sizeof(process)) {
		memcpy(&process, bytes_of(field), sizeof(process));
		putf(", \"task\": {\"pid\": %u, \"tid\": %u, \"uid\": %u, \"euid\": %u, \"gid\": %u, \"egid\": %u, \"caps\": %llu, \"cgroup\": %llu, \"status\": %d, \"parent\": ",
		     process.pid, process.tid, process.uid, process.euid,
		     process.gid, process.egid, process.caps, process.cgroup,
		     process.status);
		put_string(process.parent, strnlen(process.parent, TAP_COMM));
		put(", \"namespaces\": {");
		for (int i = 0; i < TAP_NAMESPACES; i++)
			putf("%s\"%s\": %u", i ? ", " : "", names[i], process.ns[i]);
		put("}}");
	}
	if (parts->task[TAP_ABOUT_FILE]) {
		put(", \"file\": ");
		put_field(TAP_KIND_PATH, parts->task[TAP_ABOUT_FILE]);
	}
	if (parts->task[TAP_ABOUT_ARGS]) {
		put(", \"args\": ");
		put_field(TAP_KIND_ARGV, parts->task[TAP_ABOUT_ARGS]);
	}
}

static const char *name_of(const struct tap_event *event)
{
	static const char *const kinds[] = {
		[TAP_EXEC] = "procexec", [TAP_FORK] = "procfork",
		[TAP_EXIT] = "procexit",
	};

	if (event->kind != TAP_CALL)
		return event->kind <= TAP_EXIT ? kinds[event->kind] : NULL;
	if (event->nr >= TAP_NUMBERS)
		return NULL;
#ifdef TAP_COMPAT_ABI
	if (event->flags & TAP_COMPAT)
		return tap_compat_names[event->nr];
#endif
	return tap_native_names[event->nr];
}

static const struct tap_described *described(const char *name)
{
	size_t count = sizeof(tap_described) / sizeof(*tap_described);

	for (size_t i = 0; name && i < count; i++) {
		if (!strcmp(tap_described[i].name, name))
			return &tap_described[i];
	}
	return NULL;
}

/* The description of a call by its number, looked up once for each. */
static const struct tap_described *call_of(const struct tap_event *event,
					   const char *name)
{
	static const struct tap_described *known[2][TAP_NUMBERS];
	static bool asked[2][TAP_NUMBERS];
	int abi = event->flags & TAP_COMPAT ? 1 : 0;

	if (event->kind != TAP_CALL || event->nr >= TAP_NUMBERS)
		return NULL;
	if (!asked[abi][event->nr]) {
		known[abi][event->nr] = described(name);
		asked[abi][event->nr] = true;
	}
	return known[abi][event->nr];
}

/* How far the wall clock is ahead of the boot clock, now. */
static __s64 clock_offset(void)
{
	struct timespec wall, boot;

	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	return (wall.tv_sec - boot.tv_sec) * 1000000000ll + wall.tv_nsec -
	       boot.tv_nsec;
}

static void put_head(const struct tap_event *event, const char *name)
{
	static __s64 offset;

	/* Once for each batch: so a clock that is set is noticed at once. */
	if (json_demand(LONGEST))
		offset = clock_offset();
	put("{\"type\": \"");
	if (name)
		put(name);
	else
		putf("syscall_%u", event->nr);
	put("\", \"ts\": ");
	put_number(event->ts + offset);
	if (event->entered) {
		put(", \"entered\": ");
		put_number(event->entered + offset);
	}
	put(", \"cpu\": ");
	put_number(event->cpu);
	put(", \"tid\": ");
	put_number(event->tid);
	put(", \"pid\": ");
	put_number(event->pid);
	put(", \"ppid\": ");
	put_number(event->ppid);
	put(", \"uid\": ");
	put_number(event->uid);
	put(", \"gid\": ");
	put_number(event->gid);
	put(", \"comm\": ");
	put_string(event->comm, strnlen(event->comm, TAP_COMM));
}

void print_event(const struct tap_event *event, const __u8 *fields, size_t size)
{
	const char *name = name_of(event);
	const struct tap_described *call = call_of(event, name);
	struct parts parts;

	sort(&parts, fields, size);
	put_head(event, name);
	if (event->kind == TAP_CALL) {
#ifdef TAP_COMPAT_ABI
		put(event->flags & TAP_COMPAT ? ", \"abi\": \"" TAP_COMPAT_ABI :
		    ", \"abi\": \"" TAP_NATIVE_ABI);
#else
		put(", \"abi\": \"" TAP_NATIVE_ABI);
#endif
		put("\", \"nr\": ");
		put_number(event->nr);
		if (!(event->flags & TAP_NO_RESULT)) {
			put(", \"result\": ");
			put_number(event->result);
		}
	}
	if (event->flags & TAP_NO_ENTRY)
		put(", \"no_entry\": true");
	if (event->flags & TAP_NO_ROOM)
		put(", \"no_room\": true");
	if (call) {
		put_params(call, event, &parts);
		put_again(call, &parts);
		put_state(call, &parts, ", \"not_resident\": [", TAP_FAULT);
		put_state(call, &parts, ", \"cut\": [", TAP_CUT);
	}
	put_task(&parts);
	put("}\n");
}
