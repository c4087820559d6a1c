/* SPDX-License-Identifier: Apache-2.0 */
/* The calls: how each is prepared and made, how its effect is found out without the argument, and put back. */
#ifndef RACE_CALLS_H
#define RACE_CALLS_H

#include "race.h"
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/wait.h>

enum object { FILES, NOTHING, FOLDERS, PROGRAMS, STREAMS, DATAGRAMS, UNUSED };

/* Other arguments, at AUX: all pointers of 32 bits. */
struct aux {
	char made[64], none[8], type[8], text[8], word[8];
	struct open_how how;
	uint32_t words32[2];
	uint64_t words64[2];
};

#define AUXILIARY ((struct aux *)AUX)

struct raced {
	const char *name;
	long number, compat;
	enum object object;
	char args[7]; /* P the argument, a letter each of the others: see value() */
};

static ino_t inodes[2];
static dev_t around;
static int kept[2] = { -1, -1 }; /* files or sockets of the two objects, open all the time */
static int sender = -1;
static char *own;
static int compat_calls, by_luck, address_length = sizeof(struct sockaddr_in);

#ifdef SYS_open
#define OLD(name) SYS_##name
#else
#define OLD(name) -1
#endif

static const struct raced calls[] = {
	{ "open", OLD(open), 5, FILES, "Pr" },
	{ "openat", SYS_openat, 295, FILES, "wPr" },
	{ "openat2", SYS_openat2, 437, FILES, "wPhH" },
	{ "creat", OLD(creat), 8, FILES, "Pm" },
	{ "unlink", OLD(unlink), 10, FILES, "P" },
	{ "unlinkat", SYS_unlinkat, 301, FILES, "wP0" },
	{ "rename", OLD(rename), 38, FILES, "PM" },
	{ "renameat2", SYS_renameat2, 353, FILES, "wPwM0" },
	{ "link", OLD(link), 9, FILES, "PM" },
	{ "linkat", SYS_linkat, 303, FILES, "wPwM0" },
	{ "symlink", OLD(symlink), 83, NOTHING, "tP" },
	{ "symlinkat", SYS_symlinkat, 304, NOTHING, "twP" },
	{ "chmod", OLD(chmod), 15, FILES, "Px" },
	{ "fchmodat", SYS_fchmodat, 306, FILES, "wPx" },
	{ "mount", SYS_mount, 21, FOLDERS, "nPT00" },
	{ "execve", SYS_execve, 11, PROGRAMS, "Pv0" },
	{ "connect", SYS_connect, 362, STREAMS, "sPl" },
	{ "bind", SYS_bind, 361, UNUSED, "sPl" },
	{ "sendto", SYS_sendto, 369, DATAGRAMS, "st1" "0Pl" },
};

static long argument(const struct raced *call)
{
	return (long)(BUFFER + PAGE - (call->object >= STREAMS ? ADDRESS_SPLIT : PATH_SPLIT));
}

static long value(const struct raced *call, char word)
{
	switch (word) {
	case 'P': return argument(call);
	case 'w': return AT_FDCWD;
	case 'r': return O_RDONLY;
	case 'h': return (long)&AUXILIARY->how;
	case 'H': return sizeof(struct open_how);
	case 'm': return 0600;
	case 'x': return 0711;
	case 'M': return (long)AUXILIARY->made;
	case 't': return (long)AUXILIARY->text;
	case 'n': return (long)AUXILIARY->none;
	case 'T': return (long)AUXILIARY->type;
	case 'v': return compat_calls ? (long)AUXILIARY->words32 : (long)AUXILIARY->words64;
	case 's': return sender;
	case 'l': return address_length;
	case '1': return 1;
	}
	return 0;
}

#ifdef __x86_64__
static long call_compat(long number, const long *a)
{
	register long sixth __asm__("r12") = a[5];
	long result;

	__asm__ volatile("xchg %%r12, %%rbp\n\tint $0x80\n\txchg %%r12, %%rbp"
			 : "=a"(result), "+r"(sixth)
			 : "a"(number), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4])
			 : "memory", "cc", "r8", "r9", "r10", "r11");
	return (int)result;
}
#else
static long call_compat(long number, const long *a)
{
	(void)number;
	(void)a;
	return -ENOSYS;
}
#endif

static void get_arguments(const struct raced *call, long *a)
{
	unsigned int i;

	for (i = 0; i < 6; i++)
		a[i] = i < sizeof(call->args) && call->args[i] ? value(call, call->args[i]) : 0;
}

