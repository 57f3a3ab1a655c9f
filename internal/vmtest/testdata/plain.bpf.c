// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/* The work of kernel/testdata/ext.c in eBPF: two programs, two maps. */
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name)	__attribute__((section(name), used))
#define __uint(name, value)	int (*name)[value]
#define __type(name, type)	type *name

struct xdp_md {
	u32 data, data_end;
};
struct __sk_buff {
	u32 len;
};

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;

struct {
	__uint(type, 2); /* ARRAY */
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, u64);
} counts SEC(".maps");

struct {
	__uint(type, 1); /* HASH */
	__uint(max_entries, 16);
	__type(key, u32);
	__type(value, u64);
} seen SEC(".maps");

static __attribute__((always_inline)) void count(u32 key)
{
	u64 *value = bpf_map_lookup_elem(&counts, &key);

	if (value)
		__sync_fetch_and_add(value, 1);
}

SEC("xdp") int count_xdp(struct xdp_md *ctx)
{
	u32 len = ctx->data_end - ctx->data;
	u64 one = 1;

	count(0);
	bpf_map_update_elem(&seen, &len, &one, 0);
	return 2; /* XDP_PASS */
}

SEC("tc") int count_tc(struct __sk_buff *ctx)
{
	count(1);
	return 0; /* TC_ACT_OK */
}

char LICENSE[] SEC("license") = "GPL";
