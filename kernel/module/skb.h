/* SPDX-License-Identifier: GPL-2.0-only */
/* The context of the hooks that see a struct sk_buff. */
#ifndef IU_SKB_H
#define IU_SKB_H

#include <linux/netdevice.h>
#include <linux/skbuff.h>

#include "iu_abi.h"

static __always_inline struct iu_ctx_tc iu_ctx_of_skb(struct sk_buff *skb)
{
	return (struct iu_ctx_tc){
		.data = skb->data,
		.data_end = skb->data + skb_headlen(skb),
		.skb = skb,
		.len = skb->len,
		.ifindex = skb->dev ? skb->dev->ifindex : 0,
		.mark = skb->mark,
		.protocol = (__force u16)skb->protocol,
	};
}

#endif
