/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * eBPF helpers that the kernel does not export. Each is called by a static call:
 * a direct call, patched when its address is harvested, and until then one of a
 * function that returns -EOPNOTSUPP.
 */
#ifndef IU_HARVEST_H
#define IU_HARVEST_H

#include <linux/static_call.h>
#include <linux/types.h>

#include "iu_uapi.h"

/*
 * By the hook whose program type the verifier allowed them to, in the order of the
 * calls in kernel/stubs/harvest.bpf.c. What stands under KPROBE depends on no context.
 */
#define IU_HELPERS_XDP(X) \
	X(xdp_adjust_head) X(xdp_adjust_tail) X(xdp_load_bytes) X(xdp_store_bytes) \
	X(xdp_redirect)
#define IU_HELPERS_TC(X) \
	X(skb_change_head) X(skb_change_tail) X(skb_adjust_room) X(skb_vlan_push) X(skb_vlan_pop) \
	X(l3_csum_replace) X(l4_csum_replace) X(redirect) X(clone_redirect)
#define IU_HELPERS_KPROBE(X) \
	X(ringbuf_reserve) X(ringbuf_submit) X(ringbuf_discard) X(ringbuf_output) X(get_stackid)
#define IU_HELPERS(X) IU_HELPERS_XDP(X) IU_HELPERS_TC(X) IU_HELPERS_KPROBE(X)

/* As the kernel's BPF_CALL_n makes them. */
typedef u64 (*iu_helper)(u64, u64, u64, u64, u64);

u64 iu_no_helper(u64 a, u64 b, u64 c, u64 d, u64 e);

#define IU_DECLARE_HELPER(name) DECLARE_STATIC_CALL(iu_helper_##name, iu_no_helper);
IU_HELPERS(IU_DECLARE_HELPER)
#undef IU_DECLARE_HELPER

#define iu_help(name, a, b, c, d, e) static_call(iu_helper_##name)(a, b, c, d, e)

int iu_harvest(const struct iu_harvest *a);
u32 iu_harvested(void);		/* bit per enum iu_hook */

#endif
