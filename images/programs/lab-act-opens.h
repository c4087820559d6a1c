/* SPDX-License-Identifier: Apache-2.0 */
/* The actions that open a file: by every call and every name for it. */
#ifndef LAB_ACT_OPENS_H
#define LAB_ACT_OPENS_H

#include "lab-act.h"
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static long do_open(void)
{
	return told(syscall(SYS_openat, AT_FDCWD, A_FILE, O_RDWR | O_CLOEXEC, 0));
}

static long do_open_missing(void)
{
	return told(syscall(SYS_openat, AT_FDCWD, FOLDER "/absent", O_RDONLY, 0));
}

static long do_open_long(void)
{
	static char path[4096];
	int i;

	/* Of the longest length that there is, and still the file. */
	strcpy(path, FOLDER);
	while (strlen(path) + strlen("/./file") < 4090)
		strcat(path, "/.");
	for (i = (int)strlen(path); i < 4095 - (int)strlen("file"); i++)
		path[i] = '/';
	strcat(path, "file");
	return told(syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0));
}

static long do_open_relative(void)
{
	int fd = open(FOLDER, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		die(FOLDER);
	return told(syscall(SYS_openat, fd, "file", O_RDONLY | O_CLOEXEC, 0));
}

static long do_openat2(void)
{
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS };

	return told(syscall(SYS_openat2, AT_FDCWD, A_FILE, &how, sizeof(how)));
}

static long do_open_by_handle(void)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} found;
	int mount_id, around;

	found.handle.handle_bytes = MAX_HANDLE_SZ;
	around = open(FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (around < 0 || name_to_handle_at(AT_FDCWD, A_FILE, &found.handle, &mount_id, 0) < 0)
		cannot("name_to_handle_at");
	return told(syscall(SYS_open_by_handle_at, around, &found.handle, O_RDONLY | O_CLOEXEC));
}

/* Without the system call openat. */
static long do_open_io_uring(void)
{
	struct io_uring_params params = { 0 };
	struct io_uring_sqe *entries;
	struct io_uring_cqe *done;
	char *ring;
	unsigned int *array;
	int fd = (int)syscall(SYS_io_uring_setup, 2, &params);

	if (fd < 0 || !(params.features & IORING_FEAT_SINGLE_MMAP))
		cannot("io_uring_setup");
	ring = mmap(NULL, params.cq_off.cqes + params.cq_entries * sizeof(*done),
		    PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
	entries = mmap(NULL, params.sq_entries * sizeof(*entries),
		       PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
	if (ring == MAP_FAILED || entries == MAP_FAILED)
		die("mmap");
	memset(entries, 0, sizeof(*entries));
	entries->opcode = IORING_OP_OPENAT;
	entries->fd = AT_FDCWD;
	entries->addr = (unsigned long)A_FILE;
	entries->open_flags = O_RDONLY;
	array = (unsigned int *)(ring + params.sq_off.array);
	array[0] = 0;
	__atomic_store_n((unsigned int *)(ring + params.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
		die("io_uring_enter");
	done = (struct io_uring_cqe *)(ring + params.cq_off.cqes);
	return done->res;
}

static long do_open_compat(void)
{
#ifdef __x86_64__
	char *name = mmap((void *)0x20000000, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	long result;

	if (name == MAP_FAILED)
		die("mmap");
	strcpy(name, A_FILE);
	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(5L), "b"(name), "c"((long)O_RDONLY), "d"(0L)
			 : "memory", "cc", "r8", "r9", "r10", "r11");
	return (int)result;
#else
	errno = ENOSYS;
	cannot("32-bit calls");
	return 0;
#endif
}

#endif
