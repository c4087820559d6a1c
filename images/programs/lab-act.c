// SPDX-License-Identifier: Apache-2.0
/*
 * Does one thing that a driver may be asked to see:
 *
 *	lab-act ACTION
 *
 * Printed as JSON: {"pid", "result", "child"}: who did it, what the call in
 * question returned (negative: -errno), and whoever else it is about, 0 if
 * nobody. Status 3: it cannot be done here. lab/compare/actions.py knows what
 * is to be reported of each.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOLDER "/work/compare"
#define A_FILE FOLDER "/file"
#define MADE FOLDER "/made"
#define PLACE FOLDER "/place"
#define TRUE "/usr/bin/true"
#define PORT 4010

static long child;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void cannot(const char *what)
{
	perror(what);
	exit(3);
}

static long told(long result)
{
	return result < 0 ? -errno : result;
}

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
	ring = mmap(NULL, params.cq_off.cqes + params.cq_entries * sizeof(*done), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    IORING_OFF_SQ_RING);
	entries = mmap(NULL, params.sq_entries * sizeof(*entries), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		       IORING_OFF_SQES);
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
	char *name = mmap((void *)0x20000000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
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

static long do_unlink(void)
{
	return told(syscall(SYS_unlinkat, AT_FDCWD, A_FILE, 0));
}

static long do_rename(void)
{
	return told(syscall(SYS_renameat2, AT_FDCWD, A_FILE, AT_FDCWD, MADE, 0));
}

static long do_link(void)
{
	return told(syscall(SYS_linkat, AT_FDCWD, A_FILE, AT_FDCWD, MADE, 0));
}

static long do_symlink(void)
{
	return told(syscall(SYS_symlinkat, A_FILE, AT_FDCWD, MADE));
}

static long do_chmod(void)
{
	return told(syscall(SYS_fchmodat, AT_FDCWD, A_FILE, 04755));
}

static long do_mount(void)
{
	return told(mount("none", PLACE, "tmpfs", MS_NOSUID, NULL));
}

static struct sockaddr_in own_port(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(PORT),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	return address;
}

static int made_socket(int family, int type)
{
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		cannot("socket");
	return fd;
}

static long do_connect(void)
{
	struct sockaddr_in address = own_port();
	int listener = made_socket(AF_INET, SOCK_STREAM);

	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, 1) < 0)
		die("listen");
	return told(connect(made_socket(AF_INET, SOCK_STREAM), (struct sockaddr *)&address, sizeof(address)));
}

static long do_connect_refused(void)
{
	struct sockaddr_in address = own_port();

	return told(connect(made_socket(AF_INET, SOCK_STREAM), (struct sockaddr *)&address, sizeof(address)));
}

static long do_connect_ipv6(void)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons(PORT), .sin6_addr = IN6ADDR_LOOPBACK_INIT };

	return told(connect(made_socket(AF_INET6, SOCK_DGRAM), (struct sockaddr *)&address, sizeof(address)));
}

static long do_connect_unix(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = FOLDER "/socket" };
	int listener = made_socket(AF_UNIX, SOCK_STREAM);

	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, 1) < 0)
		die("listen");
	return told(connect(made_socket(AF_UNIX, SOCK_STREAM), (struct sockaddr *)&address, sizeof(address)));
}

static long do_bind(void)
{
	struct sockaddr_in address = own_port();

	return told(bind(made_socket(AF_INET, SOCK_STREAM), (struct sockaddr *)&address, sizeof(address)));
}

static long do_sendto(void)
{
	struct sockaddr_in address = own_port();

	return told(sendto(made_socket(AF_INET, SOCK_DGRAM), "x", 1, 0, (struct sockaddr *)&address, sizeof(address)));
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
	wait_for(child);
	return 0;
}

/* A program that has no file: its bytes are in memory only. */
static long do_execute_memory(void)
{
	char *const words[] = { "true", "hidden", NULL };
	int from = open(TRUE, O_RDONLY | O_CLOEXEC), to = (int)syscall(SYS_memfd_create, "nameless", 1 /* MFD_CLOEXEC */);
	struct stat found;

	if (from < 0 || to < 0 || fstat(from, &found) < 0 || sendfile(to, from, NULL, (size_t)found.st_size) != found.st_size)
		cannot("memfd_create");
	child = vfork();
	if (child == 0) {
		syscall(SYS_execveat, to, "", words, environ, AT_EMPTY_PATH);
		_exit(127);
	}
	wait_for(child);
	return 0;
}

static long do_memfd(void)
{
	return told(syscall(SYS_memfd_create, "nameless", 1 /* MFD_CLOEXEC */));
}

static long do_exit(void)
{
	child = fork();
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
	child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	return told(syscall(SYS_kill, child, SIGKILL));
}

static long do_ptrace(void)
{
	long result;

	child = fork();
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

static const struct {
	const char *name;
	long (*act)(void);
} actions[] = {
	{ "open", do_open },
	{ "open-missing", do_open_missing },
	{ "open-long", do_open_long },
	{ "open-relative", do_open_relative },
	{ "openat2", do_openat2 },
	{ "open-by-handle", do_open_by_handle },
	{ "open-io-uring", do_open_io_uring },
	{ "open-32-bit", do_open_compat },
	{ "unlink", do_unlink },
	{ "rename", do_rename },
	{ "link", do_link },
	{ "symlink", do_symlink },
	{ "chmod", do_chmod },
	{ "mount", do_mount },
	{ "connect", do_connect },
	{ "connect-refused", do_connect_refused },
	{ "connect-ipv6", do_connect_ipv6 },
	{ "connect-unix", do_connect_unix },
	{ "bind", do_bind },
	{ "sendto", do_sendto },
	{ "execve", do_execve },
	{ "execute-memory", do_execute_memory },
	{ "memfd", do_memfd },
	{ "exit", do_exit },
	{ "setuid", do_setuid },
	{ "kill", do_kill },
	{ "ptrace", do_ptrace },
	{ "unshare", do_unshare },
	{ "chroot", do_chroot },
};

static void prepare(void)
{
	umask(0);
	if (mkdir("/work", 0755) < 0 && errno != EEXIST)
		die("/work");
	umount2(PLACE, MNT_DETACH);
	unlink(MADE);
	unlink(A_FILE);
	unlink(FOLDER "/socket");
	if ((mkdir(FOLDER, 0755) < 0 || mkdir(PLACE, 0755) < 0) && errno != EEXIST)
		die(FOLDER);
	if (mknod(A_FILE, S_IFREG | 0644, 0) < 0)
		die(A_FILE);
}

int main(int argc, char **argv)
{
	const char *name = argc == 2 ? argv[1] : "";
	unsigned int i;

	for (i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
		long result;

		if (strcmp(actions[i].name, name))
			continue;
		prepare();
		result = actions[i].act();
		printf("{\"pid\": %d, \"result\": %ld, \"child\": %ld}\n", (int)getpid(), result, child);
		return fflush(stdout) == 0 ? 0 : 1;
	}
	fprintf(stderr, "lab-act: no action %s\n", name);
	return 2;
}
