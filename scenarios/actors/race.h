/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of racer.c share: the argument, its two names, and the memory in which both sides meet. */
#ifndef RACE_H
#define RACE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * The argument lies across two pages, so that the kernel may have copied what
 * differs before it meets the second. The racer writes by the alias: what it
 * writes to does not bring the caller's own page in.
 */
#define PAGE 4096UL
#define BUFFER 0x20000000UL
#define ALIAS 0x30000000UL
#define AUX (BUFFER + 2 * PAGE) /* other arguments, where a 32-bit call can reach them */
#define PAGES 8UL

#define FOLDER "/work/race"
#define A_NAME FOLDER "/a-file-of-the-race"
#define B_NAME FOLDER "/b-file-of-the-race"
#define MADE FOLDER "/made"
#define LETTER (sizeof(FOLDER "/") - 1)
#define PATH_SPLIT 24UL
#define PORT 4001 /* and 4002, which differ in one byte */
#define ADDRESS_SPLIT 32UL
#define LONG_ADDRESS 48
/* Between the two names, and between the two ports. */
#define FLIP 3
#define MOST 1000

struct trial {
	char before, acted, after;
	int pid;
	long result;
};

/* Behind the argument's pages, in both mappings. */
struct meeting {
	volatile int stage; /* the number of the trial whose call is being made, from 1; 0 between them */
	volatile int stop;
	volatile int ready;
	volatile int listener;
	volatile unsigned char *byte; /* what differs, by the alias */
	struct trial trials[MOST];
};

#define MEET ((struct meeting *)(ALIAS + 3 * PAGE))

static inline void die(const char *what)
{
	perror(what);
	_exit(1);
}

static inline void pause_a_moment(void)
{
	struct timespec moment = { .tv_nsec = 100000 };

	nanosleep(&moment, NULL);
}

static inline void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		die("sched_setaffinity");
}

/* "a" or "b", as the argument says it now. */
static inline char letter_now(void)
{
	return *MEET->byte & 1 ? 'a' : 'b';
}

static inline void flip(void)
{
	*MEET->byte ^= FLIP;
}

/*
 * Until the racer is at it at this very time: it changed the argument several
 * times in a moment. Whoever shares this CPU's time does so once a slice. When
 * it does not come to that in 50 ms there may be no race.
 */
static inline void wait_for_racer(void)
{
	struct timespec begun, now;
	unsigned int looks = 0;

	clock_gettime(CLOCK_MONOTONIC, &begun);
	for (;;) {
		char last = letter_now();
		unsigned int i, changes = 0;

		for (i = 0; i < 1000; i++) {
			const char letter = letter_now();

			changes += letter != last;
			last = letter;
			if (changes == 3)
				return;
		}
		/* Where the C library cannot read the clock that is a call, and an event: seldom. */
		if (++looks % 64)
			continue;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if ((now.tv_sec - begun.tv_sec) * 1000 + (now.tv_nsec - begun.tv_nsec) / 1000000 >= 50)
			return;
	}
}

static inline void ask_for(char letter)
{
	if (letter_now() != letter)
		flip();
}

static inline char other(char letter)
{
	return letter == 'a' ? 'b' : 'a';
}

static inline char which(int a, int b)
{
	if (a == b)
		return '?';
	return a ? 'a' : 'b';
}

#endif
