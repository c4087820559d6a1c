// SPDX-License-Identifier: GPL-2.0-only
/* Uses what a map's lookup returns without asking whether it is there. */
#ifdef __KERNEL__
#include <uapi/linux/bpf.h>
#else
#include <linux/bpf.h>
#endif

#define SEC(name) __attribute__((section(name), used))

/* As libbpf's __uint and __type have it. */
struct {
	int (*type)[BPF_MAP_TYPE_ARRAY];
	int (*max_entries)[1];
	__u32 *key;
	__u64 *value;
} counters SEC(".maps");

static void *(*lookup)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;

SEC("raw_tracepoint/sys_enter")
int refused(void *ctx)
{
	__u32 key = 0;
	__u64 *value = lookup(&counters, &key);

	(void)ctx;
	*value += 1;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
