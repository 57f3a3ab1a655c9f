// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/* Programs in eBPF that do what extensions do, one for each macro: stock kernels refuse all but LOOK. */
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name)	__attribute__((section(name), used))
#define __uint(name, value)	int (*name)[value]
#define __type(name, type)	type *name

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_override_return)(void *regs, u64 rc) = (void *)58;
static long (*bpf_spin_lock)(void *lock) = (void *)93;
static long (*bpf_spin_unlock)(void *lock) = (void *)94;
static long (*bpf_ringbuf_output)(void *ring, void *data, u64 size, u64 flags) = (void *)130;
static void *(*bpf_ringbuf_reserve)(void *ring, u64 size, u64 flags) = (void *)131;
static void (*bpf_ringbuf_discard)(void *data, u64 flags) = (void *)133;

struct xdp_md {
	u32 data, data_end;
};

struct bpf_spin_lock {
	u32 val;
};

struct slot {
	struct bpf_spin_lock lock;
	u32 seen;
};

/* errinject: other results for what the kernel does. */
#if defined(OVERRIDE)
SEC("kprobe/do_unlinkat") int prog(void *ctx)
{
	bpf_override_return(ctx, -5);
	return 0;
}
#elif defined(SYSCALL)
SEC("fmod_ret/__x64_sys_read") int prog(void *ctx) { return -5; }
#elif defined(SUBMIT)
SEC("fmod_ret/submit_bio_noacct") int prog(void *ctx) { return 0; }
#elif defined(RESULT)
SEC("fexit/vfs_read") int prog(u64 *ctx)
{
	ctx[4] = -5;
	return 0;
}
#elif defined(LOOK)
SEC("tp_btf/block_rq_complete") int prog(void *ctx) { return 0; }

/* quorum: what is accepted is in the log before anybody else sees the slot. */
#elif defined(LOCKED)
struct {
	__uint(type, 27); /* RINGBUF */
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, 2); /* ARRAY */
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

SEC("xdp") int prog(struct xdp_md *ctx)
{
	u32 key = 0;
	struct slot *slot = bpf_map_lookup_elem(&slots, &key);

	if (!slot)
		return 2;
	bpf_spin_lock(&slot->lock);
	if (!bpf_ringbuf_output(&ring, &key, sizeof(key), 0))
		slot->seen++;
	bpf_spin_unlock(&slot->lock);
	return 2;
}
#elif defined(RESERVE)
struct {
	__uint(type, 27); /* RINGBUF */
	__uint(max_entries, 4096);
} ring SEC(".maps");

SEC("xdp") int prog(struct xdp_md *ctx)
{
	void *record = bpf_ringbuf_reserve(&ring, 8 + ((ctx->data_end - ctx->data) & 0x7f), 0);

	if (record)
		bpf_ringbuf_discard(record, 0);
	return 2;
}
#endif

char LICENSE[] SEC("license") = "GPL";
