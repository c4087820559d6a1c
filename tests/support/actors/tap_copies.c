// SPDX-License-Identifier: Apache-2.0
/*
 * Makes each call whose names the kernel copies and tap reports from there, by
 * its number, with names of its own: /work/CALL-1 and /work/CALL-2. Prints as
 * JSON: {"pid": PID, "calls": [those that this architecture has]}
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *before = "";
static char first[64], second[64];

static void name(const char *call)
{
	snprintf(first, sizeof(first), "/work/%s-1", call);
	snprintf(second, sizeof(second), "/work/%s-2", call);
	printf("%s\"%s\"", before, call);
	before = ", ";
}

/* Names of a call, of which the first is there, and the second is not. */
static void begin(const char *call)
{
	name(call);
	/* By a call that is not asked about. */
	mknod(first, S_IFREG | 0600, 0);
}

#define MAKE(call, ...) (begin(#call), syscall(SYS_##call, __VA_ARGS__))
/* The same without the first. */
#define MAKE_NEW(call, ...) (name(#call), syscall(SYS_##call, __VA_ARGS__))

int main(void)
{
	struct {
		__UINT64_TYPE__ flags, mode, resolve;
	} how = { O_RDONLY, 0, 0 };
	char *words[] = { "/work/none", NULL };

	printf("{\"pid\": %d, \"calls\": [", (int)getpid());
	/* The first two fail: the files are no programs. */
	MAKE(execve, first, words, NULL);
	MAKE(execveat, AT_FDCWD, first, words, NULL, 0);
	MAKE(openat, AT_FDCWD, first, O_RDONLY);
	MAKE(openat2, AT_FDCWD, first, &how, sizeof(how));
	MAKE(linkat, AT_FDCWD, first, AT_FDCWD, second, 0);
	MAKE(unlinkat, AT_FDCWD, first, 0);
	MAKE(renameat2, AT_FDCWD, first, AT_FDCWD, second, 0);
	MAKE(fchmodat, AT_FDCWD, first, 0640);
	MAKE_NEW(symlinkat, second, AT_FDCWD, first);
	MAKE(mount, second, first, "no-such-system", 0, NULL);
	MAKE(umount2, first, 0);
#ifdef SYS_renameat
	MAKE(renameat, AT_FDCWD, first, AT_FDCWD, second);
#endif
#ifdef SYS_open
	MAKE(open, first, O_RDONLY);
	MAKE(creat, first, 0600);
	MAKE(link, first, second);
	MAKE(unlink, first);
	MAKE(rename, first, second);
	MAKE(chmod, first, 0640);
	MAKE_NEW(symlink, second, first);
#endif
	printf("]}\n");
	return fflush(stdout) == 0 ? 0 : 1;
}
