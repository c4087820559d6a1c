// SPDX-License-Identifier: Apache-2.0
/*
 * A program that lies about what it opens: while its child's open of a FIFO
 * waits in the kernel, it writes another name over the one that the kernel has
 * copied. Prints as JSON: {"pid": the child that opens}
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char truth[] = "/work/race", lie[] = "/work/mild";

/* Whether it waits in the kernel, in an openat with that name. */
static int waits(pid_t child, const char *name)
{
	char path[64], said[256] = "";
	void *place = NULL;
	long number = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/syscall", (int)child);
	file = fopen(path, "r");
	if (!file)
		return 0;
	if (!fgets(said, sizeof(said), file))
		said[0] = '\0';
	fclose(file);
	/* "running", or the call's number, its arguments, stack and place */
	if (sscanf(said, "%ld %*s %p", &number, &place) != 2)
		return 0;
	return number == SYS_openat && place == name;
}

int main(void)
{
	char *name = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = 0, fd;
	pid_t child;

	unlink(truth);
	if (name == MAP_FAILED || mkfifo(truth, 0600) < 0)
		return 1;
	strcpy(name, truth);
	child = fork();
	if (child == 0) {
		/* Read once, it is in this process's memory too. */
		if (strcmp(name, truth))
			_exit(1);
		_exit(syscall(SYS_openat, AT_FDCWD, name, O_RDONLY) < 0);
	}
	while (child > 0 && !waits(child, name)) {
		if (waitpid(child, NULL, WNOHANG))
			return 1;
		usleep(1000);
	}
	strcpy(name, lie);
	fd = open(truth, O_WRONLY);
	if (fd < 0 || waitpid(child, &status, 0) != child || status)
		return 1;
	printf("{\"pid\": %d}\n", (int)child);
	return fflush(stdout) == 0 ? 0 : 1;
}
