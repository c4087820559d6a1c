/* SPDX-License-Identifier: Apache-2.0 */
/* What calls are given by chance: arguments, and what is in the memory that these point to. */
#ifndef FUZZ_ARGUMENTS_H
#define FUZZ_ARGUMENTS_H

#include "fuzz_memory.h"
#include "fuzz_numbers.h"
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static long argument(uint64_t *random)
{
	static const uint64_t edges[] = {
		0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 16, 64, 100, 255, 256, 1024, 4095, 4096,
		4097, 65535, 65536, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000ULL,
		0x7fffffffffffffffULL, 0x8000000000000000ULL, (uint64_t)-1, (uint64_t)-2,
		(uint64_t)-100 /* AT_FDCWD */, (uint64_t)-4095, (uint64_t)-4096,
		/* Of the user's memory the last, the kernel's, and what is neither. */
		0x00007ffffffff000ULL, 0x00007fffffffffffULL, 0x0000800000000000ULL,
		0xffff800000000000ULL, 0xffff888000000000ULL, 0xffffffff81000000ULL,
		0xffffffffff600000ULL, 0xffffffc000000000ULL, 0x1000000000000ULL,
		READ_ONLY, FORBIDDEN, FORBIDDEN + PAGE - 1, BASE - 1, END, END - 1, END - 7,
		END - 8, END - 100, END + PAGE,
	};
	uint64_t how = next(random) % 100;

	if (how < 40)	/* something in memory: see furnish() */
		return (long)(BASE + (next(random) % (PAGES * 4)) * (PAGE / 4));
	if (how < 60)
		return (long)(next(random) % 20);
	if (how < 90)
		return (long)edges[next(random) % (sizeof(edges) / sizeof(*edges))];
	if (how < 95)
		return (long)(1ULL << (next(random) % 64));
	return (long)next(random);
}

static const char *const texts[] = {
	"a", "b", "./a/b/../b", "/work/fuzz/a", "/etc/hostname", "/proc/self/mem", "/proc/self/exe",
	"/proc/self/fd/3", "/dev/null", "/dev/zero", "/dev/full", "/dev/tap", "/dev/scap0", "",
	".", "..", "/", "//", "/usr/bin/true", "/work/fuzz/\xff\xfe\x80", "\xed\xa0\x80", "%s%n%p",
	"line\nbreak", "/tap-oops", "/tap-sleep", "memfd:", "tmpfs", "proc", "security.x",
};

/*
 * Fill the memory with what calls are given: each quarter of a page begins with
 * something of its own.
 */
static void furnish(uint64_t *random)
{
	unsigned long i, j;

	for (i = 0; i < PAGES * 4; i++) {
		char *place = (char *)(BASE + i * (PAGE / 4));
		uint64_t *words = (uint64_t *)place;
		uint64_t kind = next(random) % 8;

		if (kind < 3) {		/* a path, or a text */
			strcpy(place, texts[next(random) % (sizeof(texts) / sizeof(*texts))]);
		} else if (kind == 3) {	/* an argv, an iovec, an end that does not come */
			for (j = 0; j < PAGE / 4 / 8; j++)
				words[j] = (uint64_t)argument(random);
		} else if (kind == 4) {	/* 32-bit words, as well an argv of that ABI */
			for (j = 0; j < PAGE / 4 / 4; j++)
				((uint32_t *)place)[j] = (uint32_t)argument(random);
		} else if (kind == 5) {	/* an address of a socket, its family perhaps none */
			struct sockaddr_un *address = (struct sockaddr_un *)place;

			address->sun_family = (sa_family_t)(next(random) % 48);
			memset(address->sun_path, (int)next(random), sizeof(address->sun_path));
		} else if (kind == 6) {	/* longer than any path, until the next of another kind */
			memset(place, 'x', PAGE / 4);
		} else {
			for (j = 0; j < PAGE / 4 / 8; j++)
				words[j] = next(random);
		}
	}
	/* A text whose end is not in memory. */
	memset((char *)END - 64, 'e', 64);
}

#endif
