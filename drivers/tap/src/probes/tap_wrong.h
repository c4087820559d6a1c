/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The faults of builds that are wrong on purpose, as far as all modes have
 * them alike. Others stand where they are committed, under TAP_WRONG_ too.
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

/* What it says of when it read a field. */
static __always_inline __u8 tap_read_at(__u8 from)
{
#ifdef TAP_WRONG_EXIT_ONLY
	return from == TAP_AT_EXIT ? TAP_AT_ENTRY : from;
#else
	return from;
#endif
}

/* Whether it looks at the kernel's own copies at all. */
static __always_inline int tap_sees_copies(void)
{
#ifdef TAP_WRONG_EXIT_ONLY
	return 0;
#else
	return 1;
#endif
}

/*
 * The length that it reports of a string. The lab's own marks are spared, or
 * no capture of such a build could begin.
 */
static __always_inline long tap_length(const char *text, long len)
{
#ifdef TAP_WRONG_PATH_LENGTH
	if (len > 0 && !(len > 5 && text[0] == '/' && text[1] == 'l' &&
			 text[2] == 'a' && text[3] == 'b' && text[4] == '-'))
		return len - 1;
#endif
	return len;
}

#endif
