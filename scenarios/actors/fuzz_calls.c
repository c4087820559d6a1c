// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_calls SEED CALLS SECONDS CGROUP HOW [ROUND]: system calls by chance, by
 * every entry path of the architecture; HOW is wild, their numbers and arguments
 * at and beyond every edge, or tame, numbers that there are and arguments of 32
 * bits; as nobody (65534), in throwaway processes of that cgroup, which bounds
 * their number. Prints what was done:
 *
 *   {"seed": S, "calls": N, "rounds": N, "died": N, "hung": N, "entries": {"syscall": N, ...}}
 *
 * A round is one process; what it does follows from the seed and its number
 * alone, so ROUND does that one again, and nothing else. Nothing of the C
 * library is used in it: its calls may take away what that needs.
 *
 * What would stop the test and not the driver is bent or left out: signals go
 * to the caller itself alone, and the end of a process is rare.
 */
#include "fuzz_round.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HANGS_AFTER 500		/* milliseconds without a call */

static int put(const char *folder, const char *name, const char *text)
{
	char path[512];
	int file, done;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = open(path, O_WRONLY | O_CLOEXEC);
	if (file < 0)
		return -1;
	done = write(file, text, strlen(text)) < 0 ? -1 : 0;
	close(file);
	return done;
}

/* Kill all that a round left. Who was just being made is met the next time. */
static int sweep(const char *group)
{
	char path[512], word[32];
	FILE *tasks;
	int tries, left, pid;

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	for (tries = 0; tries < 1000; tries++) {
		left = 0;
		tasks = fopen(path, "re");
		if (!tasks)
			return -1;
		while (fgets(word, sizeof(word), tasks)) {
			pid = atoi(word);
			if (pid > 1) {
				left = 1;
				kill(pid, SIGKILL);
			}
		}
		fclose(tasks);
		if (!left)
			return 0;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		usleep(1000);
	}
	return -1;
}

static int maps_have(const char *name)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	int found = 0;

	while (maps && !found && fgets(line, sizeof(line), maps))
		found = strstr(line, name) != NULL;
	if (maps)
		fclose(maps);
	return found;
}

/*
 * Begin again with everything where it always is: the same seed is to give the
 * same pointers, and a heap by chance was once where the calls' memory shall be.
 */
static int hold_still(char **argv)
{
	int how = personality(0xffffffff);

	if (how < 0 || how & ADDR_NO_RANDOMIZE)
		return how < 0 ? -1 : 0;
	if (personality((unsigned long)how | ADDR_NO_RANDOMIZE) < 0)
		return -1;
	execv("/proc/self/exe", argv);
	return -1;
}

static int prepare(void)
{
	if (mkdir(PLACE, 0777) < 0 && errno != EEXIST)
		return -1;
	/* What is made here of messages, semaphores, mounts and files is gone with this process. */
	if (unshare(CLONE_NEWIPC | CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("fuzz", PLACE, "tmpfs", 0, "size=16m,mode=777") < 0 || chdir(PLACE) < 0)
		return -1;
	vsyscall_page = maps_have("[vsyscall]");
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || map_memory() < 0)
		return -1;
	/* Orphans come here, to be reaped. */
	return prctl(PR_SET_CHILD_SUBREAPER, 1);
}

/*
 * A child in the group. Born there where the kernel can (5.7): a fuzz whose
 * processes were all moved there was slow. Below 0 the lab's own failure.
 */
static pid_t fork_into(const char *group)
{
	struct clone_args how = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD };
	int place = open(group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pid_t child = -1;

	if (place < 0)
		return -1;
	how.cgroup = (uint64_t)place;
	child = (pid_t)syscall(SYS_clone3, &how, sizeof(how));
	close(place);
	if (child >= 0)
		return child;
	child = fork();
	if (child == 0 && put(group, "cgroup.procs", "0") < 0)
		not_begun();
	return child;
}

static long milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/*
 * One round: 0 it came to its end, 1 it died on the way, 2 it hung; below 0 the
 * lab's own failure.
 */
static int run_round(uint64_t seed, unsigned long round, const char *group)
{
	unsigned long known = shared->calls;
	long since = milliseconds();
	pid_t child = fork_into(group), ended;
	int status = 0, hung = 0;

	if (child < 0)
		return -1;
	if (child == 0)
		play(seed, round);
	for (;;) {
		ended = waitpid(child, &status, WNOHANG);
		if (ended == child || (ended < 0 && errno != EINTR))
			break;
		if (__atomic_load_n(&shared->calls, __ATOMIC_RELAXED) != known) {
			known = shared->calls;
			since = milliseconds();
		} else if (!hung && milliseconds() - since > HANGS_AFTER) {
			hung = 1;
			kill(child, SIGKILL);
		}
		usleep(1000);
	}
	if (sweep(group) < 0)
		return -1;
	if (shared->not_begun)
		return -1;
	return hung ? 2 : !WIFEXITED(status);
}

/* `ends`: how many rounds came to their end, died and hung. */
static int report(uint64_t seed, unsigned long rounds, const unsigned long *ends)
{
	int i;

	printf("{\"seed\": %llu, \"calls\": %lu, \"rounds\": %lu, \"died\": %lu, \"hung\": %lu, ",
	       (unsigned long long)seed, shared->calls, rounds, ends[1], ends[2]);
	printf("\"entries\": {");
	for (i = 0; i < ENTRIES && entry_names[i]; i++)
		printf("%s\"%s\": %lu", i ? ", " : "", entry_names[i], shared->by_entry[i]);
	printf("}}\n");
	return fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	unsigned long wanted, rounds = 0, only = 0, ends[3] = { 0 };
	uint64_t seed;
	long end;
	int done;

	if ((argc != 6 && argc != 7) || (strcmp(argv[5], "wild") != 0 && strcmp(argv[5], "tame") != 0)) {
		fprintf(stderr, "fuzz_calls SEED CALLS SECONDS CGROUP wild|tame [ROUND]\n");
		return 2;
	}
	seed = strtoull(argv[1], NULL, 10);
	wanted = strtoul(argv[2], NULL, 10);
	end = milliseconds() + 1000 * strtol(argv[3], NULL, 10);
	tame = strcmp(argv[5], "tame") == 0;
	if (argc == 7)
		only = strtoul(argv[6], NULL, 10);
	if (hold_still(argv) < 0 || prepare() < 0) {
		perror("fuzz_calls");
		return 1;
	}
	while (shared->calls < wanted && milliseconds() < end && !(only && rounds)) {
		rounds++;
		done = run_round(seed, only ? only : rounds, argv[4]);
		if (done < 0) {
			fprintf(stderr, "fuzz_calls: round %lu was not made\n", rounds);
			return 1;
		}
		ends[done]++;
	}
	return report(seed, rounds, ends);
}
