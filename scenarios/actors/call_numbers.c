// SPDX-License-Identifier: Apache-2.0
/*
 * call_numbers: system calls that there are not, by every entry path of the
 * architecture, as nobody (65534), each in a process of its own. Prints
 * {"calls": N, "refused": N, "died": N}: those that the kernel refused with
 * ENOSYS, and processes that did not live to tell.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

static const unsigned int numbers[] = {
	511, 512, 513, 548, 549, 600, 1023, 1024, 4096, 65535, 65536, 0x100000,
	0x1000000, 0x10000000, 0x3fffffff, 0x7087fd7d, 0x7fffffff, 0x80000000,
	0xfffffffe, 0xffffffff,
};

static long native(unsigned int nr)
{
	return syscall((long)(int)nr, 0, 0, 0, 0, 0, 0) < 0 ? -errno : 0;
}

#if defined(__x86_64__)
static long int80(unsigned int nr)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"((unsigned long)nr), "b"(0), "c"(0), "d"(0), "S"(0), "D"(0)
			 : "r8", "r9", "r10", "r11", "memory");
	return (int)result;
}

static long x32(unsigned int nr)
{
	return native(nr | 0x40000000);
}

static long (*const entries[])(unsigned int) = { native, int80, x32 };
#else
static long (*const entries[])(unsigned int) = { native };
#endif

int main(void)
{
	unsigned int calls = 0, refused = 0, died = 0, entry, i;
	int status;
	pid_t child;

	for (entry = 0; entry < sizeof(entries) / sizeof(*entries); entry++) {
		for (i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
			child = fork();
			if (child < 0) {
				perror("fork");
				return 1;
			}
			if (child == 0) {
				if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
					_exit(2);
				_exit(entries[entry](numbers[i]) == -ENOSYS ? 0 : 1);
			}
			if (waitpid(child, &status, 0) != child) {
				perror("waitpid");
				return 1;
			}
			calls++;
			refused += WIFEXITED(status) && WEXITSTATUS(status) == 0;
			died += !WIFEXITED(status);
		}
	}
	printf("{\"calls\": %u, \"refused\": %u, \"died\": %u}\n", calls, refused, died);
	return fflush(stdout) == 0 ? 0 : 1;
}
