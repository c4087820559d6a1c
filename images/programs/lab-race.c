// SPDX-License-Identifier: Apache-2.0
/*
 * Makes one system call whose argument lies in a buffer at a known address, so
 * that it can be changed from outside, and tells what the kernel really did:
 *
 *	lab-race CALL
 *
 * Two objects are there, "asked" and "other"; the buffer names "asked". Printed
 * as JSON: {"call", "pid", "result", "acted"}, where "acted" is "asked",
 * "other", "neither" or "both", found out from the objects themselves and never
 * from the buffer. Just before the call it rings the bell: getpriority(2).
 * lab/races/subjects.py knows the calls, the address and the names.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUFFER 0x20000000UL
#define FOLDER "/work/race"
#define ASKED FOLDER "/asked"
#define OTHER FOLDER "/other"
#define MADE FOLDER "/made"
#define ASKED_PORT 4001
#define OTHER_PORT 4002

static char *const buffer = (char *)BUFFER;
static struct sockaddr_in asked_address;
static const uint16_t ports[] = { ASKED_PORT, OTHER_PORT };
static int sockets[2];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static const char *which(int asked, int other)
{
	if (asked)
		return other ? "both" : "asked";
	return other ? "other" : "neither";
}

static void tell(const char *call, long result, const char *acted)
{
	printf("{\"call\": \"%s\", \"pid\": %d, \"result\": %ld, \"acted\": \"%s\"}\n",
	       call, (int)getpid(), result, acted);
	if (fflush(stdout) != 0)
		die("stdout");
}

/* Not by an open, which may be the call that is looked for. */
static void make_file(const char *name)
{
	if (mknod(name, S_IFREG | 0600, 0) < 0)
		die(name);
}

static struct sockaddr_in at_port(uint16_t port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	return address;
}

static void listen_on(int type)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		struct sockaddr_in address = at_port(ports[i]);

		sockets[i] = socket(AF_INET, type | SOCK_CLOEXEC, 0);
		if (sockets[i] < 0 ||
		    bind(sockets[i], (struct sockaddr *)&address, sizeof(address)) < 0)
			die("bind");
		if (type == SOCK_STREAM && listen(sockets[i], 4) < 0)
			die("listen");
	}
}

/*
 * The bell, and then at once the call. Before it nothing is in the buffer: by
 * what it holds the call is told from what prepares it.
 */
static long call(long number, long a, long b, long c, long d, long e, long f)
{
	long result;

	if (asked_address.sin_family)
		memcpy(buffer, &asked_address, sizeof(asked_address));
	else
		strcpy(buffer, ASKED);
	syscall(SYS_getpriority, PRIO_PROCESS, 0);
	result = syscall(number, a, b, c, d, e, f);
	return result < 0 ? -errno : result;
}

static int is_there(const char *name)
{
	struct stat found;

	return lstat(name, &found) == 0;
}

static const char *which_there(void)
{
	return which(is_there(ASKED), is_there(OTHER));
}

static const char *which_gone(void)
{
	return which(!is_there(ASKED), !is_there(OTHER));
}

static const char *which_opened(int fd)
{
	char path[64], found[256];
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	length = readlink(path, found, sizeof(found) - 1);
	if (length < 0)
		return "neither";
	found[length] = '\0';
	return which(!strcmp(found, ASKED), !strcmp(found, OTHER));
}

static const char *which_linked(void)
{
	struct stat made, asked, other;

	if (stat(MADE, &made) < 0 || stat(ASKED, &asked) < 0 || stat(OTHER, &other) < 0)
		return "neither";
	return which(made.st_ino == asked.st_ino, made.st_ino == other.st_ino);
}

static const char *which_text(void)
{
	char found[256];
	ssize_t length = readlink(MADE, found, sizeof(found) - 1);

	if (length < 0)
		return "neither";
	found[length] = '\0';
	return which(!strcmp(found, ASKED), !strcmp(found, OTHER));
}

static int is_mounted(const char *name, dev_t around)
{
	struct stat found;

	return stat(name, &found) == 0 && found.st_dev != around;
}

static const char *which_mounted(void)
{
	struct stat around;

	if (stat(FOLDER, &around) < 0)
		return "neither";
	return which(is_mounted(ASKED, around.st_dev), is_mounted(OTHER, around.st_dev));
}

