/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What goes from the probes to the reader. All three modes write exactly this,
 * in the machine's own byte order; who includes it brings __u8 to __s64.
 *
 * An event is a struct tap_event, followed by fields. A field is a struct
 * tap_field, followed by its bytes, padded to TAP_ALIGN. Nothing else varies.
 */
#ifndef TAP_WIRE_H
#define TAP_WIRE_H

#define TAP_ALIGN 8
#define TAP_COMM 16
#define TAP_ARGUMENTS 6
#define TAP_NAMESPACES 7

/* A string or a list of strings is reported to this length, its NUL counted. */
#define TAP_STRING_MAX 4096
#define TAP_ADDRESS_MAX 128
/* Of all fields of an event together; a power of two, so that a mask bounds it. */
#define TAP_FIELDS_MAX 32768

/* Calls that read memory and are being made at the same time, over all tasks. */
#define TAP_SLOTS 256

enum tap_kind {
	TAP_CALL = 1,	/* a system call returned (or never will) */
	TAP_EXEC = 2,	/* sched_process_exec */
	TAP_FORK = 3,	/* sched_process_fork */
	TAP_EXIT = 4,	/* sched_process_exit */
};

/* flags of an event */
#define TAP_COMPAT	0x01	/* a 32-bit call: nr is of that table */
#define TAP_NO_ENTRY	0x02	/* its entry was not seen, or no slot was free */
#define TAP_NO_RESULT	0x04	/* reported at entry: it does not return */
#define TAP_NO_ROOM	0x08	/* a field was left out for want of room */

struct tap_event {
	__u32 len;		/* with its fields: a multiple of TAP_ALIGN */
	__u16 nr;		/* the call's number */
	__u8 kind;
	__u8 flags;
	__u64 ts;		/* boot clock, ns: at its end */
	__u64 entered;		/* boot clock, ns: at entry, 0 if not seen */
	__u32 cpu;
	__u32 tid;
	__u32 pid;
	__u32 ppid;
	__u32 uid;		/* real, in the first user namespace */
	__u32 gid;
	__u64 args[TAP_ARGUMENTS];
	__s64 result;
	char comm[TAP_COMM];
};

/* from: when and where a field was read */
enum tap_from {
	TAP_AT_ENTRY = 0,
	TAP_AT_EXIT = 1,
	TAP_IN_KERNEL = 2,	/* the kernel's own copy; arg counts them */
	TAP_OF_TASK = 3,	/* arg is one of enum tap_about */
};

enum tap_about {
	TAP_ABOUT_PROCESS = 0,	/* a struct tap_process */
	TAP_ABOUT_FILE = 1,	/* the name of the program's file */
	TAP_ABOUT_ARGS = 2,	/* its arguments, from its own memory */
};

/* state of a field */
#define TAP_FAULT 0x01	/* it, or some of it, was not in memory */
#define TAP_CUT 0x02	/* there was more of it */

struct tap_field {
	__u16 len;		/* of its bytes, without padding */
	__u8 from;
	__u8 arg;
	__u8 state;
	__u8 zero[3];
};

/* In the order of ns[] of struct tap_process */
#define TAP_NAMESPACE_NAMES "mnt", "pid", "net", "uts", "ipc", "cgroup", "user"

struct tap_process {
	__u32 pid;		/* fork: of the child; else the event's own */
	__u32 tid;
	__u32 uid;
	__u32 euid;
	__u32 gid;
	__u32 egid;
	__u64 caps;		/* effective */
	__u64 cgroup;		/* of the v2 hierarchy: its inode number */
	__u32 ns[TAP_NAMESPACES];
	__s32 status;		/* exit: as wait(2) has it */
	char parent[TAP_COMM];
};

/* More CPUs than that the reader refuses; a power of two. */
#define TAP_CPUS 512

/* One for each CPU. offered = delivered + dropped, once the ring is empty. */
struct tap_counts {
	__u64 offered;
	__u64 dropped;
};

struct tap_version {
	__u32 api_major;
	__u32 api_minor;
	__u32 schema_major;
	__u32 schema_minor;
};

/* What a probe does with a call; see events.toml. */
enum tap_how {
	TAP_HOW_VALUE = 0,
	TAP_HOW_STRING,
	TAP_HOW_ARGV,
	TAP_HOW_SOCKADDR,	/* the next argument is its length */
	TAP_HOW_SOCKADDR_OUT,
	TAP_HOW_SIZED,		/* at most size; the next argument says how many */
	TAP_HOW_FIXED,		/* size bytes */
};

#define TAP_CALL_TYPED		0x01
#define TAP_CALL_MEMORY		0x02
#define TAP_CALL_NAMES		0x04
#define TAP_CALL_ADDRESS	0x08
#define TAP_CALL_NO_RETURN	0x10
#define TAP_CALL_EXEC		0x20
#define TAP_CALL_ARGV		0x40

struct tap_call {
	__u8 flags;
	__u8 how[TAP_ARGUMENTS];
	__u8 size[TAP_ARGUMENTS];
	__u8 vfork;	/* 1: vfork, 2: clone, whose flags say it */
	__u8 zero[2];
};

/*
 * The kernel module's device, /dev/tap: a region for each CPU, one behind the
 * other. A region is a page of struct tap_shared and the ring, twice in a row.
 */
struct tap_shared {
	__u64 head;		/* bytes ever written, by the kernel */
	__u64 zero1[7];
	__u64 tail;		/* bytes ever read, by the reader */
	__u64 zero2[7];
	struct tap_counts counts;
};

struct tap_info {
	struct tap_version version;
	__u32 cpus;		/* possible ones: as many regions */
	__u32 ring;		/* bytes of one ring */
	__u32 page;		/* bytes of a page */
	__u32 zero;
};

#define TAP_IOC_INFO 0x80205401u	/* _IOR('T', 1, struct tap_info) */
#define TAP_IOC_START 0x5402u		/* _IO('T', 2) */
#define TAP_IOC_STOP 0x5403u		/* _IO('T', 3): nothing is offered after it */

#endif
