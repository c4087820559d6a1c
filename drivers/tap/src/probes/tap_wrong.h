/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a build that is wrong on purpose does to calls: the same in all modes.
 * Its other faults stand where they are committed, under TAP_WRONG_ too.
 */
#ifndef TAP_WRONG_H
#define TAP_WRONG_H

#define TAP_VFORK_FLAG 0x4000	/* CLONE_VFORK */

/* Whether it leaves this call out; `first` is the call's first argument. */
static __always_inline int tap_misses(const struct tap_call *call, __u8 abi, __u64 first)
{
#ifdef TAP_WRONG_NO_COMPAT
	if (abi & TAP_COMPAT)
		return 1;
#endif
#ifdef TAP_WRONG_NO_VFORK
	if (call->vfork == 1 || (call->vfork == 2 && (first & TAP_VFORK_FLAG)))
		return 1;
#endif
	return 0;
}

/* The result that it reports. */
static __always_inline __s64 tap_reported(__s64 result)
{
#ifdef TAP_WRONG_RESULT
	return result < 0 ? 0 : -1;
#else
	return result;
#endif
}

#endif
