// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Never attached: iu.ko reads the addresses of the helpers out of the verified
 * instructions (IU_IOC_HARVEST) and knows the program by its tag, so a change
 * here is a change of the tag and of the order that iu.ko expects.
 */
#include "stub.h"

static long (*bpf_xdp_adjust_head)(struct xdp_md *ctx, int delta) = (void *)44;
static long (*bpf_xdp_adjust_tail)(struct xdp_md *ctx, int delta) = (void *)65;

SEC("xdp") int harvest_xdp(struct xdp_md *ctx)
{
	bpf_xdp_adjust_head(ctx, 0);
	bpf_xdp_adjust_tail(ctx, 0);
	return 2; /* XDP_PASS */
}

char _license[] SEC("license") = "GPL";
