// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_calls SEED CALLS SECONDS CGROUP [ROUND]: system calls by chance, by
 * every entry path of the architecture, their numbers and arguments at and
 * beyond every edge; as nobody (65534), in throwaway processes of that cgroup,
 * which bounds their number. Prints what was done:
 *
 *   {"seed": S, "calls": N, "rounds": N, "died": N, "hung": N, "entries": {"syscall": N, ...}}
 *
 * A round is one process; what it does follows from the seed and its number
 * alone, so ROUND does that one again, and nothing else. Nothing of the C
 * library is used in it: its calls may take away what that needs.
 *
 * What would stop the test and not the driver is bent or left out: signals go
 * to the caller itself alone, and the end of a process is rare.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOBODY 65534
#define PLACE "/work/fuzz"
#define ROUND_CALLS 2000
#define HANGS_AFTER 500		/* milliseconds without a call */
#define PAGE 4096UL
/* Below 4 GiB, so that calls of 32 bits can be given what is in it. */
#define BASE 0x20000000UL
#define PAGES 64		/* those that can be written; behind them none is mapped */
#define READ_ONLY (BASE - 4 * PAGE)
#define FORBIDDEN (BASE - 2 * PAGE)
#define END (BASE + PAGES * PAGE)

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

struct shared {
	unsigned long calls;
	unsigned long by_entry[ENTRIES];
};

static struct shared *shared;

/* Numbers by chance: the same from the same seed everywhere. */
static inline uint64_t next(uint64_t *state)
{
	uint64_t mixed = *state += 0x9e3779b97f4a7c15ULL;

	mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
	mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
	return mixed ^ (mixed >> 31);
}

static inline long native(long nr, const long *a)
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = a[3];
	register long r8 __asm__("r8") = a[4];
	register long r9 __asm__("r9") = a[5];
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a[0];
	register long x1 __asm__("x1") = a[1];
	register long x2 __asm__("x2") = a[2];
	register long x3 __asm__("x3") = a[3];
	register long x4 __asm__("x4") = a[4];
	register long x5 __asm__("x5") = a[5];

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
#elif defined(__riscv)
	register long a7 __asm__("a7") = nr;
	register long a0 __asm__("a0") = a[0];
	register long a1 __asm__("a1") = a[1];
	register long a2 __asm__("a2") = a[2];
	register long a3 __asm__("a3") = a[3];
	register long a4 __asm__("a4") = a[4];
	register long a5 __asm__("a5") = a[5];

	__asm__ volatile("ecall"
			 : "+r"(a0)
			 : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5)
			 : "memory");
	return a0;
#endif
}

#if defined(__x86_64__)
/* Six arguments need rbp, which no operand can be: it is saved below what the compiler has there. */
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

/* The page that the kernel keeps for programs of long ago: three calls at fixed places, and beside them. */
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

/* What drivers look into, more often than the rest. */
static const short liked[] = {
	SYS_openat, SYS_execve, SYS_execveat, SYS_connect, SYS_bind, SYS_accept4, SYS_sendto,
	SYS_recvfrom, SYS_sendmsg, SYS_recvmsg, SYS_renameat2, SYS_unlinkat, SYS_linkat,
	SYS_symlinkat, SYS_mkdirat, SYS_fchmodat, SYS_fchownat, SYS_mount, SYS_umount2, SYS_chdir,
	SYS_chroot, SYS_ptrace, SYS_prctl, SYS_readv, SYS_writev, SYS_preadv, SYS_pwritev,
	SYS_socket, SYS_socketpair, SYS_setsockopt, SYS_getsockopt, SYS_ppoll, SYS_getcwd,
	SYS_getdents64, SYS_quotactl, SYS_bpf, SYS_userfaultfd, SYS_seccomp, SYS_memfd_create,
	SYS_process_vm_readv, SYS_process_vm_writev, SYS_finit_module, SYS_init_module, SYS_splice,
	SYS_copy_file_range, SYS_clone, SYS_setns, SYS_unshare, SYS_prlimit64, SYS_capset,
	SYS_io_uring_setup, 437 /* openat2 */, 435 /* clone3 */, 425, 426, 427, 424, 434,
#ifdef SYS_open
	SYS_open, SYS_creat, SYS_rename, SYS_unlink, SYS_link, SYS_symlink, SYS_mkdir, SYS_rmdir,
	SYS_chmod, SYS_poll, SYS_fork, SYS_vfork, SYS_epoll_wait, SYS_inotify_init,
#endif
};

