// SPDX-License-Identifier: GPL-2.0-only
/* See hook.h. Verdicts: include/uapi/linux/bpf.h, include/uapi/linux/pkt_cls.h. */
#include "hook.h"

#ifdef __KERNEL__
#include <linux/stddef.h>
#else
#include <stddef.h>
#endif

static const char * const xdp[] = { "XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX" };
static const char * const tc[] = { "TC_ACT_UNSPEC", "TC_ACT_OK", "TC_ACT_RECLASSIFY",
				   "TC_ACT_SHOT", "TC_ACT_PIPE" };

static const char * const gate[] = { "deny", "allow" };
static const char * const filter[] = { "keep", "drop" };

/* Nobody asks a program that watches for a verdict. */
#define WATCHES .served = true, .refused = 0, .least = 0, .most = 0

static const struct iu_hook_row rows[IU_HOOK_MAX] = {
	[IU_HOOK_XDP] = { .served = true, .refused = 2, .least = 0, .most = 3, .verdict = xdp },
	[IU_HOOK_TC] = { .served = true, .refused = -1, .least = -1, .most = 3, .verdict = tc },
	[IU_HOOK_KPROBE] = { WATCHES },
	[IU_HOOK_KRETPROBE] = { WATCHES },
	[IU_HOOK_UPROBE] = { WATCHES },
	[IU_HOOK_TRACEPOINT] = { WATCHES },
	[IU_HOOK_PERF_EVENT] = { WATCHES },
	[IU_HOOK_FENTRY] = { WATCHES, .args = true },
	[IU_HOOK_FEXIT] = { WATCHES, .args = true, .ret = true },
	[IU_HOOK_TP_BTF] = { WATCHES, .args = true },
	[IU_HOOK_LSM] = { .served = true, .refused = 0, .least = -4095, .most = 0, .args = true },
	[IU_HOOK_CGROUP_SKB] = { .served = true, .refused = 1, .least = 0, .most = 1, .verdict = gate },
	[IU_HOOK_CGROUP_SOCK_ADDR] = { .served = true, .refused = 1, .least = 0, .most = 1,
				       .verdict = gate },
	[IU_HOOK_SOCKET_FILTER] = { .served = true, .refused = -1, .least = -1, .most = 0,
				    .verdict = filter },
};

const struct iu_hook_row *iu_hook_row(__u32 hook)
{
	return hook < IU_HOOK_MAX && rows[hook].served ? &rows[hook] : NULL;
}
