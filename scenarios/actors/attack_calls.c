// SPDX-License-Identifier: Apache-2.0
/*
 * Single calls that no program of a guest makes.
 *
 * usage: attack_calls open_tree SOURCE TARGET	bind mount by open_tree and move_mount
 *        attack_calls handle PATH		open by name_to_handle_at and open_by_handle_at
 *        attack_calls packet			a packet socket
 *        attack_calls modprobe			have the kernel run its modprobe
 *        attack_calls init_module|finit_module	load what is no module
 *        attack_calls delete_module NAME	take a module out that may be in use
 *        attack_calls openat2 PATH		open it with RESOLVE_IN_ROOT
 * Prints {"pid": N, "result": N} (-errno: it failed), or {"unsupported": "why"}.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the headers that this is built with, the same on every architecture. */
#define NR_OPEN_TREE 428
#define NR_MOVE_MOUNT 429
#define NR_OPENAT2 437
#define TREE_CLONE 1
#define MOVE_FROM_EMPTY_PATH 4
#define RESOLVE_IN_ROOT_ 0x10
/* DECnet, which is no more: the kernel asks for its module, net-pf-12. */
#define NO_FAMILY 12

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static long own(long result)
{
	return result < 0 ? -errno : result;
}

static long open_tree(const char *source, const char *target)
{
	int fd = syscall(NR_OPEN_TREE, AT_FDCWD, source, TREE_CLONE);

	if (fd < 0)
		return -errno;
	return own(syscall(NR_MOVE_MOUNT, fd, "", AT_FDCWD, target, MOVE_FROM_EMPTY_PATH));
}

static long by_handle(const char *path)
{
	struct {
		struct file_handle head;
		char room[MAX_HANDLE_SZ];
	} handle = { .head.handle_bytes = MAX_HANDLE_SZ };
	int mount, folder;
	char parent[256];

	snprintf(parent, sizeof(parent), "%s", path);
	if (!strrchr(parent, '/'))
		fail(path);
	*strrchr(parent, '/') = '\0';
	if (name_to_handle_at(AT_FDCWD, path, &handle.head, &mount, 0))
		return -errno;
	folder = open(parent, O_RDONLY | O_DIRECTORY);
	if (folder < 0)
		fail(parent);
	return own(open_by_handle_at(folder, &handle.head, O_RDONLY));
}

static long no_module(int by_file)
{
	static char image[] = "this is no module";
	int fd;

	if (!by_file)
		return own(syscall(SYS_init_module, image, sizeof(image), ""));
	fd = memfd_create("module", 0);
	if (fd < 0 || write(fd, image, sizeof(image)) != (ssize_t)sizeof(image))
		fail("memfd_create");
	return own(syscall(SYS_finit_module, fd, "", 0));
}

static long open_in_root(const char *path)
{
	struct {
		uint64_t flags, mode, resolve;
	} how = { .flags = O_RDONLY, .resolve = RESOLVE_IN_ROOT_ };
	int root = open("/", O_RDONLY | O_DIRECTORY);

	if (root < 0)
		fail("/");
	return own(syscall(NR_OPENAT2, root, path, &how, sizeof(how)));
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	long result;

	if (!strcmp(what, "open_tree") && argc == 4)
		result = open_tree(argv[2], argv[3]);
	else if (!strcmp(what, "handle") && argc == 3)
		result = by_handle(argv[2]);
	else if (!strcmp(what, "packet"))
		result = own(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)));
	else if (!strcmp(what, "modprobe"))
		result = own(socket(NO_FAMILY, SOCK_STREAM, 0));
	else if (!strcmp(what, "init_module") || !strcmp(what, "finit_module"))
		result = no_module(what[0] == 'f');
	else if (!strcmp(what, "delete_module") && argc == 3)
		result = own(syscall(SYS_delete_module, argv[2], O_NONBLOCK));
	else if (!strcmp(what, "openat2") && argc == 3)
		result = open_in_root(argv[2]);
	else
		return 2;
	if (result == -ENOSYS)
		printf("{\"unsupported\": \"this kernel has no %s\"}\n", what);
	else
		printf("{\"pid\": %d, \"result\": %ld}\n", (int)getpid(), result);
	return fflush(stdout) == 0 ? 0 : 1;
}
