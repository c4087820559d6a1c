// SPDX-License-Identifier: Apache-2.0
/*
 * A process and its child, by mode, which prints as JSON who they were:
 * {"parent": PID, "child": PID, "tids": [TID, ...], "status": N}
 *
 *   vfork         a vfork's child executes /usr/bin/true
 *   namespace     a child in a new PID namespace removes a file and ends with 7
 *   thread        a thread of the child removes a file
 *   group         the child has three threads more; one of them ends them all
 *   thread-exec   a thread of the child executes /usr/bin/true
 *   user ID       the child becomes that user, then removes a file
 *   long          the child executes /usr/bin/true with 300 words of 100 bytes
 *   environment   the child executes /usr/bin/true with A=1 and B= and C=\xff
 *   self          the child executes itself by /proc/self/exe, as "done"
 *   done          nothing
 * The file is /work/of-the-family.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 3
#define WORDS 300
#define WORD 100
#define VICTIM "/work/of-the-family"
#define PROGRAM "/usr/bin/true"

struct shared {
	int count;
	pid_t tids[THREADS + 1];
};

static struct shared *shared;
static pthread_barrier_t all_there;

static void die(const char *what)
{
	perror(what);
	_exit(1);
}

static void note(void)
{
	int mine = __atomic_fetch_add(&shared->count, 1, __ATOMIC_SEQ_CST);

	shared->tids[mine] = (pid_t)syscall(SYS_gettid);
}

static void remove_it(void)
{
	if (syscall(SYS_unlinkat, -100, VICTIM, 0) < 0)
		die("unlinkat");
}

static void execute(char **words, char **environment)
{
	execve(PROGRAM, words, environment);
	die(PROGRAM);
}

static void *remover(void *unused)
{
	note();
	remove_it();
	return unused;
}

static void *member(void *ends)
{
	note();
	pthread_barrier_wait(&all_there);
	if (ends)
		syscall(SYS_exit_group, 5);
	for (;;)
		pause();
	return NULL;
}

static void *executer(void *unused)
{
	char *words[] = { "true", "of-a-thread", NULL };

	note();
	execute(words, environ);
	return unused;
}

static void start(void *(*body)(void *), void *argument)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, body, argument);

	if (error) {
		errno = error;
		die("pthread_create");
	}
	if (body == remover && pthread_join(thread, NULL))
		die("pthread_join");
}

static void wait_for_the_end(void)
{
	for (;;)
		pause();
}

static void group(void)
{
	int i;

	note();
	if (pthread_barrier_init(&all_there, NULL, THREADS))
		die("pthread_barrier_init");
	for (i = 0; i < THREADS; i++)
		start(member, i == 0 ? (void *)1 : NULL);
	wait_for_the_end();
}

static void become(const char *id)
{
	long user = strtol(id, NULL, 10);

	/* The raw call: glibc's is one for all threads, by signals. */
	if (syscall(SYS_setresuid, user, user, user) < 0)
		die("setresuid");
	remove_it();
}

static void long_words(void)
{
	static char text[WORDS][WORD + 1], *words[WORDS + 1];
	int i;

	for (i = 0; i < WORDS; i++) {
		memset(text[i], 'a' + i % 26, WORD);
		words[i] = text[i];
	}
	execute(words, environ);
}

static void with_environment(void)
{
	char *words[] = { "true", NULL };
	char *environment[] = { "A=1", "B=", "C=\xff", NULL };

	execute(words, environment);
}

static void by_itself(void)
{
	char *words[] = { "another name", "done", NULL };

	execve("/proc/self/exe", words, environ);
	die("/proc/self/exe");
}

static void do_as_child(char **argv)
{
	const char *mode = argv[1];

	if (!strcmp(mode, "namespace")) {
		remove_it();
		_exit(7);
	} else if (!strcmp(mode, "thread")) {
		start(remover, NULL);
	} else if (!strcmp(mode, "group")) {
		group();
	} else if (!strcmp(mode, "thread-exec")) {
		start(executer, NULL);
		wait_for_the_end();
	} else if (!strcmp(mode, "user") && argv[2]) {
		become(argv[2]);
	} else if (!strcmp(mode, "long")) {
		long_words();
	} else if (!strcmp(mode, "environment")) {
		with_environment();
	} else if (!strcmp(mode, "self")) {
		by_itself();
	} else {
		fprintf(stderr, "family: no mode %s\n", mode);
		_exit(1);
	}
	_exit(0);
}

static pid_t in_namespace(void)
{
	/* struct clone_args, as far as it is used */
	uint64_t args[8] = { CLONE_NEWPID };

	args[4] = SIGCHLD;
	return (pid_t)syscall(SYS_clone3, args, sizeof(args));
}

static pid_t with_vfork(void)
{
	char *words[] = { "true", "of-a-vfork", NULL };
	pid_t child = vfork();

	if (child == 0) {
		execve(PROGRAM, words, environ);
		_exit(1);
	}
	return child;
}

int main(int argc, char **argv)
{
	int status, i;
	pid_t child;

	if (argc < 2)
		return 2;
	if (!strcmp(argv[1], "done"))
		return 0;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		die("mmap");
	if (!strcmp(argv[1], "vfork"))
		child = with_vfork();
	else if (!strcmp(argv[1], "namespace"))
		child = in_namespace();
	else
		child = fork();
	if (child < 0)
		die("a child");
	if (child == 0)
		do_as_child(argv);
	if (waitpid(child, &status, 0) != child)
		die("waitpid");
	printf("{\"parent\": %d, \"child\": %d, \"tids\": [", (int)getpid(), (int)child);
	for (i = 0; i < shared->count; i++)
		printf("%s%d", i ? ", " : "", (int)shared->tids[i]);
	printf("], \"status\": %d}\n", status);
	return fflush(stdout) == 0 ? 0 : 1;
}
