/* SPDX-License-Identifier: Apache-2.0 */
/* The actions on processes: programs, ends, and what a process may. */
#ifndef LAB_ACT_PROCESSES_H
#define LAB_ACT_PROCESSES_H

#include "lab-act.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRUE "/usr/bin/true"

/* Never -1, which to kill(2) and waitpid(2) is everybody. */
static long forked(void)
{
	long made = fork();

	if (made < 0)
		die("fork");
	return made;
}

static void wait_for(long pid)
{
	if (waitpid((pid_t)pid, NULL, 0) != pid)
		die("waitpid");
}

static long do_execve(void)
{
	char *const words[] = { "true", "one two", "three", NULL };

	child = vfork();
	if (child == 0) {
		execve(TRUE, words, environ);
		_exit(127);
	}
	if (child < 0)
		die("vfork");
	wait_for(child);
	return 0;
}

/* A program that has no file: its bytes are in memory only. */
static long do_execute_memory(void)
{
	char *const words[] = { "true", "hidden", NULL };
	int from = open(TRUE, O_RDONLY | O_CLOEXEC);
	int to = (int)syscall(SYS_memfd_create, "nameless", 1 /* MFD_CLOEXEC */);
	struct stat found;

	if (from < 0 || to < 0 || fstat(from, &found) < 0 ||
	    sendfile(to, from, NULL, (size_t)found.st_size) != found.st_size)
		cannot("memfd_create");
	child = vfork();
	if (child == 0) {
		syscall(SYS_execveat, to, "", words, environ, AT_EMPTY_PATH);
		_exit(127);
	}
	if (child < 0)
		die("vfork");
	wait_for(child);
	return 0;
}

static long do_memfd(void)
{
	return told(syscall(SYS_memfd_create, "nameless", 1 /* MFD_CLOEXEC */));
}

static long do_exit(void)
{
	child = forked();
	if (child == 0)
		_exit(42);
	wait_for(child);
	return child;
}

static long do_setuid(void)
{
	return told(syscall(SYS_setuid, 65534));
}

static long do_kill(void)
{
	child = forked();
	if (child == 0) {
		pause();
		_exit(0);
	}
	return told(syscall(SYS_kill, child, SIGKILL));
}

static long do_ptrace(void)
{
	long result;

	child = forked();
	if (child == 0) {
		pause();
		_exit(0);
	}
	result = told(ptrace(PTRACE_SEIZE, (pid_t)child, NULL, NULL));
	kill((pid_t)child, SIGKILL);
	return result;
}

static long do_unshare(void)
{
	return told(syscall(SYS_unshare, CLONE_NEWNS));
}

static long do_chroot(void)
{
	return told(chroot(FOLDER));
}

#endif
