// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
#include "stub.h"

extern __u32 iu_tc_run(struct __sk_buff *ctx, __u32 slot) KFUNC;

SEC("tc") int iu_tc(struct __sk_buff *ctx)
{
	return iu_tc_run(ctx, IU_SLOT);
}

char _license[] SEC("license") = "GPL";
