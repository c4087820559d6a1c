/* SPDX-License-Identifier: Apache-2.0 */
/* The actions on a file's name, its mode, and what is mounted. */
#ifndef LAB_ACT_FILES_H
#define LAB_ACT_FILES_H

#include "lab-act.h"
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

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

#endif
