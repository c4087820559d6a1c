// SPDX-License-Identifier: Apache-2.0
/*
 * Leaves a BPF program, attached and pinned, and a map with a BTF in the
 * kernel, as a driver that forgets to clean up would.
 */
#include <linux/bpf.h>
#include <linux/btf.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PLACE "/sys/fs/bpf/left"
#define TYPE(kind, members) (((kind) << 24) | (members))

/* u32; struct hits { u32 count; u32 last; } */
struct types {
	struct btf_header header;
	struct btf_type number;
	__u32 encoding;
	struct btf_type hits;
	struct btf_member count;
	struct btf_member last;
	char strings[24];
};

static const struct types types = {
	.header = {
		.magic = BTF_MAGIC,
		.version = BTF_VERSION,
		.hdr_len = sizeof(struct btf_header),
		.type_off = 0,
		.type_len = __builtin_offsetof(struct types, strings) - sizeof(struct btf_header),
		.str_off = __builtin_offsetof(struct types, strings) - sizeof(struct btf_header),
		.str_len = 21,
	},
	.number = { .name_off = 1, .info = TYPE(BTF_KIND_INT, 0), .size = 4 },
	.encoding = 32,
	.hits = { .name_off = 5, .info = TYPE(BTF_KIND_STRUCT, 2), .size = 8 },
	.count = { .name_off = 10, .type = 1, .offset = 0 },
	.last = { .name_off = 16, .type = 1, .offset = 32 },
	.strings = "\0u32\0hits\0count\0last",
};

static int bpf(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int make_map(void)
{
	union bpf_attr attr;
	__u32 key = 7, value[2] = { 3, 9 };
	int types_fd, map;

	memset(&attr, 0, sizeof(attr));
	attr.btf = (__u64)(unsigned long)&types;
	attr.btf_size = __builtin_offsetof(struct types, strings) + types.header.str_len;
	types_fd = bpf(BPF_BTF_LOAD, &attr);
	if (types_fd < 0)
		return -1;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_HASH;
	attr.key_size = sizeof(key);
	attr.value_size = sizeof(value);
	attr.max_entries = 4;
	attr.btf_fd = types_fd;
	attr.btf_key_type_id = 1;
	attr.btf_value_type_id = 2;
	strcpy(attr.map_name, "left_map");
	map = bpf(BPF_MAP_CREATE, &attr);
	if (map < 0)
		return -1;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = map;
	attr.key = (__u64)(unsigned long)&key;
	attr.value = (__u64)(unsigned long)value;
	return bpf(BPF_MAP_UPDATE_ELEM, &attr) ? -1 : map;
}

static int make_program(void)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT;
	attr.insns = (__u64)(unsigned long)code;
	attr.insn_cnt = sizeof(code) / sizeof(code[0]);
	attr.license = (__u64)(unsigned long)"GPL";
	strcpy(attr.prog_name, "left_program");
	return bpf(BPF_PROG_LOAD, &attr);
}

static int pin(int what, const char *path)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.bpf_fd = what;
	attr.pathname = (__u64)(unsigned long)path;
	return bpf(BPF_OBJ_PIN, &attr);
}

int main(void)
{
	int map = make_map(), program = make_program(), link;
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.raw_tracepoint.name = (__u64)(unsigned long)"sys_enter";
	attr.raw_tracepoint.prog_fd = program;
	link = bpf(BPF_RAW_TRACEPOINT_OPEN, &attr);
	if (map < 0 || program < 0 || link < 0 || pin(map, PLACE "_map") || pin(link, PLACE)) {
		perror("leaves_bpf");
		return 1;
	}
	return 0;
}