/* The call itself, and what the argument said just before it. */
static inline long make(const struct raced *call, const long *a, struct trial *trial)
{
	long result;

	if (by_luck)
		wait_for_racer();
	trial->before = letter_now();
	if (compat_calls)
		return call_compat(call->compat, a);
	result = syscall(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
	return result < 0 ? -errno : result;
}

static const char *name_of(int b)
{
	return b ? B_NAME : A_NAME;
}

static int is_there(const char *name)
{
	struct stat found;

	return lstat(name, &found) == 0;
}

static void make_object(enum object object, int b)
{
	if (object == FOLDERS ? mkdir(name_of(b), 0700) : mknod(name_of(b), S_IFREG | 0600, 0))
		die(name_of(b));
}

static char opened(long fd)
{
	struct stat found;

	if (fd < 0 || fstat((int)fd, &found) < 0)
		return '?';
	return which(found.st_ino == inodes[0], found.st_ino == inodes[1]);
}

static char gone(void)
{
	char found = which(!is_there(A_NAME), !is_there(B_NAME));

	if (found != '?')
		make_object(FILES, found == 'b');
	return found;
}

static char linked(void)
{
	struct stat found;

	if (stat(MADE, &found) < 0)
		return '?';
	return which(found.st_ino == inodes[0], found.st_ino == inodes[1]);
}

static char appeared(void)
{
	char found = which(is_there(A_NAME), is_there(B_NAME));

	syscall(SYS_unlinkat, AT_FDCWD, A_NAME, 0);
	syscall(SYS_unlinkat, AT_FDCWD, B_NAME, 0);
	return found;
}

static int has_mode(int fd, mode_t mode)
{
	struct stat found;

	return fstat(fd, &found) == 0 && (found.st_mode & 07777) == mode;
}

static char changed(void)
{
	char found = which(has_mode(kept[0], 0711), has_mode(kept[1], 0711));

	if (fchmod(kept[0], 0600) < 0 || fchmod(kept[1], 0600) < 0)
		die("fchmod");
	return found;
}

static int is_mounted(const char *name)
{
	struct stat found;

	return stat(name, &found) == 0 && found.st_dev != around;
}

static char mounted(void)
{
	char found = which(is_mounted(A_NAME), is_mounted(B_NAME));

	if (found != '?' && umount2(name_of(found == 'b'), MNT_DETACH) < 0)
		die("umount2");
	return found;
}

static char ported(int (*ask)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_in address = { 0 };
	socklen_t length = sizeof(address);

	if (ask(sender, (struct sockaddr *)&address, &length) < 0)
		return '?';
	return which(ntohs(address.sin_port) == PORT, ntohs(address.sin_port) == PORT + 1);
}

static int received(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) == 1;
}

static void take(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		int fd = accept4(kept[i], NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			close(fd);
	}
}

/* What the kernel acted on; then all is as it was. */
static char judge(const struct raced *call, long result)
{
	char found;

	if (!strncmp(call->name, "open", 4) || !strcmp(call->name, "creat")) {
		found = opened(result);
		if (result >= 0)
			close((int)result);
	} else if (!strncmp(call->name, "unlink", 6)) {
		found = gone();
	} else if (!strncmp(call->name, "rename", 6)) {
		found = gone();
		syscall(SYS_unlinkat, AT_FDCWD, MADE, 0);
	} else if (!strncmp(call->name, "link", 4)) {
		found = linked();
		syscall(SYS_unlinkat, AT_FDCWD, MADE, 0);
	} else if (!strncmp(call->name, "symlink", 7)) {
		found = appeared();
	} else if (!strcmp(call->name, "mount")) {
		found = mounted();
	} else if (!strcmp(call->name, "connect")) {
		found = ported(getpeername);
	} else if (!strcmp(call->name, "bind")) {
		found = ported(getsockname);
	} else if (!strcmp(call->name, "sendto")) {
		found = which(received(kept[0]), received(kept[1]));
	} else {
		found = changed();
	}
	return found;
}

/* A program that was executed tells by its status which of the two it is. */
static int tell_who(void)
{
	char found[256];
	ssize_t length = readlink("/proc/self/exe", found, sizeof(found) - 1);

	if (length < 0)
		return 1;
	found[length] = '\0';
	return which(!strcmp(found, A_NAME), !strcmp(found, B_NAME));
}

#endif
