/* SPDX-License-Identifier: GPL-2.0-only */
/* Which architecture this is compiled for, whoever says it. */
#ifndef TAP_ARCH_H
#define TAP_ARCH_H

#if defined(__TARGET_ARCH_x86) || defined(__x86_64__)
#define TAP_ARCH_X86
#elif defined(__TARGET_ARCH_arm64) || defined(__aarch64__)
#define TAP_ARCH_ARM64
#elif defined(__TARGET_ARCH_riscv) || defined(__riscv)
#define TAP_ARCH_RISCV
#endif

#endif
