// SPDX-License-Identifier: GPL-2.0-only
/* Runtime functions of XDP. */
#include "rt.h"

#include <linux/instruction_pointer.h>
#include <linux/module.h>
#include <net/xdp.h>

#include "harvest.h"

u64 iu_rt_xdp_adjust_head(void *ctx, s32 delta)
{
	iu_charge(4);
	return iu_help(xdp_adjust_head, (unsigned long)ctx, (s64)delta, 0, 0, 0);
}
EXPORT_SYMBOL_GPL(iu_rt_xdp_adjust_head);

u64 iu_rt_xdp_adjust_tail(void *ctx, s32 delta)
{
	iu_charge(4);
	return iu_help(xdp_adjust_tail, (unsigned long)ctx, (s64)delta, 0, 0, 0);
}
EXPORT_SYMBOL_GPL(iu_rt_xdp_adjust_tail);

u64 iu_rt_xdp_len(void *ctx)
{
	struct xdp_buff *xdp = ctx;
	u64 len = xdp->data_end - xdp->data;

	if (unlikely(xdp_buff_has_frags(xdp)))
		len += xdp_get_shared_info_from_buff(xdp)->xdp_frags_size;
	return len;
}
EXPORT_SYMBOL_GPL(iu_rt_xdp_len);

u64 iu_rt_xdp_load(void *ctx, u32 off, void *to, u32 len)
{
	iu_charge(4 + len / 64);
	return iu_help(xdp_load_bytes, (unsigned long)ctx, off, (unsigned long)to, len, 0);
}
EXPORT_SYMBOL_GPL(iu_rt_xdp_load);

u64 iu_rt_xdp_store(void *ctx, u32 off, const void *from, u32 len)
{
	iu_charge(4 + len / 64);
	return iu_help(xdp_store_bytes, (unsigned long)ctx, off, (unsigned long)from, len, 0);
}
EXPORT_SYMBOL_GPL(iu_rt_xdp_store);

/* Notes the target on this CPU, as iu_rt_map_redirect does. */
u64 iu_rt_xdp_redirect(u32 ifindex)
{
	return iu_help(xdp_redirect, ifindex, 0, 0, 0, 0);
}
EXPORT_SYMBOL_GPL(iu_rt_xdp_redirect);
