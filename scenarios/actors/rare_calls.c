// SPDX-License-Identifier: Apache-2.0
/*
 * Calls that are rare in honest programs, each in a way that does no harm.
 *
 * usage: rare_calls userfaultfd|pidfd_send_signal|fsopen|mount_setattr|kexec_load
 * Prints {"pid": N, "result": N} (-errno: it failed).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the headers that this is built with, the same on every architecture. */
#define NR_PIDFD_SEND_SIGNAL 424
#define NR_FSOPEN 430
#define NR_PIDFD_OPEN 434
#define NR_MOUNT_SETATTR 442

int main(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";
	long long attributes[4] = { 0 };
	long result;

	if (!strcmp(what, "userfaultfd"))
		result = syscall(SYS_userfaultfd, O_CLOEXEC);
	else if (!strcmp(what, "pidfd_send_signal"))
		result = syscall(NR_PIDFD_SEND_SIGNAL, syscall(NR_PIDFD_OPEN, getpid(), 0), 0, NULL, 0);
	else if (!strcmp(what, "fsopen"))
		result = syscall(NR_FSOPEN, "tmpfs", 0);
	else if (!strcmp(what, "mount_setattr"))
		result = syscall(NR_MOUNT_SETATTR, AT_FDCWD, "/", 0, attributes, sizeof(attributes));
	else if (!strcmp(what, "kexec_load"))
		/* Of no segments: nothing is loaded, and what was is gone. */
		result = syscall(SYS_kexec_load, 0, 0, NULL, 0);
	else
		return 2;
	printf("{\"pid\": %d, \"result\": %ld}\n", (int)getpid(), result < 0 ? -(long)errno : result);
	return fflush(stdout) == 0 ? 0 : 1;
}
