/* SPDX-License-Identifier: Apache-2.0 */
/* The ways to change the argument: by luck, or at a moment at which the call stands still. */
#ifndef RACE_WAYS_H
#define RACE_WAYS_H

#include "race_calls.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>

enum way { PLAIN, COLD, STORM, FAULT, SECCOMP, BLOCKED, PTRACED };

static const char *const ways[] = { "plain", "cold", "storm", "fault", "seccomp", "blocked", "ptraced" };

static char tail[PAGE] __attribute__((aligned(4096)));

/* --- By luck: the argument changes all the time. */

/* Interrupts for a call. Each is made by a call itself, and so an event, of which a reader bears only so many. */
#define STORM_OF 4

static void *race(void *storm)
{
	int struck = 0, left = 0, stage;
	unsigned int i;

	pin(1);
	MEET->ready = 1;
	while (!MEET->stop) {
		/* An odd number: what is seen after a storm is not always the same. */
		for (i = 0; i < 61; i++)
			flip();
		stage = MEET->stage;
		if (stage != struck) {
			struck = stage;
			left = STORM_OF;
		}
		if (storm && stage && left-- > 0)
			syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
	}
	return NULL;
}

/* --- At a page fault: the kernel has copied the first page, and waits for the second. */

static void *serve_faults(void *unused)
{
	struct uffdio_copy copy = { .dst = BUFFER + PAGE, .src = (unsigned long)tail, .len = PAGE };
	struct uffd_msg message;

	(void)unused;
	pin(1);
	MEET->ready = 1;
	while (read(MEET->listener, &message, sizeof(message)) == sizeof(message)) {
		flip();
		copy.copy = 0;
		if (ioctl(MEET->listener, UFFDIO_COPY, &copy) < 0)
			die("UFFDIO_COPY");
	}
	return NULL;
}

static void watch_second_page(void)
{
	struct uffdio_register range = {
		.range = { .start = BUFFER + PAGE, .len = PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_api api = { .api = UFFD_API };

	memcpy(tail, (void *)(ALIAS + PAGE), PAGE);
	if (mmap((void *)(BUFFER + PAGE), PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		die("mmap");
	MEET->listener = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (MEET->listener < 0 || ioctl(MEET->listener, UFFDIO_API, &api) < 0 ||
	    ioctl(MEET->listener, UFFDIO_REGISTER, &range) < 0)
		die("userfaultfd");
}

/* --- At a stop of seccomp's, before the call. */

static void *serve_notices(void *unused)
{
	struct seccomp_notif notice;
	struct seccomp_notif_resp answer;

	(void)unused;
	pin(1);
	MEET->ready = 1;
	while (MEET->listener < 0 && !MEET->stop)
		pause_a_moment();
	for (;;) {
		memset(&notice, 0, sizeof(notice));
		memset(&answer, 0, sizeof(answer));
		if (ioctl(MEET->listener, SECCOMP_IOCTL_NOTIF_RECV, &notice) < 0) {
			if (errno == EINTR)
				continue;
			return NULL;
		}
		if (MEET->stage)
			flip();
		answer.id = notice.id;
		answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		if (ioctl(MEET->listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) < 0)
			die("SECCOMP_IOCTL_NOTIF_SEND");
	}
}

static void install_filter(const struct raced *call)
{
	const long number = compat_calls ? call->compat : call->number;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		/* Past it: of the architecture that is asked for. */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_I386, compat_calls ? 0 : 2, compat_calls ? 2 : 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)number, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(*code), .filter = code };
	long listener;

	listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	if (listener < 0)
		die("seccomp");
	MEET->listener = (int)listener;
}

/* --- From another process: while the call is blocked, and at a stop of ptrace's. */

static int sleeps(int stat)
{
	char text[512];
	const char *state;
	ssize_t length = pread(stat, text, sizeof(text) - 1, 0);

	if (length <= 0)
		return 0;
	text[length] = '\0';
	state = strrchr(text, ')');
	return state && state[1] == ' ' && state[2] == 'S';
}

/* Let the call go on that waits for somebody at the other end. */
static void release(const struct raced *call, char asked, int trial)
{
	const int b = asked == 'b';
	int fd;

	if (call->object == STREAMS)
		fd = accept4(kept[b], NULL, NULL, SOCK_CLOEXEC);
	else
		fd = open(name_of(b), O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die("release");
	while (MEET->stage == trial)
		pause_a_moment();
	close(fd);
	MEET->ready = trial;
}

static void flip_while_blocked(const struct raced *call, pid_t caller, int count)
{
	char path[64];
	int stat, trial;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)caller);
	stat = open(path, O_RDONLY | O_CLOEXEC);
	if (stat < 0)
		die(path);
	for (trial = 1; trial <= count; trial++) {
		char asked;

		while (MEET->stage != trial || !sleeps(stat)) {
			if (kill(caller, 0) < 0 || MEET->stop)
				return;
			pause_a_moment();
		}
		asked = letter_now();
		flip();
		release(call, asked, trial);
	}
	close(stat);
}

/* Until the caller's end: a tracer that leaves within a call has it made again. Returns its status. */
static int flip_at_entries(pid_t caller)
{
	int status, entry = 0, last = 0;

	if (waitpid(caller, &status, 0) != caller || !WIFSTOPPED(status))
		die("waitpid");
	if (ptrace(PTRACE_SETOPTIONS, caller, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) < 0)
		die("PTRACE_SETOPTIONS");
	for (;;) {
		if (ptrace(PTRACE_SYSCALL, caller, 0, 0) < 0 || waitpid(caller, &status, 0) != caller)
			die("PTRACE_SYSCALL");
		if (!WIFSTOPPED(status))
			return status;
		if (WSTOPSIG(status) != (SIGTRAP | 0x80))
			continue;
		entry = !entry;
		if (entry && MEET->stage > last) {
			last = MEET->stage;
			flip();
		}
	}
}

#endif
