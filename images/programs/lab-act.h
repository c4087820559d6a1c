/* SPDX-License-Identifier: Apache-2.0 */
/* What the actions of lab-act.c share: whom they act on, and how they end. */
#ifndef LAB_ACT_H
#define LAB_ACT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define FOLDER "/work/compare"
#define A_FILE FOLDER "/file"
#define MADE FOLDER "/made"
#define PLACE FOLDER "/place"

static long child; /* whoever else an action is about, 0 if nobody */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void cannot(const char *what)
{
	perror(what);
	exit(3);
}

static long told(long result)
{
	return result < 0 ? -errno : result;
}

#endif
