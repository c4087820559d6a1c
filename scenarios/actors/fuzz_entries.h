/* SPDX-License-Identifier: Apache-2.0 */
/* The entry paths of the architecture: those of its own calls, and older ones. */
#ifndef FUZZ_ENTRIES_H
#define FUZZ_ENTRIES_H

#include "native_call.h"
#include <stddef.h>

enum entry { ENTRY_NATIVE, ENTRY_X32, ENTRY_INT80, ENTRY_VSYSCALL, ENTRY_SYSENTER, ENTRIES };

static const char *const entry_names[ENTRIES] = {
#if defined(__x86_64__)
	"syscall", "x32", "int80", "vsyscall", "sysenter",
#elif defined(__aarch64__)
	"svc", NULL, NULL, NULL, NULL,
#elif defined(__riscv)
	"ecall", NULL, NULL, NULL, NULL,
#endif
};

static inline long plain(long nr)
{
	static const long none[6];

	return native_call(nr, none);
}

#if defined(__x86_64__)
/*
 * Six arguments need rbp, which no operand can be: it is saved below what the
 * compiler has there.
 */
static inline long int80(long nr, const long *a)
{
	long result;

	__asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
			 "push %%rbp\n\t"
			 "mov %[sixth], %%rbp\n\t"
			 "int $0x80\n\t"
			 "pop %%rbp\n\t"
			 "lea 128(%%rsp), %%rsp"
			 : "=a"(result)
			 : "a"(nr), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4]),
			   [sixth] "r"(a[5])
			 : "r8", "r9", "r10", "r11", "memory");
	return result;
}

/*
 * The page that the kernel keeps for programs of long ago: three calls at fixed
 * places, and beside them.
 */
static inline long vsyscall(unsigned long nr, const long *a)
{
	static const unsigned long places[] = {
		0xffffffffff600000UL, 0xffffffffff600400UL, 0xffffffffff600800UL,
		0xffffffffff600001UL, 0xffffffffff600c00UL, 0xffffffffff5ff000UL,
	};
	/* The first three return; one beside them ends the process. */
	unsigned long place = places[nr % 64 ? nr % 3 : 3 + nr / 64 % 3];
	long result;

	__asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
			 "call *%[place]\n\t"
			 "lea 128(%%rsp), %%rsp"
			 : "=a"(result)
			 : [place] "r"(place), "D"(a[0]), "S"(a[1]), "d"(a[2])
			 : "rcx", "r8", "r9", "r10", "r11", "memory");
	return result;
}

/* No process of 64 bits comes back from it. */
static inline void sysenter(long nr, const long *a)
{
	__asm__ volatile("sysenter"
			 :
			 : "a"(nr), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4])
			 : "memory");
}
#endif

#endif