/* Of the 32-bit table; socketcall and ipc are its own. */
static const short liked32[] = {
	5, 8, 9, 10, 11, 12, 14, 15, 21, 26, 38, 39, 40, 42, 61, 83, 85, 102, 102, 102, 102, 117,
	120, 145, 146, 162, 168, 172, 183, 190, 220, 221, 295, 301, 302, 303, 304, 306, 322, 331,
	353, 358, 359, 360, 361, 362, 363, 364, 365, 366, 367, 368, 369, 370, 371, 372, 437,
};

/* A call's number: one that there is, the edges of the table, or far beyond. */
static long number(uint64_t *random, enum entry entry)
{
	static const uint64_t edges[] = {
		0, 1, 333, 334, 335, 386, 387, 423, 424, 467, 468, 511, 512, 513, 547, 548, 549,
		0x3ff, 0x400, 0x7fff, 0x8000, 0xffff, 0x10000, 0x3fffffff, 0x40000000, 0x40000001,
		0x40000200, 0x40000223, 0x40000224, 0x7fffffff, 0x80000000, 0xffffffff,
		0x100000000ULL, 0x100000001ULL, 0x4000000000000000ULL, 0x7fffffffffffffffULL,
		0x8000000000000000ULL, 0xffffffffffffffffULL, 0xfffffffffffffffeULL,
		0xfffffffffffffda8ULL,
	};
	uint64_t how = next(random) % 100;
	long nr;

	if (how < 45)
		nr = entry == ENTRY_INT80 || entry == ENTRY_SYSENTER ?
			liked32[next(random) % (sizeof(liked32) / sizeof(*liked32))] :
			liked[next(random) % (sizeof(liked) / sizeof(*liked))];
	else if (how < 88)
		nr = (long)(next(random) % 475);
	else if (how < 97)
		nr = (long)edges[next(random) % (sizeof(edges) / sizeof(*edges))];
	else
		nr = (long)next(random);
	if (entry == ENTRY_X32)
		nr |= 0x40000000;
	/* What is above 32 bits is for the kernel to leave out. */
	return how == 50 ? nr | (long)(next(random) << 32) : nr;
}

static long argument(uint64_t *random)
{
	static const uint64_t edges[] = {
		0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 16, 64, 100, 255, 256, 1024, 4095, 4096,
		4097, 65535, 65536, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000ULL,
		0x7fffffffffffffffULL, 0x8000000000000000ULL, (uint64_t)-1, (uint64_t)-2,
		(uint64_t)-100 /* AT_FDCWD */, (uint64_t)-4095, (uint64_t)-4096,
		/* Of the user's memory the last, the kernel's, and what is neither. */
		0x00007ffffffff000ULL, 0x00007fffffffffffULL, 0x0000800000000000ULL,
		0xffff800000000000ULL, 0xffff888000000000ULL, 0xffffffff81000000ULL,
		0xffffffffff600000ULL, 0xffffffc000000000ULL, 0x1000000000000ULL,
		READ_ONLY, FORBIDDEN, FORBIDDEN + PAGE - 1, BASE - 1, END, END - 1, END - 7, END - 8,
		END - 100, END + PAGE,
	};
	uint64_t how = next(random) % 100;

	if (how < 40)	/* something in memory: see furnish() */
		return (long)(BASE + (next(random) % (PAGES * 4)) * (PAGE / 4));
	if (how < 60)
		return (long)(next(random) % 20);
	if (how < 90)
		return (long)edges[next(random) % (sizeof(edges) / sizeof(*edges))];
	if (how < 95)
		return (long)(1ULL << (next(random) % 64));
	return (long)next(random);
}

static const char *const texts[] = {
	"a", "b", "./a/b/../b", "/work/fuzz/a", "/etc/hostname", "/proc/self/mem", "/proc/self/exe",
	"/proc/self/fd/3", "/dev/null", "/dev/zero", "/dev/full", "/dev/tap", "/dev/scap0", "",
	".", "..", "/", "//", "/usr/bin/true", "/work/fuzz/\xff\xfe\x80", "\xed\xa0\x80", "%s%n%p",
	"line\nbreak", "/tap-oops", "/tap-sleep", "memfd:", "tmpfs", "proc", "security.x",
};

