// SPDX-License-Identifier: GPL-2.0-only
/* Uses what a map's lookup returns without asking whether it is there. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

SEC("raw_tracepoint/sys_enter")
int refused(void *ctx)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&counters, &key);

	(void)ctx;
	*value += 1;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
