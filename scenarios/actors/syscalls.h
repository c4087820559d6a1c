/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of syscalls.c share: the calls, and the memory of these and of their arguments. */
#ifndef SYSCALLS_H
#define SYSCALLS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/types.h>

#define MOST_CALLS 256
#define ARGUMENTS 6
#ifdef MAP_32BIT
#define LOW MAP_32BIT
#else
#define LOW 0
#endif
#define ARENA_SIZE (8UL << 20)
#define PAGE 4096 /* the smallest, where a kernel's are larger */

struct call {
	long number;
	int compat, child, drops, forks;
	long args[ARGUMENTS];
	int returned, status;
	long result;
	pid_t pid;
};

static struct call *calls;
static char *arena, *next, *end, *unreadable;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void refuse(const char *what, const char *word)
{
	fprintf(stderr, "syscalls: %s: %.64s\n", what, word);
	exit(1);
}

static void *take(size_t size)
{
	char *place = next;

	if (size > (size_t)(end - next))
		refuse("the arguments are too long", "");
	/* Each in its own alignment: structures are among them. */
	next += (size + 15) & ~(size_t)15;
	return place;
}

/* Shared with children: what a call returned in one is written there. */
static void map_arena(void)
{
	arena = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | LOW, -1, 0);
	if (arena == MAP_FAILED)
		die("mmap");
	unreadable = arena + ARENA_SIZE - 65536;
	if (mprotect(unreadable, 65536, PROT_NONE) < 0)
		die("mprotect");
	next = arena;
	end = unreadable;
	calls = take(MOST_CALLS * sizeof(*calls));
}

/*
 * fork(2) leaves shared memory to be mapped as it is touched; a driver that
 * reads a call's arguments may not wait for that (it has page faults disabled).
 */
static void map_all_taken(void)
{
	const volatile char *at;

	for (at = arena; at < next; at += PAGE)
		(void)*at;
}

#endif