static const char *which_mode(mode_t mode)
{
	struct stat asked, other;

	if (stat(ASKED, &asked) < 0 || stat(OTHER, &other) < 0)
		return "neither";
	return which((asked.st_mode & 07777) == mode, (other.st_mode & 07777) == mode);
}

static const char *which_port(int fd, int (*name_of)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_in address;
	socklen_t length = sizeof(address);

	if (name_of(fd, (struct sockaddr *)&address, &length) < 0)
		return "neither";
	return which(ntohs(address.sin_port) == ASKED_PORT, ntohs(address.sin_port) == OTHER_PORT);
}

static int received(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) == 1;
}

/* Each of these makes its call, if it is that one, and tells what came of it; 0: it is none of these. */
static int do_open(const char *name)
{
	struct open_how how = { .flags = O_RDONLY };
	long result;

	if (!strcmp(name, "openat"))
		result = call(SYS_openat, AT_FDCWD, BUFFER, O_RDONLY, 0, 0, 0);
	else if (!strcmp(name, "openat2"))
		result = call(SYS_openat2, AT_FDCWD, BUFFER, (long)&how, sizeof(how), 0, 0);
#ifdef SYS_open
	else if (!strcmp(name, "open"))
		result = call(SYS_open, BUFFER, O_RDONLY, 0, 0, 0, 0);
	else if (!strcmp(name, "creat"))
		result = call(SYS_creat, BUFFER, 0600, 0, 0, 0, 0);
#endif
	else
		return 0;
	tell(name, result, which_opened((int)result));
	return 1;
}

static int do_remove(const char *name)
{
	long result;

	if (!strcmp(name, "unlinkat"))
		result = call(SYS_unlinkat, AT_FDCWD, BUFFER, 0, 0, 0, 0);
	else if (!strcmp(name, "renameat2"))
		result = call(SYS_renameat2, AT_FDCWD, BUFFER, AT_FDCWD, (long)MADE, 0, 0);
#ifdef SYS_unlink
	else if (!strcmp(name, "unlink"))
		result = call(SYS_unlink, BUFFER, 0, 0, 0, 0, 0);
	else if (!strcmp(name, "rename"))
		result = call(SYS_rename, BUFFER, (long)MADE, 0, 0, 0, 0);
#endif
	else
		return 0;
	tell(name, result, which_gone());
	return 1;
}

static int do_link(const char *name)
{
	long result;

	if (!strcmp(name, "linkat"))
		result = call(SYS_linkat, AT_FDCWD, BUFFER, AT_FDCWD, (long)MADE, 0, 0);
#ifdef SYS_link
	else if (!strcmp(name, "link"))
		result = call(SYS_link, BUFFER, (long)MADE, 0, 0, 0, 0);
#endif
	else
		return 0;
	tell(name, result, which_linked());
	return 1;
}

static int do_chmod(const char *name)
{
	long result;

	if (!strcmp(name, "fchmodat"))
		result = call(SYS_fchmodat, AT_FDCWD, BUFFER, 0640, 0, 0, 0);
#ifdef SYS_chmod
	else if (!strcmp(name, "chmod"))
		result = call(SYS_chmod, BUFFER, 0640, 0, 0, 0, 0);
#endif
	else
		return 0;
	tell(name, result, which_mode(0640));
	return 1;
}

/* The objects are what it makes: they must not be there before. */
static int do_symlink(const char *name)
{
	long result;

	if (!strcmp(name, "symlinkat-target")) {
		result = call(SYS_symlinkat, BUFFER, AT_FDCWD, (long)MADE, 0, 0, 0);
		tell(name, result, which_text());
		return 1;
	}
	if (strcmp(name, "symlinkat") && strcmp(name, "symlink"))
		return 0;
	if (unlink(ASKED) < 0 || unlink(OTHER) < 0)
		die("unlink");
#ifdef SYS_symlink
	if (!strcmp(name, "symlink"))
		result = call(SYS_symlink, (long)"target", BUFFER, 0, 0, 0, 0);
	else
#endif
		result = call(SYS_symlinkat, (long)"target", AT_FDCWD, BUFFER, 0, 0, 0);
	tell(name, result, which_there());
	return 1;
}

