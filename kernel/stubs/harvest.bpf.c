// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Never attached: iu.ko reads the addresses of the helpers out of the verified
 * instructions (IU_IOC_HARVEST) and knows each program by its tag, so a change
 * here is a change of the tag (kernel/module/harvest_tags.sh) and of the order that
 * kernel/module/harvest.h expects.
 */
#include "stub.h"

#define __uint(name, value)	int (*name)[value]

/* Sizes are the least that the kernel accepts; nothing is ever put in. */
struct {
	__uint(type, 27); /* BPF_MAP_TYPE_RINGBUF */
	__uint(max_entries, 4096);
} harvest_ring SEC(".maps");

struct {
	__uint(type, 7); /* BPF_MAP_TYPE_STACK_TRACE */
	__uint(key_size, 4);
	__uint(value_size, 8);
	__uint(max_entries, 1);
} harvest_stack SEC(".maps");

static long (*bpf_l3_csum_replace)(struct __sk_buff *skb, __u32 off, __u64 from, __u64 to, __u64 flags) = (void *)10;
static long (*bpf_l4_csum_replace)(struct __sk_buff *skb, __u32 off, __u64 from, __u64 to, __u64 flags) = (void *)11;
static long (*bpf_clone_redirect)(struct __sk_buff *skb, __u32 ifindex, __u64 flags) = (void *)13;
static long (*bpf_skb_vlan_push)(struct __sk_buff *skb, __u32 proto, __u32 tci) = (void *)18;
static long (*bpf_skb_vlan_pop)(struct __sk_buff *skb) = (void *)19;
static long (*bpf_redirect)(__u32 ifindex, __u64 flags) = (void *)23;
static long (*bpf_get_stackid)(void *ctx, void *map, __u64 flags) = (void *)27;
static long (*bpf_skb_change_tail)(struct __sk_buff *skb, __u32 len, __u64 flags) = (void *)38;
static long (*bpf_skb_change_head)(struct __sk_buff *skb, __u32 len, __u64 flags) = (void *)43;
static long (*bpf_xdp_adjust_head)(struct xdp_md *ctx, int delta) = (void *)44;
static long (*bpf_skb_adjust_room)(struct __sk_buff *skb, int len, __u32 mode, __u64 flags) = (void *)50;
static long (*bpf_xdp_adjust_tail)(struct xdp_md *ctx, int delta) = (void *)65;
static long (*bpf_ringbuf_output)(void *ring, void *data, __u64 size, __u64 flags) = (void *)130;
static void *(*bpf_ringbuf_reserve)(void *ring, __u64 size, __u64 flags) = (void *)131;
static void (*bpf_ringbuf_submit)(void *data, __u64 flags) = (void *)132;
static void (*bpf_ringbuf_discard)(void *data, __u64 flags) = (void *)133;
static long (*bpf_xdp_load_bytes)(struct xdp_md *ctx, __u32 off, void *to, __u32 len) = (void *)189;
static long (*bpf_xdp_store_bytes)(struct xdp_md *ctx, __u32 off, void *from, __u32 len) = (void *)190;

SEC("xdp") int harvest_xdp(struct xdp_md *ctx)
{
	__u64 b = 0;

	bpf_xdp_adjust_head(ctx, 0);
	bpf_xdp_adjust_tail(ctx, 0);
	bpf_xdp_load_bytes(ctx, 0, &b, sizeof(b));
	bpf_xdp_store_bytes(ctx, 0, &b, sizeof(b));
	bpf_redirect(0, 0);
	return 2; /* XDP_PASS */
}

SEC("tc") int harvest_tc(struct __sk_buff *skb)
{
	bpf_skb_change_head(skb, 0, 0);
	bpf_skb_change_tail(skb, 0, 0);
	bpf_skb_adjust_room(skb, 0, 0, 0);
	bpf_skb_vlan_push(skb, 0, 0);
	bpf_skb_vlan_pop(skb);
	bpf_l3_csum_replace(skb, 0, 0, 0, 2);
	bpf_l4_csum_replace(skb, 0, 0, 0, 2);
	bpf_redirect(0, 0);
	bpf_clone_redirect(skb, 0, 0);
	return 0;
}

SEC("kprobe") int harvest_kprobe(void *ctx)
{
	__u64 b = 0, *sample = bpf_ringbuf_reserve(&harvest_ring, 8, 0);

	if (sample) {
		if (*sample)
			bpf_ringbuf_submit(sample, 0);
		else
			bpf_ringbuf_discard(sample, 0);
	}
	bpf_ringbuf_output(&harvest_ring, &b, sizeof(b), 0);
	bpf_get_stackid(ctx, &harvest_stack, 0);
	return 0;
}

char _license[] SEC("license") = "GPL";
