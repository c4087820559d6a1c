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
#include "lab-race-files.h"
#include "lab-race-sockets.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

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

/*
 * What an earlier run left. In a child: its calls shall not be taken for the
 * one that is looked for.
 */
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
