// SPDX-License-Identifier: Apache-2.0
/*
 * Does, in an empty folder, one of most things that tap has typed parameters
 * for, the same each time: what is reported of it must not depend on how it is
 * watched. Prints its process and its children as JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A name that is in a file and not yet in memory. */
static char *not_resident(void)
{
	static const char name[] = "/work/tap/cold";
	int fd = open("/work/tap/page", O_RDWR | O_CREAT, 0600);
	char *page;

	if (fd < 0 || write(fd, name, sizeof(name)) != sizeof(name))
		exit(1);
	page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (page == MAP_FAILED)
		exit(1);
	return page;
}

static pid_t child_that_ends(int status)
{
	pid_t child = fork();

	if (child == 0)
		_exit(status);
	waitpid(child, NULL, 0);
	return child;
}

static pid_t child_of_vfork(void)
{
	pid_t child = vfork();

	if (child == 0)
		_exit(3);
	waitpid(child, NULL, 0);
	return child;
}

static pid_t child_that_runs(char **words)
{
	pid_t child = fork();

	if (child == 0) {
		execv(words[0], words);
		_exit(4);
	}
	waitpid(child, NULL, 0);
	return child;
}

static void connects(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	struct sockaddr_in own = { .sin_family = AF_INET, .sin_port = htons(4711) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	connect(fd, (struct sockaddr *)&to, sizeof(to));
	sendto(fd, "four", 4, 0, NULL, 0);
	close(fd);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bind(fd, (struct sockaddr *)&own, sizeof(own));
	sendto(fd, "fives", 5, 0, (struct sockaddr *)&to, sizeof(to));
	close(fd);
}

static void files(void)
{
	static const char odd[] = "/work/tap/\xff\"\\\n";

	close(open("/work/tap/one", O_WRONLY | O_CREAT | O_TRUNC, 0640));
	close(open(odd, O_WRONLY | O_CREAT, 0600));
	open("/work/tap/none", O_RDONLY);
	link("/work/tap/one", "/work/tap/two");
	symlink("one", "/work/tap/three");
	rename("/work/tap/two", "/work/tap/four");
	chmod("/work/tap/four", 0400);
	unlink("/work/tap/four");
	unlink("/work/tap/none");
	open(not_resident(), O_RDONLY);
	syscall(SYS_openat, AT_FDCWD, NULL, O_RDONLY);
}

int main(void)
{
	char *words[] = { "/usr/bin/true", "one two", "", "\xc3\xa9", NULL };
	char *missing[] = { "/work/tap/no-program", "a", NULL };
	pid_t forked, vforked, ran, failed;
	int name;

	if (mkdir("/work/tap", 0700) < 0)
		return 1;
	files();
	connects();
	forked = child_that_ends(7);
	vforked = child_of_vfork();
	ran = child_that_runs(words);
	failed = child_that_runs(missing);
	name = memfd_create("tap", MFD_CLOEXEC);
	close(name);
	kill(getpid(), 0);
	unshare(CLONE_FS);
	printf("{\"pid\": %d, \"forked\": %d, \"vforked\": %d, \"ran\": %d, \"failed\": %d}\n",
	       (int)getpid(), (int)forked, (int)vforked, (int)ran, (int)failed);
	return fflush(stdout) == 0 ? 0 : 1;
}
