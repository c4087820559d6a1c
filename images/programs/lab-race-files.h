/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls on a file's name. Each function makes its call, if it is that one,
 * and tells what came of it; 0: it is none of these.
 */
#ifndef LAB_RACE_FILES_H
#define LAB_RACE_FILES_H

#include "lab-race-acted.h"
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

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
	if (unlink(ASKED) < 0 || unlink(OTHER) < 0 ||
	    mkdir(ASKED, 0700) < 0 || mkdir(OTHER, 0700) < 0)
		die("mkdir");
	result = call(SYS_mount, (long)"none", BUFFER, (long)"tmpfs", 0, 0, 0);
	tell(name, result, which_mounted());
	return 1;
}

#endif
