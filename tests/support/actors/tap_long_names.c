// SPDX-License-Identifier: Apache-2.0
/*
 * Opens COUNT missing files, one after the other, each of whose names is
 * LENGTH bytes long and ends in its number. Prints as JSON: {"pid": PID}
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int count, char **words)
{
	static char name[4096] = "/work/";
	int opens, length;

	if (count != 3)
		return 1;
	opens = atoi(words[1]);
	length = atoi(words[2]);
	if (length < 32 || length >= (int)sizeof(name))
		return 1;
	/* "./" says nothing, and every part of a path must be short. */
	for (int at = 6; at < length - 8; at += 2)
		memcpy(name + at, "./", 2);
	for (int number = 0; number < opens; number++) {
		snprintf(name + length - 8, 9, "%08u", (unsigned int)number % 100000000);
		open(name, O_RDONLY);
	}
	printf("{\"pid\": %d}\n", (int)getpid());
	return fflush(stdout) == 0 ? 0 : 1;
}
