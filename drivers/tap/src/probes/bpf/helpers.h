/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's BPF helpers that tap calls, by their numbers, which are its
 * interface (include/uapi/linux/bpf.h). libbpf's own header would do as well;
 * this one shows that there is nothing behind it, and suits both probes.
 */
#ifndef TAP_HELPERS_H
#define TAP_HELPERS_H

#define SEC(name) __attribute__((section(name), used))
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/* How a map is declared: libbpf reads these members' types, not their values. */
#define MAP_UINT(name, value) int (*name)[value]
#define MAP_TYPE(name, value) typeof(value) *name

/* A value that the compiler must not reason about: the verifier would not follow. */
#define OPAQUE(value) asm volatile("" : "+r"(value))

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_map_update_elem)(void *map, const void *key,
				   const void *value, __u64 flags) = (void *)2;
static long (*bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static __u32 (*bpf_get_smp_processor_id)(void) = (void *)8;
static long (*bpf_tail_call)(void *ctx, void *map, __u32 index) = (void *)12;
static __u64 (*bpf_get_current_pid_tgid)(void) = (void *)14;
static __u64 (*bpf_get_current_uid_gid)(void) = (void *)15;
static long (*bpf_get_current_comm)(void *buffer, __u32 size) = (void *)16;
static long (*bpf_perf_event_output)(void *ctx, void *map, __u64 flags,
				     void *data, __u64 size) = (void *)25;
static __u64 (*bpf_get_current_task)(void) = (void *)35;
static long (*bpf_map_push_elem)(void *map, const void *value,
				 __u64 flags) = (void *)87;
static long (*bpf_map_pop_elem)(void *map, void *value) = (void *)88;
static long (*bpf_probe_read_user)(void *to, __u32 size,
				   const void *from) = (void *)112;
static long (*bpf_probe_read_kernel)(void *to, __u32 size,
				     const void *from) = (void *)113;
static long (*bpf_probe_read_user_str)(void *to, __u32 size,
				       const void *from) = (void *)114;
static long (*bpf_probe_read_kernel_str)(void *to, __u32 size,
					 const void *from) = (void *)115;
static __u64 (*bpf_ktime_get_boot_ns)(void) = (void *)125;
static long (*bpf_ringbuf_output)(void *ring, void *data, __u64 size,
				  __u64 flags) = (void *)130;
static struct task_struct *(*bpf_get_current_task_btf)(void) = (void *)158;
static struct pt_regs *(*bpf_task_pt_regs)(struct task_struct *task) = (void *)175;

/* Reads kernel memory that may not be there: then it is zero. */
#define PEEK(to, from) bpf_probe_read_kernel(&(to), sizeof(to), from)

#endif
