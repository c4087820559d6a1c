// SPDX-License-Identifier: Apache-2.0
/*
 * Makes the system calls that a file asks for, a line each, and prints as JSON
 * what the kernel returned:
 * {"calls": [{"result": N, "pid": N, "status": N}, ...]}
 * They are made by a child, which makes no others of its own: it only forks,
 * and waits, for the calls that want it.
 *
 * A line: NUMBER HOW ARGUMENT... HOW is "-", or letters:
 *   c  as a 32-bit call, by int $0x80 (amd64; NUMBER is i386's)
 *   k  in a child of its own: "pid" is the child's, "status" its end as wait(2)
 *      has it, "result" null when the call did not return
 *   d  in a child that has dropped its capabilities
 *   f  the call makes a child, which ends at once with status 7
 * An argument:
 *   i:N     a number         s:HEX  a string        b:HEX  bytes
 *   z:N     N zero bytes     v:HEX,HEX,...  a list of strings, as argv
 *   n       NULL             u      memory that cannot be read
 *   r:K     what call K returned     @K.A   the memory of argument A of call K
 *   x:O_...,N,...   flags, by name where architectures have different numbers
 *   pid     this process
 * All memory has been written to, and is mapped in who makes the call; on amd64
 * it lies below 2 GiB, where a 32-bit call can point to. Lines are counted from
 * 0, and so are arguments.
 */
#include "syscalls_make.h"
#include "syscalls_script.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void quiet(int signal)
{
	(void)signal;
}

static void prepare(void)
{
	struct sigaction action = { .sa_handler = quiet };
	struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };

	map_arena();
	/* Before 5.11 BPF maps are locked memory, and a driver's count as its user's. */
	if (setrlimit(RLIMIT_MEMLOCK, &none) < 0)
		die("setrlimit");
	if (sigaction(SIGUSR2, &action, NULL) < 0)
		die("sigaction");
}

/* All lines of the script; in the child. How many there were is in *count. */
static void work(char *text, int *count)
{
	char *line;

	while ((line = strsep(&text, "\n")) != NULL) {
		if (*line == '\0')
			continue;
		if (*count == MOST_CALLS)
			refuse("too many calls", line);
		calls[*count].pid = getpid();
		/* Just before it is made: it may want what an earlier one returned. */
		parse(line, *count);
		if (calls[*count].child)
			make_in_child(&calls[*count]);
		else
			make(&calls[*count]);
		++*count;
	}
}

static void report(int count)
{
	int i;

	printf("{\"calls\": [");
	for (i = 0; i < count; i++) {
		printf("%s{\"result\": ", i ? ", " : "");
		if (calls[i].returned)
			printf("%ld", calls[i].result);
		else
			printf("null");
		printf(", \"pid\": %d, \"status\": %d}", (int)calls[i].pid, calls[i].status);
	}
	printf("]}\n");
	if (fflush(stdout) != 0)
		die("stdout");
}

int main(int argc, char **argv)
{
	int *count, status;
	char *text;
	pid_t worker;

	if (argc != 2)
		refuse("it takes one argument", "FILE");
	prepare();
	count = take(sizeof(*count));
	text = contents(argv[1]);
	worker = fork();
	if (worker < 0)
		die("fork");
	if (worker == 0) {
		work(text, count);
		_exit(0);
	}
	if (waitpid(worker, &status, 0) != worker)
		die("waitpid");
	if (status != 0) {
		fprintf(stderr, "syscalls: the worker ended with %d\n", status);
		return 1;
	}
	report(*count);
	return 0;
}
