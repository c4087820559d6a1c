/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the two objects the kernel acted on, found out from the objects themselves. */
#ifndef LAB_RACE_ACTED_H
#define LAB_RACE_ACTED_H

#include "lab-race.h"
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *which(int asked, int other)
{
	if (asked)
		return other ? "both" : "asked";
	return other ? "other" : "neither";
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

#endif
