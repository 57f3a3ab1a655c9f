// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runtime functions of TC.
 *
 * The verifier does not know that a kfunc may move the packet, so the stub that
 * called us may still use pointers into the old one. Ours do not; but a stub is
 * anybody's who has CAP_BPF. Hence an old head is kept until a grace period after
 * the run, and the data pointers the kernel keeps for the stub are renewed.
 */
#include "rt.h"

#include <linux/filter.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>

static void free_parked(struct rcu_head *head)
{
	consume_skb(container_of((void *)head, struct sk_buff, cb));
}

static void refresh(struct iu_ctx_tc *ctx, struct sk_buff *skb)
{
	bpf_compute_data_pointers(skb);
	ctx->data = skb->data;
	ctx->data_end = skb->data + skb_headlen(skb);
	ctx->len = skb->len;
}

static int make_writable(struct iu_ctx_tc *ctx, u32 len)
{
	struct sk_buff *skb = ctx->skb, *old;
	int ret;

	BUILD_BUG_ON(sizeof(struct rcu_head) > sizeof_field(struct sk_buff, cb));

	if (len > skb->len)
		return -EINVAL;
	if (len <= skb_headlen(skb) && (!skb_cloned(skb) || skb_clone_writable(skb, len)))
		return 0;
	old = skb_clone(skb, GFP_ATOMIC);
	if (!old)
		return -ENOMEM;
	ret = skb_ensure_writable(skb, len);
	refresh(ctx, skb);
	call_rcu((struct rcu_head *)old->cb, free_parked);
	return ret;
}

u64 iu_rt_tc_pull(struct iu_ctx_tc *ctx, u32 len)
{
	return make_writable(ctx, len);
}
EXPORT_SYMBOL_GPL(iu_rt_tc_pull);

u64 iu_rt_tc_load(struct iu_ctx_tc *ctx, u32 off, void *to, u32 len)
{
	if (off > INT_MAX || len > INT_MAX)
		return -EINVAL;
	return skb_copy_bits(ctx->skb, off, to, len);
}
EXPORT_SYMBOL_GPL(iu_rt_tc_load);

u64 iu_rt_tc_store(struct iu_ctx_tc *ctx, u32 off, const void *from, u32 len)
{
	struct sk_buff *skb = ctx->skb;
	int ret;

	if (off > INT_MAX || len > INT_MAX)
		return -EINVAL;
	ret = make_writable(ctx, off + len);
	if (ret)
		return ret;
	__skb_postpull_rcsum(skb, skb->data + off, len, off);
	memcpy(skb->data + off, from, len);
	__skb_postpush_rcsum(skb, skb->data + off, len, off);
	return 0;
}
EXPORT_SYMBOL_GPL(iu_rt_tc_store);
