/* SPDX-License-Identifier: Apache-2.0 */
/* A round: a process, nobody's, makes calls until all are made or one of them ends it. */
#ifndef FUZZ_ROUND_H
#define FUZZ_ROUND_H

#include "fuzz_arguments.h"
#include "fuzz_entries.h"
#include "fuzz_numbers.h"
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define NOBODY 65534
#define PLACE "/work/fuzz"
#define ROUND_CALLS 2000

/* What is counted over all rounds, from within them. */
struct shared {
	unsigned long calls;
	int not_begun;	/* a round could not: its status is chance's, which may end it with any */
	unsigned long by_entry[ENTRIES];
};

static struct shared *shared;

/* What would end the test, or be of no use: made harmless, or left out (false). */
static int bend(uint64_t *random, enum entry entry, unsigned int nr, long *a, long self)
{
	int rare = next(random) % 64 == 0;

	if (entry == ENTRY_INT80 || entry == ENTRY_SYSENTER) {
		switch (nr) {
		case 1: case 252: case 119: case 173:	/* exit, exit_group, sigreturn */
			return rare;
		case 37: case 238: case 178:		/* kill, tkill, rt_sigqueueinfo */
			a[0] = self;
			return rare;
		case 270: case 335:			/* tgkill, rt_tgsigqueueinfo */
			a[0] = a[1] = self;
			return rare;
		case 90: case 91: case 125: case 163: case 192: case 45:
			return rare;			/* what takes memory away */
		}
		return 1;
	}
	switch (nr) {
	case SYS_exit: case SYS_exit_group: case SYS_rt_sigreturn:
		return rare;
	case SYS_kill: case SYS_tkill: case SYS_rt_sigqueueinfo:
		a[0] = self;
		return rare;
	case SYS_tgkill: case SYS_rt_tgsigqueueinfo:
		a[0] = a[1] = self;
		return rare;
	case SYS_munmap: case SYS_mremap: case SYS_mprotect: case SYS_mmap: case SYS_brk:
		return rare;
	}
	return 1;
}

static void one_call(uint64_t *random, long self)
{
	enum entry entry = choose(random);
	long nr = number(random, entry), a[6];
	const long status[6] = { 0 };
	int i;

	for (i = 0; i < 6; i++) {
		a[i] = argument(random);
		if (tame)
			a[i] &= 0xffffffff;
	}
	if (!bend(random, entry, (unsigned int)nr & ~0x40000000U, a, self))
		return;
	__atomic_add_fetch(&shared->calls, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&shared->by_entry[entry], 1, __ATOMIC_RELAXED);
	switch (entry) {
#if defined(__x86_64__)
	case ENTRY_INT80:
		int80(nr, a);
		break;
	case ENTRY_VSYSCALL:
		vsyscall((unsigned long)nr, a);
		break;
	case ENTRY_SYSENTER:
		sysenter(nr, a);
		break;
#endif
	default:
		native_call(nr, a);
	}
	/* A child that a call made does nothing of its own. */
	if (plain(SYS_getpid) != self || plain(SYS_gettid) != self)
		native_call(SYS_exit, status);
}

static void on_alarm(int signal)
{
	(void)signal;	/* what a call waits for is not waited for */
}

static int limit(int what, rlim_t most)
{
	struct rlimit both = { most, most };

	return setrlimit(what, &both);
}

/* Nobody, with bounded files, memory and descriptors; calls that block are interrupted. */
static int become_nobody(void)
{
	const struct sigaction action = { .sa_handler = on_alarm };
	const struct itimerval often = { { 0, 20000 }, { 0, 20000 } };
	int null = open("/dev/null", O_RDWR), i;

	if (limit(RLIMIT_CORE, 0) < 0 || limit(RLIMIT_FSIZE, 1 << 20) < 0 ||
	    limit(RLIMIT_NOFILE, 128) < 0 || limit(RLIMIT_AS, 512UL << 20) < 0 ||
	    limit(RLIMIT_MEMLOCK, 1 << 20) < 0 || limit(RLIMIT_MSGQUEUE, 1 << 16) < 0 ||
	    limit(RLIMIT_CPU, 20) < 0)
		return -1;
	for (i = 0; i < 3; i++)
		if (dup2(null, i) < 0)
			return -1;
	/* Descriptors for calls to be given: a round with fewer is a round. */
	(void)!pipe((int[2]){ 0 });
	(void)!socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]){ 0 });
	(void)!socket(AF_INET, SOCK_DGRAM, 0);
	(void)!open(PLACE "/a", O_RDWR | O_CREAT, 0666);
	(void)!memfd_create("fuzz", 0);
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) < 0)
		return -1;
	/* Its files in /proc are nobody's again, and it ends with who began it. */
	if (prctl(PR_SET_DUMPABLE, 1) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
	    sigaction(SIGALRM, &action, NULL) < 0)
		return -1;
	return setitimer(ITIMER_REAL, &often, NULL);
}

static void not_begun(void)
{
	shared->not_begun = 1;
	_exit(1);
}

/* Each name once, which chance may forget in a short run. */
static void open_all(void)
{
	unsigned int i;

	for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		int file = open(texts[i], O_RDONLY | O_NONBLOCK | O_CLOEXEC);

		if (file >= 0)
			close(file);
	}
}

static void play(uint64_t seed, unsigned long round)
{
	uint64_t random = seed ^ (round * 0xd1342543de82ef95ULL);
	long self = (long)getpid();
	int i;

	if (become_nobody() < 0)
		not_begun();
	furnish(&random);
	if (round == 1)
		open_all();
	for (i = 0; i < ROUND_CALLS; i++)
		one_call(&random, self);
	plain(SYS_exit_group);
}

#endif
