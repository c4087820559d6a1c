/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of lab-race.c share: the names, the buffer, the call and what is told of it. */
#ifndef LAB_RACE_H
#define LAB_RACE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BUFFER 0x20000000UL
#define FOLDER "/work/race"
#define ASKED FOLDER "/asked"
#define OTHER FOLDER "/other"
#define MADE FOLDER "/made"

static char *const buffer = (char *)BUFFER;
/* Of its family only when the call is one with an address; else the buffer has a path. */
static struct sockaddr_in asked_address;

static void die(const char *what)
{
	perror(what);
	exit(1);
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

#endif
