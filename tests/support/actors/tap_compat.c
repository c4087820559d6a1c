// SPDX-License-Identifier: Apache-2.0
/*
 * Makes a 32-bit system call from a 64-bit program (amd64): openat of a
 * missing file by int 0x80. Prints as JSON: {"pid": PID, "result": N}
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void)
{
	/* What it points to must lie where 32 bits reach. */
	char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	long result;

	if (low == MAP_FAILED)
		return 1;
	strcpy(low, "/work/compat");
	asm volatile("int $0x80" : "=a"(result)
		     : "a"(295L), "b"((long)AT_FDCWD & 0xffffffff), "c"(low),
		       "d"(0L), "S"(0L)
		     : "memory", "r8", "r9", "r10", "r11");
	printf("{\"pid\": %d, \"result\": %d}\n", (int)getpid(), (int)result);
	return fflush(stdout) == 0 ? 0 : 1;
}