/* Fill the memory with what calls are given: each quarter of a page begins with something of its own. */
static void furnish(uint64_t *random)
{
	unsigned long i, j;

	for (i = 0; i < PAGES * 4; i++) {
		char *place = (char *)(BASE + i * (PAGE / 4));
		uint64_t *words = (uint64_t *)place;
		uint64_t kind = next(random) % 8;

		if (kind < 3) {		/* a path, or a text */
			strcpy(place, texts[next(random) % (sizeof(texts) / sizeof(*texts))]);
		} else if (kind == 3) {	/* an argv, an iovec, an end that does not come */
			for (j = 0; j < PAGE / 4 / 8; j++)
				words[j] = (uint64_t)argument(random);
		} else if (kind == 4) {	/* 32-bit words, as well an argv of that ABI */
			for (j = 0; j < PAGE / 4 / 4; j++)
				((uint32_t *)place)[j] = (uint32_t)argument(random);
		} else if (kind == 5) {	/* an address of a socket, its family perhaps none */
			struct sockaddr_un *address = (struct sockaddr_un *)place;

			address->sun_family = (sa_family_t)(next(random) % 48);
			memset(address->sun_path, (int)next(random), sizeof(address->sun_path));
		} else if (kind == 6) {	/* longer than any path, until the next of another kind */
			memset(place, 'x', PAGE / 4);
		} else {
			for (j = 0; j < PAGE / 4 / 8; j++)
				words[j] = next(random);
		}
	}
	/* A text whose end is not in memory. */
	memset((char *)END - 64, 'e', 64);
}

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

/* Which entry: on other architectures than amd64 there is but one. */
static enum entry choose(uint64_t *random)
{
	uint64_t how = next(random) % 1024;

	if (!entry_names[ENTRY_INT80] || how < 600)
		return ENTRY_NATIVE;
	if (how < 900)
		return ENTRY_INT80;
	if (how < 980)
		return ENTRY_X32;
	return how < 1022 ? ENTRY_VSYSCALL : ENTRY_SYSENTER;
}

static inline long plain(long nr)
{
	static const long none[6];

	return native(nr, none);
}

static void one_call(uint64_t *random, long self)
{
	enum entry entry = choose(random);
	long nr = number(random, entry), a[6];
	const long status[6] = { 0 };
	int i;

	for (i = 0; i < 6; i++)
		a[i] = argument(random);
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
		native(nr, a);
	}
	/* A child that a call made does nothing of its own. */
	if (plain(SYS_getpid) != self || plain(SYS_gettid) != self)
		native(SYS_exit, status);
}

static void on_alarm(int signal)
{
	(void)signal;	/* what a call waits for is not waited for */
}

static void limit(int what, rlim_t most)
{
	struct rlimit both = { most, most };

	setrlimit(what, &both);
}

/* Nobody, with bounded files, memory and descriptors; calls that block are interrupted. */
static int become_nobody(void)
{
	const struct sigaction action = { .sa_handler = on_alarm };
	const struct itimerval often = { { 0, 20000 }, { 0, 20000 } };
	int null = open("/dev/null", O_RDWR), i;

	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_FSIZE, 1 << 20);
	limit(RLIMIT_NOFILE, 128);
	limit(RLIMIT_AS, 512UL << 20);
	limit(RLIMIT_MEMLOCK, 1 << 20);
	limit(RLIMIT_MSGQUEUE, 1 << 16);
	limit(RLIMIT_CPU, 20);
	for (i = 0; i < 3; i++)
		dup2(null, i);
	(void)!pipe((int[2]){ 0 });
	(void)!socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]){ 0 });
	(void)!socket(AF_INET, SOCK_DGRAM, 0);
	(void)!open(PLACE "/a", O_RDWR | O_CREAT, 0666);
	(void)!memfd_create("fuzz", 0);
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) < 0)
		return -1;
	/* Its files in /proc are nobody's again, and it ends with who began it. */
	prctl(PR_SET_DUMPABLE, 1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGALRM, &action, NULL);
	return setitimer(ITIMER_REAL, &often, NULL);
}

static void play(uint64_t seed, unsigned long round)
{
	uint64_t random = seed ^ (round * 0xd1342543de82ef95ULL);
	long self = (long)getpid();
	int i;

	if (become_nobody() < 0)
		_exit(3);
	furnish(&random);
	for (i = 0; i < ROUND_CALLS; i++)
		one_call(&random, self);
	plain(SYS_exit_group);
}

