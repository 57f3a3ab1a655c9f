// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
#include "stub.h"

extern __u32 iu_xdp_run(struct xdp_md *ctx, __u32 slot) KFUNC;

SEC("xdp") int iu_xdp(struct xdp_md *ctx)
{
	return iu_xdp_run(ctx, IU_SLOT);
}

char _license[] SEC("license") = "GPL";
