/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which programs, maps and links are in the kernel, by their numbers alone.
 * bpftool opens each of them, and a map that is on its way out may not be: who
 * opens and closes a prog_array while the kernel empties it keeps it for ever
 * (prog_array_map_clear takes a reference for work that is queued already).
 */
#ifndef LAB_AGENT_BPF_H
#define LAB_AGENT_BPF_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/bpf.h: BPF_*_GET_NEXT_ID, and their part of union bpf_attr. */
struct next_id {
	uint32_t start;
	uint32_t next;
	uint32_t open_flags;
};

static const struct {
	const char *word;
	int command;
} bpf_kinds[] = {
	{ "program", 11 },
	{ "map", 12 },
	{ "link", 31 },
};

/* Print "KIND NUMBER", a line each. A kernel has none of a kind that it does not know. */
static int print_bpf_numbers(void)
{
	for (size_t i = 0; i < sizeof(bpf_kinds) / sizeof(bpf_kinds[0]); i++) {
		struct next_id id = { 0 };

		while (!syscall(SYS_bpf, bpf_kinds[i].command, &id, sizeof(id))) {
			if (printf("%s %u\n", bpf_kinds[i].word, id.next) < 0)
				return 1;
			id.start = id.next;
		}
		if (errno != ENOENT && errno != EINVAL && errno != ENOSYS) {
			perror(bpf_kinds[i].word);
			return 1;
		}
	}
	return fflush(stdout) ? 1 : 0;
}

#endif
