/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers by chance, and what they choose of calls: the entry path and the call's number. */
#ifndef FUZZ_NUMBERS_H
#define FUZZ_NUMBERS_H

#include "fuzz_entries.h"
#include <stdint.h>
#include <sys/syscall.h>

/* The same from the same seed everywhere. */
static inline uint64_t next(uint64_t *state)
{
	uint64_t mixed = *state += 0x9e3779b97f4a7c15ULL;

	mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
	mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
	return mixed ^ (mixed >> 31);
}

/* Whether this kernel still has it: one by which there is none ends its process. */
static int vsyscall_page;

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
	if (how < 1022)
		return vsyscall_page || next(random) % 16 == 0 ? ENTRY_VSYSCALL : ENTRY_NATIVE;
	return ENTRY_SYSENTER;
}

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

/*
 * Only such numbers as some table has, and arguments of 32 bits: a driver may
 * be known to fall over others, and shall be asked further.
 */
static int tame;

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
	uint64_t how = next(random) % (tame ? 88 : 100);
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

#endif