static int do_mount(const char *name)
{
	long result;

	if (!strcmp(name, "mount-source")) {
		make_file(MADE);
		result = call(SYS_mount, BUFFER, (long)MADE, 0, MS_BIND, 0, 0);
		tell(name, result, which_linked());
		return 1;
	}
	if (strcmp(name, "mount"))
		return 0;
	if (unlink(ASKED) < 0 || unlink(OTHER) < 0 || mkdir(ASKED, 0700) < 0 || mkdir(OTHER, 0700) < 0)
		die("mkdir");
	result = call(SYS_mount, (long)"none", BUFFER, (long)"tmpfs", 0, 0, 0);
	tell(name, result, which_mounted());
	return 1;
}

static int do_socket_call(const char *name)
{
	int type = strcmp(name, "sendto") ? SOCK_STREAM : SOCK_DGRAM;
	long result, size = sizeof(struct sockaddr_in);
	int fd;

	if (strcmp(name, "connect") && strcmp(name, "bind") && strcmp(name, "sendto"))
		return 0;
	fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket");
	asked_address = at_port(ASKED_PORT);
	if (!strcmp(name, "bind")) {
		result = call(SYS_bind, fd, BUFFER, size, 0, 0, 0);
		tell(name, result, which_port(fd, getsockname));
		return 1;
	}
	listen_on(type);
	if (!strcmp(name, "connect")) {
		result = call(SYS_connect, fd, BUFFER, size, 0, 0, 0);
		tell(name, result, which_port(fd, getpeername));
	} else {
		result = call(SYS_sendto, fd, (long)"x", 1, 0, BUFFER, size);
		tell(name, result, which(received(sockets[0]), received(sockets[1])));
	}
	return 1;
}

static void copy_self(const char *name)
{
	struct stat found;
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int to = open(name, O_WRONLY | O_CLOEXEC);

	if (from < 0 || to < 0 || fstat(from, &found) < 0)
		die(name);
	if (sendfile(to, from, NULL, found.st_size) != found.st_size || fchmod(to, 0700) < 0)
		die("sendfile");
	/* A file that is open for writing cannot be executed. */
	if (close(to) < 0 || close(from) < 0)
		die(name);
}

/* The two programs are this one, under two names; the one that runs tells of itself. */
static int do_execve(const char *name)
{
	char *argv[] = { "lab-race", "--who", NULL };
	long result;

	if (strcmp(name, "execve"))
		return 0;
	copy_self(ASKED);
	copy_self(OTHER);
	result = call(SYS_execve, BUFFER, (long)argv, (long)environ, 0, 0, 0);
	tell("execve", result, "neither");
	return 1;
}

static void tell_who(void)
{
	char found[256];
	ssize_t length = readlink("/proc/self/exe", found, sizeof(found) - 1);

	if (length < 0)
		die("/proc/self/exe");
	found[length] = '\0';
	tell("execve", 0, which(!strcmp(found, ASKED), !strcmp(found, OTHER)));
}

/* What an earlier run left. In a child: its calls shall not be taken for the one that is looked for. */
static void clean(void)
{
	static const char *const names[] = { ASKED, OTHER, MADE };
	pid_t child = fork();
	unsigned int i;

	if (child < 0)
		die("fork");
	if (child == 0) {
		for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
			umount2(names[i], MNT_DETACH);
			unlink(names[i]);
			rmdir(names[i]);
		}
		_exit(0);
	}
	if (waitpid(child, NULL, 0) != child)
		die("waitpid");
}

static void prepare(void)
{
	if (mmap(buffer, 4096, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != buffer)
		die("mmap");
	umask(0);
	clean();
	if (mkdir("/work", 0755) < 0 && errno != EEXIST)
		die("/work");
	if (mkdir(FOLDER, 0700) < 0 && errno != EEXIST)
		die(FOLDER);
	make_file(ASKED);
	make_file(OTHER);
}

int main(int argc, char **argv)
{
	const char *name = argc == 2 ? argv[1] : "";

	if (!strcmp(name, "--who")) {
		tell_who();
		return 0;
	}
	prepare();
	if (do_open(name) || do_remove(name) || do_link(name) || do_chmod(name) ||
	    do_symlink(name) || do_mount(name) || do_socket_call(name) || do_execve(name))
		return 0;
	fprintf(stderr, "lab-race: no call %s here\n", name);
	return 2;
}
