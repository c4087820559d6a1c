/* SPDX-License-Identifier: Apache-2.0 */
/* The memory that calls are given: where it lies, and what may be done with it. */
#ifndef FUZZ_MEMORY_H
#define FUZZ_MEMORY_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <sys/mman.h>

#define PAGE 4096UL
/* Below 4 GiB, so that calls of 32 bits can be given what is in it. */
#define BASE 0x20000000UL
#define PAGES 64		/* those that can be written; behind them none is mapped */
#define READ_ONLY (BASE - 4 * PAGE)
#define FORBIDDEN (BASE - 2 * PAGE)
#define END (BASE + PAGES * PAGE)

static int map_memory(void)
{
	void *place = mmap((void *)READ_ONLY, 4 * PAGE + PAGES * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (place != (void *)READ_ONLY)
		return -1;
	return mprotect((void *)FORBIDDEN, 2 * PAGE, PROT_NONE) < 0 ||
	       mprotect((void *)READ_ONLY, 2 * PAGE, PROT_READ) < 0 ? -1 : 0;
}

#endif
