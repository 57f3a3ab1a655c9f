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

#include "harvest.h"

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

/* Before the head may change: what keeps the old one, or NULL without memory. */
static struct sk_buff *park(struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct rcu_head) > sizeof_field(struct sk_buff, cb));
	return skb_clone(skb, GFP_ATOMIC);
}

static void moved(struct iu_ctx_tc *ctx, struct sk_buff *old)
{
	refresh(ctx, ctx->skb);
	call_rcu((struct rcu_head *)old->cb, free_parked);
}

static int make_writable(struct iu_ctx_tc *ctx, u32 len)
{
	struct sk_buff *skb = ctx->skb, *old;
	int ret;

	if (len > skb->len)
		return -EINVAL;
	if (len <= skb_headlen(skb) && (!skb_cloned(skb) || skb_clone_writable(skb, len)))
		return 0;
	old = park(skb);
	if (!old)
		return -ENOMEM;
	ret = skb_ensure_writable(skb, len);
	moved(ctx, old);
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

/* A helper that may move the packet, between parking the old head and refreshing `ctx`. */
#define MOVING(ctx, call) ({ \
	struct iu_ctx_tc *ctx_ = (ctx); \
	struct sk_buff *old_ = park(ctx_->skb); \
	u64 ret_ = -ENOMEM; \
	iu_charge(16); \
	if (old_) { \
		ret_ = call; \
		moved(ctx_, old_); \
	} \
	ret_; \
})

u64 iu_rt_tc_change_head(struct iu_ctx_tc *ctx, u32 room)
{
	return MOVING(ctx, iu_help(skb_change_head, (unsigned long)ctx->skb, room, 0, 0, 0));
}
EXPORT_SYMBOL_GPL(iu_rt_tc_change_head);

u64 iu_rt_tc_change_tail(struct iu_ctx_tc *ctx, u32 len)
{
	return MOVING(ctx, iu_help(skb_change_tail, (unsigned long)ctx->skb, len, 0, 0, 0));
}
EXPORT_SYMBOL_GPL(iu_rt_tc_change_tail);

u64 iu_rt_tc_adjust_room(struct iu_ctx_tc *ctx, s32 delta, u32 mode, u64 flags)
{
	return MOVING(ctx, iu_help(skb_adjust_room, (unsigned long)ctx->skb, (s64)delta, mode,
				   flags, 0));
}
EXPORT_SYMBOL_GPL(iu_rt_tc_adjust_room);

u64 iu_rt_tc_vlan_push(struct iu_ctx_tc *ctx, u32 proto, u32 tci)
{
	return MOVING(ctx, iu_help(skb_vlan_push, (unsigned long)ctx->skb, proto, tci, 0, 0));
}
EXPORT_SYMBOL_GPL(iu_rt_tc_vlan_push);

u64 iu_rt_tc_vlan_pop(struct iu_ctx_tc *ctx)
{
	return MOVING(ctx, iu_help(skb_vlan_pop, (unsigned long)ctx->skb, 0, 0, 0, 0));
}
EXPORT_SYMBOL_GPL(iu_rt_tc_vlan_pop);

u64 iu_rt_tc_csum_l3(struct iu_ctx_tc *ctx, u32 off, u64 from, u64 to, u64 flags)
{
	return MOVING(ctx, iu_help(l3_csum_replace, (unsigned long)ctx->skb, off, from, to, flags));
}
EXPORT_SYMBOL_GPL(iu_rt_tc_csum_l3);

u64 iu_rt_tc_csum_l4(struct iu_ctx_tc *ctx, u32 off, u64 from, u64 to, u64 flags)
{
	return MOVING(ctx, iu_help(l4_csum_replace, (unsigned long)ctx->skb, off, from, to, flags));
}
EXPORT_SYMBOL_GPL(iu_rt_tc_csum_l4);

/* Notes the target on this CPU; the kernel acts on it when the program returns TC_ACT_REDIRECT. */
u64 iu_rt_tc_redirect(u32 ifindex, u64 flags)
{
	return iu_help(redirect, ifindex, flags, 0, 0, 0);
}
EXPORT_SYMBOL_GPL(iu_rt_tc_redirect);

/* The copy goes all the way to its device before this returns, and may meet programs there. */
u64 iu_rt_tc_clone(struct iu_ctx_tc *ctx, u32 ifindex, u64 flags)
{
	iu_charge(64);
	return MOVING(ctx, iu_help(clone_redirect, (unsigned long)ctx->skb, ifindex, flags, 0, 0));
}
EXPORT_SYMBOL_GPL(iu_rt_tc_clone);
