// SPDX-License-Identifier: Apache-2.0
/*
 * Writes into another process's memory: it waits on a pipe, and ends with what
 * it then finds there.
 *
 * usage: inject_code ptrace|process_vm_writev|proc_mem|traceme
 * Prints {"pid": N, "victim": N, "status": 7}: 7 is what was written. traceme
 * only has a child ask to be traced, as programs do that want no debugger.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile long word = 1;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void by_ptrace(pid_t victim)
{
	if (ptrace(PTRACE_ATTACH, victim, NULL, NULL))
		fail("PTRACE_ATTACH");
	if (waitpid(victim, NULL, 0) != victim)
		fail("waitpid");
	if (ptrace(PTRACE_POKEDATA, victim, (void *)&word, (void *)7))
		fail("PTRACE_POKEDATA");
	if (ptrace(PTRACE_DETACH, victim, NULL, NULL))
		fail("PTRACE_DETACH");
}

static void by_writev(pid_t victim)
{
	long seven = 7;
	struct iovec from = { &seven, sizeof(seven) }, to = { (void *)&word, sizeof(word) };

	if (process_vm_writev(victim, &from, 1, &to, 1, 0) != (ssize_t)sizeof(word))
		fail("process_vm_writev");
}

static void by_mem(pid_t victim)
{
	long seven = 7;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)victim);
	fd = open(path, O_RDWR);
	if (fd < 0 || pwrite(fd, &seven, sizeof(seven), (off_t)(uintptr_t)&word) !=
			      (ssize_t)sizeof(seven))
		fail(path);
	close(fd);
}

int main(int argc, char **argv)
{
	int gate[2], status;
	pid_t victim;
	char byte;

	if (argc != 2 || pipe(gate)) {
		fprintf(stderr, "usage: %s ptrace|process_vm_writev|proc_mem|traceme\n", argv[0]);
		return 2;
	}
	victim = fork();
	if (victim < 0)
		fail("fork");
	if (victim == 0) {
		close(gate[1]);
		if (!strcmp(argv[1], "traceme"))
			_exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) ? 1 : 7);
		/* A signal of ptrace's may interrupt it. */
		while (read(gate[0], &byte, 1) < 0)
			;
		_exit((int)word);
	}
	close(gate[0]);
	if (!strcmp(argv[1], "ptrace"))
		by_ptrace(victim);
	else if (!strcmp(argv[1], "process_vm_writev"))
		by_writev(victim);
	else if (!strcmp(argv[1], "proc_mem"))
		by_mem(victim);
	close(gate[1]);
	if (waitpid(victim, &status, 0) != victim || !WIFEXITED(status))
		fail("waitpid");
	printf("{\"pid\": %d, \"victim\": %d, \"status\": %d}\n", (int)getpid(), (int)victim,
	       WEXITSTATUS(status));
	return fflush(stdout) == 0 ? 0 : 1;
}
