/* SPDX-License-Identifier: Apache-2.0 */
/* Making a call: by which entry, and in a child of its own where it wants one. */
#ifndef SYSCALLS_MAKE_H
#define SYSCALLS_MAKE_H

#include "native_call.h"
#include "syscalls.h"
#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATUS 7 /* of a child that a call made */

#ifdef __x86_64__
long int80(long number, const long *args);

/* ebp is the sixth argument; older kernels leave nothing in r8 to r11. */
asm(".text\n"
    ".globl int80\n"
    "int80:\n"
    "	push %rbx\n"
    "	push %rbp\n"
    "	mov %rdi, %rax\n"
    "	mov 0(%rsi), %rbx\n"
    "	mov 8(%rsi), %rcx\n"
    "	mov 16(%rsi), %rdx\n"
    "	mov 32(%rsi), %rdi\n"
    "	mov 40(%rsi), %rbp\n"
    "	mov 24(%rsi), %rsi\n"
    "	int $0x80\n"
    "	cltq\n"
    "	pop %rbp\n"
    "	pop %rbx\n"
    "	ret\n");
#else
static long int80(long number, const long *args)
{
	(void)number, (void)args;
	refuse("there is no int $0x80 here", "c");
	return -1;
}
#endif

static void make(struct call *call)
{
	static const long status[ARGUMENTS] = { STATUS };
	long result;

	result = call->compat ? int80(call->number, call->args) :
				native_call(call->number, call->args);
	if (call->forks && result == 0)
		native_call(SYS_exit_group, status);
	call->result = result;
	call->returned = 1;
	if (call->forks && result > 0 && waitpid((pid_t)result, &call->status, __WALL) < 0)
		die("waitpid");
}

static void drop(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = {};

	if (syscall(SYS_capset, &header, none) < 0)
		die("capset");
}

static void make_in_child(struct call *call)
{
	pid_t child = fork();

	if (child < 0)
		die("fork");
	if (child == 0) {
		map_all_taken();
		if (call->drops)
			drop();
		make(call);
		_exit(0);
	}
	call->pid = child;
	if (waitpid(child, &call->status, 0) != child)
		die("waitpid");
}

#endif
