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
#include "lab-act-opens.h"
#include "lab-act-files.h"
#include "lab-act-sockets.h"
#include "lab-act-processes.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

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
		printf("{\"pid\": %d, \"result\": %ld, \"child\": %ld}\n",
		       (int)getpid(), result, child);
		return fflush(stdout) == 0 ? 0 : 1;
	}
	fprintf(stderr, "lab-act: no action %s\n", name);
	return 2;
}