static int put(const char *folder, const char *name, const char *text)
{
	char path[512];
	int file, done;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = open(path, O_WRONLY | O_CLOEXEC);
	if (file < 0)
		return -1;
	done = write(file, text, strlen(text)) < 0 ? -1 : 0;
	close(file);
	return done;
}

/* Kill all that a round left. Who was just being made is met the next time. */
static int sweep(const char *group)
{
	char path[512], word[32];
	FILE *tasks;
	int tries, left, pid;

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	for (tries = 0; tries < 1000; tries++) {
		left = 0;
		tasks = fopen(path, "re");
		if (!tasks)
			return -1;
		while (fgets(word, sizeof(word), tasks)) {
			pid = atoi(word);
			if (pid > 1) {
				left = 1;
				kill(pid, SIGKILL);
			}
		}
		fclose(tasks);
		if (!left)
			return 0;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		usleep(1000);
	}
	return -1;
}

static int prepare(void)
{
	void *place;

	if (mkdir(PLACE, 0777) < 0 && errno != EEXIST)
		return -1;
	/* What is made here of messages, semaphores, mounts and files is gone with this process. */
	if (unshare(CLONE_NEWIPC | CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("fuzz", PLACE, "tmpfs", 0, "size=16m,mode=777") < 0 || chdir(PLACE) < 0)
		return -1;
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	place = mmap((void *)READ_ONLY, 4 * PAGE + PAGES * PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (shared == MAP_FAILED || place != (void *)READ_ONLY)
		return -1;
	/* Orphans come here, to be reaped. */
	return mprotect((void *)FORBIDDEN, 2 * PAGE, PROT_NONE) < 0 ||
	       mprotect((void *)READ_ONLY, 2 * PAGE, PROT_READ) < 0 ||
	       prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ? -1 : 0;
}

static long milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* One round: 0 it came to its end, 1 it died on the way, 2 it hung; below 0 the lab's own failure. */
static int run_round(uint64_t seed, unsigned long round, const char *group)
{
	unsigned long known = shared->calls;
	long since = milliseconds();
	pid_t child = fork(), ended;
	int status = 0, hung = 0;

	if (child < 0)
		return -1;
	if (child == 0) {
		if (put(group, "cgroup.procs", "0") < 0)
			_exit(3);
		play(seed, round);
	}
	for (;;) {
		ended = waitpid(child, &status, WNOHANG);
		if (ended == child || (ended < 0 && errno != EINTR))
			break;
		if (__atomic_load_n(&shared->calls, __ATOMIC_RELAXED) != known) {
			known = shared->calls;
			since = milliseconds();
		} else if (!hung && milliseconds() - since > HANGS_AFTER) {
			hung = 1;
			kill(child, SIGKILL);
		}
		usleep(1000);
	}
	if (sweep(group) < 0)
		return -1;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 3)
		return -1;
	return hung ? 2 : !WIFEXITED(status);
}

int main(int argc, char **argv)
{
	unsigned long wanted, rounds = 0, only = 0, ends[3] = { 0 };
	uint64_t seed;
	long end;
	int done, i;

	if (argc != 5 && argc != 6) {
		fprintf(stderr, "fuzz_calls SEED CALLS SECONDS CGROUP [ROUND]\n");
		return 2;
	}
	seed = strtoull(argv[1], NULL, 10);
	wanted = strtoul(argv[2], NULL, 10);
	end = milliseconds() + 1000 * strtol(argv[3], NULL, 10);
	if (argc == 6)
		only = strtoul(argv[5], NULL, 10);
	if (prepare() < 0) {
		perror("fuzz_calls");
		return 1;
	}
	while (shared->calls < wanted && milliseconds() < end && !(only && rounds)) {
		rounds++;
		done = run_round(seed, only ? only : rounds, argv[4]);
		if (done < 0) {
			fprintf(stderr, "fuzz_calls: round %lu was not made\n", rounds);
			return 1;
		}
		ends[done]++;
	}
	printf("{\"seed\": %llu, \"calls\": %lu, \"rounds\": %lu, \"died\": %lu, \"hung\": %lu, \"entries\": {",
	       (unsigned long long)seed, shared->calls, rounds, ends[1], ends[2]);
	for (i = 0; i < ENTRIES && entry_names[i]; i++)
		printf("%s\"%s\": %lu", i ? ", " : "", entry_names[i], shared->by_entry[i]);
	printf("}}\n");
	return fflush(stdout) == 0 ? 0 : 1;
}
