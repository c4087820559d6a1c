/* SPDX-License-Identifier: GPL-2.0-only */
/* What each architecture keeps elsewhere: which CPU this is, a call's ABI, its number, its arguments. */
#ifndef TAP_REGISTERS_H
#define TAP_REGISTERS_H

#include "maps.h"

#define OF_TASK_COMPAT (1u << 1)	/* x86: TS_COMPAT */
#define OF_THREAD_32BIT (1u << 22)	/* arm64: TIF_32BIT */

/* TAP_COMPAT when the current call is a 32-bit one. */
static __always_inline __u8 tap_abi(void)
{
#if defined(TAP_ARCH_X86)
	__u32 status = 0;

	PEEK(status, &tap_current()->thread_info.status);
	return status & OF_TASK_COMPAT ? TAP_COMPAT : 0;
#elif defined(TAP_ARCH_ARM64)
	unsigned long flags = 0;

	PEEK(flags, &tap_current()->thread_info.flags);
	return flags & OF_THREAD_32BIT ? TAP_COMPAT : 0;
#else
	return 0;
#endif
}

/*
 * riscv64's kernels come with the JIT compiler off, and this helper is one that
 * only the compiler can do there: on 6.12 it says 0 on every CPU without it. The
 * task says it too.
 */
static __always_inline __u32 tap_cpu(void)
{
#if defined(TAP_ARCH_RISCV)
	__u32 cpu = 0;

	PEEK(cpu, &tap_current()->thread_info.cpu);
	return cpu;
#else
	return bpf_get_smp_processor_id();
#endif
}

static __always_inline __u32 tap_row_number(__u64 nr, __u8 abi)
{
	/* Number 511 is nobody's: what is beyond the table has no type. */
	__u32 number = nr < TAP_NUMBERS ? nr : TAP_NUMBERS - 1;

	return abi & TAP_COMPAT ? TAP_NUMBERS + number : number;
}

#if defined(TAP_ARCH_X86)
static __always_inline void tap_arguments(__u64 *args, struct pt_regs *regs,
					  __u8 abi)
{
	if (abi & TAP_COMPAT) {
		PEEK(args[0], &regs->bx);
		PEEK(args[1], &regs->cx);
		PEEK(args[2], &regs->dx);
		PEEK(args[3], &regs->si);
		PEEK(args[4], &regs->di);
		PEEK(args[5], &regs->bp);
#pragma unroll
		for (int i = 0; i < TAP_ARGUMENTS; i++)
			args[i] = (__u32)args[i];
	} else {
		PEEK(args[0], &regs->di);
		PEEK(args[1], &regs->si);
		PEEK(args[2], &regs->dx);
		PEEK(args[3], &regs->r10);
		PEEK(args[4], &regs->r8);
		PEEK(args[5], &regs->r9);
	}
}

static __always_inline __u64 tap_number(struct pt_regs *regs)
{
	unsigned long nr = 0;

	PEEK(nr, &regs->orig_ax);
	return nr;
}

#define HOOK_ARGUMENT_1(frame) ((frame)->di)
#define HOOK_ARGUMENT_2(frame) ((frame)->si)
#define HOOK_ARGUMENT_3(frame) ((frame)->dx)
#elif defined(TAP_ARCH_ARM64)
static __always_inline void tap_arguments(__u64 *args, struct pt_regs *regs,
					  __u8 abi)
{
	PEEK(args[0], &regs->orig_x0);
	bpf_probe_read_kernel(&args[1], 5 * sizeof(args[1]), &regs->regs[1]);
	if (abi & TAP_COMPAT) {
#pragma unroll
		for (int i = 0; i < TAP_ARGUMENTS; i++)
			args[i] = (__u32)args[i];
	}
}

static __always_inline __u64 tap_number(struct pt_regs *regs)
{
	__s32 nr = 0;

	PEEK(nr, &regs->syscallno);
	return nr;
}

#define HOOK_ARGUMENT_1(frame) ((frame)->regs[0])
#define HOOK_ARGUMENT_2(frame) ((frame)->regs[1])
#define HOOK_ARGUMENT_3(frame) ((frame)->regs[2])
#elif defined(TAP_ARCH_RISCV)
static __always_inline void tap_arguments(__u64 *args, struct pt_regs *regs,
					  __u8 abi)
{
	PEEK(args[0], &regs->orig_a0);
	PEEK(args[1], &regs->a1);
	PEEK(args[2], &regs->a2);
	PEEK(args[3], &regs->a3);
	PEEK(args[4], &regs->a4);
	PEEK(args[5], &regs->a5);
}

static __always_inline __u64 tap_number(struct pt_regs *regs)
{
	unsigned long nr = 0, cause = 0;

	PEEK(nr, &regs->a7);
	PEEK(cause, &regs->cause);
	return cause == -1ul ? cause : nr;
}

#define HOOK_ARGUMENT_1(frame) ((frame)->a0)
#define HOOK_ARGUMENT_2(frame) ((frame)->a1)
#define HOOK_ARGUMENT_3(frame) ((frame)->a2)
#endif

#endif
