// SPDX-License-Identifier: Apache-2.0
/*
 * huge_counts: calls that take a count of elements, or a size, with such as are
 * around 2^31, 2^32 and 2^63, and such as overflow when they are multiplied by
 * the elements' size; with memory behind them and without, as nobody (65534).
 * The kernel cuts off or refuses all of them; whoever watches has to do as
 * much. Says on the console which call comes next. Prints {"calls": N,
 * "died": ["poll", ...]}: how many were made, and those whose process did not
 * live to tell.
 */
#define _GNU_SOURCE
#include "announce.h"
#include "native_call.h"
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOBODY 65534
#define ROOM 65536	/* bytes of the elements' memory; what is behind it is nobody's */
#define LONGEST 10	/* seconds of a call's process */

/* Where a call has its count, elements, a descriptor and a time to wait; -1 where it has none. */
struct call {
	const char *name;
	long nr;
	int count, elements, file, wait;
};

#define CALL(name, count, elements, file, wait) { #name, SYS_##name, count, elements, file, wait }

static const struct call calls[] = {
#ifdef SYS_poll
	CALL(poll, 1, 0, -1, -1), CALL(select, 0, 1, -1, 4), CALL(epoll_wait, 2, 1, 0, -1),
#endif
	CALL(ppoll, 1, 0, -1, 2), CALL(pselect6, 0, 1, -1, 4), CALL(epoll_pwait, 2, 1, 0, -1),
	CALL(readv, 2, 1, 0, -1), CALL(writev, 2, 1, 0, -1), CALL(preadv, 2, 1, 0, -1),
	CALL(pwritev, 2, 1, 0, -1), CALL(preadv2, 2, 1, 0, -1), CALL(pwritev2, 2, 1, 0, -1),
	CALL(vmsplice, 2, 1, 0, -1), CALL(process_vm_readv, 2, 1, -1, -1),
	CALL(process_vm_writev, 2, 1, -1, -1), CALL(sendmmsg, 2, 1, 0, -1),
	CALL(recvmmsg, 2, 1, 0, 4), CALL(read, 2, 1, 0, -1), CALL(write, 2, 1, 0, -1),
	CALL(pread64, 2, 1, 0, -1), CALL(pwrite64, 2, 1, 0, -1), CALL(sendto, 2, 1, 0, -1),
	CALL(recvfrom, 2, 1, 0, -1), CALL(connect, 2, 1, 0, -1), CALL(bind, 2, 1, 0, -1),
	CALL(setsockopt, 4, 3, 0, -1), CALL(getrandom, 1, 0, -1, -1), CALL(getcwd, 1, 0, -1, -1),
	CALL(getdents64, 2, 1, 0, -1), CALL(getgroups, 0, 1, -1, -1), CALL(setgroups, 0, 1, -1, -1),
	CALL(io_submit, 1, 2, -1, -1), CALL(semop, 2, 1, -1, -1), CALL(bpf, 2, 1, -1, -1),
	CALL(init_module, 1, 0, -1, -1), CALL(sched_setaffinity, 1, 2, -1, -1),
	CALL(move_pages, 1, 2, -1, -1), CALL(copy_file_range, 4, -1, 0, -1),
};

#define CALLS (sizeof(calls) / sizeof(*calls))

/* Sizes that elements and their records have. */
static const uint64_t sizes[] = { 2, 4, 8, 10, 16, 18, 24, 56, 64 };
static const uint64_t edges[] = {
	0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x8000000000000000,
	0x8000000000000001, 0xc000000000000000, 0xfffffffffffffff0, 0xffffffffffffffff,
};

static unsigned long *made;

static void make(const struct call *call, uint64_t count, void *elements, int file)
{
	static const struct timespec none;
	long a[6] = { 0 };

	a[call->count] = (long)count;
	if (call->elements >= 0)
		a[call->elements] = (long)elements;
	if (call->file >= 0)
		a[call->file] = file;
	if (call->wait >= 0)
		a[call->wait] = (long)&none;
	++*made;
	native_call(call->nr, a);
}

static void make_all(const struct call *call, char *elements, int file)
{
	char *places[] = { NULL, elements };
	unsigned int place, i;

	for (place = 0; place < sizeof(places) / sizeof(*places); place++) {
		for (i = 0; i < sizeof(edges) / sizeof(*edges); i++)
			make(call, edges[i], places[place], file);
		for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
			make(call, UINT64_MAX / sizes[i] + 1, places[place], file);
			make(call, UINT32_MAX / sizes[i] + 1, places[place], file);
		}
	}
}

/* One call's process: 0 it came to its end, 1 it died; below 0 the lab's own failure. */
static int in_a_process(const struct call *call, char *elements, int file)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		return -1;
	if (child == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || setgroups(0, NULL) < 0 ||
		    setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
			_exit(1);
		alarm(LONGEST);
		make_all(call, elements, file);
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child)
		return -1;
	if (WIFEXITED(status))
		return WEXITSTATUS(status) ? -1 : 0;
	return 1;
}

int main(void)
{
	const char *between = "";
	int files[2], ended;
	char *elements;
	unsigned int i;

	made = mmap(NULL, sizeof(*made), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	elements = mmap(NULL, 2 * ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (made == MAP_FAILED || elements == MAP_FAILED ||
	    mprotect(elements + ROOM, ROOM, PROT_NONE) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, files) < 0) {
		perror("huge_counts");
		return 1;
	}
	memset(elements, 0, ROOM);
	printf("{\"died\": [");
	for (i = 0; i < CALLS; i++) {
		/* What was printed until now must not be printed by a child. */
		fflush(stdout);
		if (announce("huge_counts", calls[i].name) < 0) {
			perror("/dev/kmsg");
			return 1;
		}
		ended = in_a_process(&calls[i], elements, files[0]);
		if (ended < 0) {
			fprintf(stderr, "huge_counts: %s was not made: %s\n", calls[i].name, strerror(errno));
			return 1;
		}
		if (ended) {
			printf("%s\"%s\"", between, calls[i].name);
			between = ", ";
		}
	}
	if (announce("huge_counts", "done") < 0) {
		perror("/dev/kmsg");
		return 1;
	}
	printf("], \"calls\": %lu}\n", *made);
	return fflush(stdout) == 0 ? 0 : 1;
}
