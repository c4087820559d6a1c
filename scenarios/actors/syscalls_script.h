/* SPDX-License-Identifier: Apache-2.0 */
/* The script: its file, its lines and their words, which syscalls.c explains. */
#ifndef SYSCALLS_SCRIPT_H
#define SYSCALLS_SCRIPT_H

#include "syscalls.h"
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	refuse("no hexadecimal digit", (char[2]){ c });
	return 0;
}

/* HEX up to `stop`, and a NUL behind it. */
static void *hex(const char *word, const char *stop)
{
	size_t length = (size_t)(stop - word) / 2, i;
	char *bytes = take(length + 1);

	for (i = 0; i < length; i++)
		bytes[i] = (char)(digit(word[2 * i]) << 4 | digit(word[2 * i + 1]));
	bytes[length] = '\0';
	return bytes;
}

static void *list(const char *word, int compat)
{
	size_t count = *word != '\0', size = compat ? 4 : 8, i;
	const char *at;
	char *made;

	for (at = word; *at; at++)
		count += *at == ',';
	made = take((count + 1) * size);
	memset(made, 0, (count + 1) * size);
	for (i = 0, at = word; i < count; i++) {
		size_t length = strcspn(at, ",");
		uint64_t value = (uintptr_t)hex(at, at + length);

		memcpy(made + i * size, &value, size); /* little-endian, all of them */
		at += length + 1;
	}
	return made;
}

static const struct call *earlier(const char *word, int index, char **rest)
{
	long number = strtol(word, rest, 10);

	if (number < 0 || number >= index)
		refuse("no earlier call", word);
	return &calls[number];
}

static unsigned long flags(const char *word)
{
	static const struct {
		const char *name;
		unsigned long value;
	} known[] = {
		{ "O_DIRECTORY", O_DIRECTORY },
		{ "O_NOFOLLOW", O_NOFOLLOW },
		{ "O_TMPFILE", O_TMPFILE },
	};
	unsigned long value = 0;
	size_t length, i;

	for (; *word; word += length + (word[length] == ',')) {
		length = strcspn(word, ",");
		for (i = 0; i < sizeof(known) / sizeof(*known); i++)
			if (strlen(known[i].name) == length &&
			    !strncmp(known[i].name, word, length))
				break;
		if (i < sizeof(known) / sizeof(*known))
			value |= known[i].value;
		else
			value |= strtoul(word, NULL, 0);
	}
	return value;
}

/* An argument of the form LETTER:... */
static unsigned long lettered(const char *word, int index, int compat)
{
	const char *value = word + 2;
	size_t size;
	char *rest;

	switch (word[0]) {
	case 'i':
		/* Also above LONG_MAX; strtoul takes a sign. */
		return strtoul(value, NULL, 0);
	case 'x':
		return flags(value);
	case 'r':
		return (unsigned long)earlier(value, index, &rest)->result;
	case 's':
	case 'b':
		return (unsigned long)hex(value, value + strlen(value));
	case 'z':
		size = strtoul(value, NULL, 0);
		return (unsigned long)memset(take(size), 0, size);
	case 'v':
		return (unsigned long)list(value, compat);
	}
	refuse("no kind of argument", word);
	return 0;
}

static unsigned long argument(const char *word, int index, int compat)
{
	const struct call *other;
	char *rest;

	if (!strcmp(word, "n"))
		return 0;
	if (!strcmp(word, "u"))
		return (unsigned long)unreadable;
	if (!strcmp(word, "pid"))
		return (unsigned long)getpid();
	if (*word == '@') {
		other = earlier(word + 1, index, &rest);
		if (rest[0] != '.' || rest[1] < '0' || rest[1] >= '0' + ARGUMENTS)
			refuse("no argument", word);
		return (unsigned long)other->args[rest[1] - '0'];
	}
	if (word[0] == '\0' || word[1] != ':')
		refuse("no argument", word);
	return lettered(word, index, compat);
}

static void parse(char *line, int index)
{
	struct call *call = &calls[index];
	char *word, *left = line;
	int count = 0;

	word = strsep(&left, " ");
	call->number = strtol(word, NULL, 10);
	word = strsep(&left, " ");
	if (word == NULL)
		refuse("a line without its how", line);
	call->compat = strchr(word, 'c') != NULL;
	call->drops = strchr(word, 'd') != NULL;
	call->child = call->drops || strchr(word, 'k') != NULL;
	call->forks = strchr(word, 'f') != NULL;
	while ((word = strsep(&left, " ")) != NULL) {
		if (count == ARGUMENTS)
			refuse("too many arguments", word);
		call->args[count++] = (long)argument(word, index, call->compat);
	}
}

static char *contents(const char *path)
{
	struct stat about;
	char *text;
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (file < 0 || fstat(file, &about) < 0)
		die(path);
	text = malloc((size_t)about.st_size + 1);
	if (text == NULL)
		die("malloc");
	got = read(file, text, (size_t)about.st_size);
	if (got != about.st_size)
		die("read");
	text[got] = '\0';
	close(file);
	return text;
}

#endif
