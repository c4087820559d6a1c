// SPDX-License-Identifier: Apache-2.0
/*
 * A process that is in a cgroup and in namespaces of its own and is nobody:
 * prints as JSON what it is, becomes another program with three arguments,
 * which has a child that ends with status 6. What it prints:
 *
 * {"pid": PID, "cgroup": INODE, "ns_mnt": INODE, ... "ns_user": INODE}
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const kinds[] = { "mnt", "pid", "net", "uts", "ipc", "cgroup", "user" };

/* Into a new cgroup; its inode's number. */
static unsigned long long into_cgroup(void)
{
	char path[64], procs[96];
	struct stat found;
	int fd;

	mkdir("/work/cgroup", 0755);
	if (mount("none", "/work/cgroup", "cgroup2", 0, NULL))
		return 0;
	snprintf(path, sizeof(path), "/work/cgroup/tap-%d", (int)getpid());
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", path);
	mkdir(path, 0755);
	fd = open(procs, O_WRONLY);
	if (fd < 0 || write(fd, "0", 1) != 1 || stat(path, &found))
		return 0;
	close(fd);
	umount("/work/cgroup");
	return found.st_ino;
}

static int is(char **words)
{
	unsigned long long cgroup = into_cgroup();

	if (!cgroup || unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS |
			       CLONE_NEWIPC | CLONE_NEWCGROUP))
		return 1;
	printf("{\"pid\": %d, \"cgroup\": %llu", (int)getpid(), cgroup);
	for (unsigned int i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		char path[64];
		struct stat found;

		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
		if (stat(path, &found))
			return 1;
		printf(", \"ns_%s\": %llu", kinds[i], (unsigned long long)found.st_ino);
	}
	printf("}\n");
	if (fflush(stdout) || setresgid(1003, 1004, 1003) || setresuid(1001, 1002, 1001))
		return 1;
	execl(words[0], words[0], "", "two words", "end", (char *)NULL);
	return 1;
}

int main(int count, char **words)
{
	pid_t child;

	if (count == 1)
		return is(words);
	child = fork();
	if (child == 0)
		_exit(6);
	waitpid(child, NULL, 0);
	_exit(0);
}
