/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an actor is about to do, said on the kernel's console: of a machine that
 * dies of it without a word, the console's last word is this. A kernel takes
 * ten messages in five seconds from one who keeps /dev/kmsg open
 * (printk.devkmsg=ratelimit), so it is opened for each.
 */
#ifndef ANNOUNCE_H
#define ANNOUNCE_H

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* 0, or -1 with errno. */
static inline int announce(const char *actor, const char *what)
{
	char line[128];
	int length = snprintf(line, sizeof(line), "<5>lab-actor: %s: %s\n", actor, what);
	int file = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	ssize_t written;

	if (file < 0)
		return -1;
	written = write(file, line, (size_t)length);
	if (close(file) < 0 || written < 0)
		return -1;
	return 0;
}

#endif
