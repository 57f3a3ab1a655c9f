// SPDX-License-Identifier: GPL-2.0-only
/* XDP. The context is the kernel's own struct xdp_buff; iu_abi.h says what of it. */
#include <net/xdp.h>

#include "compat.h"
#include "dispatch.h"
#include "kfunc.h"

static_assert(offsetof(struct xdp_buff, data) == 0);
static_assert(offsetof(struct xdp_buff, data_end) == 8);

__bpf_kfunc_start_defs();

__bpf_kfunc notrace u32 iu_xdp_run(struct xdp_md *ctx, u32 slot)
{
	return iu_run_slot(slot, IU_HOOK_XDP, ctx);
}

__bpf_kfunc_end_defs();

BTF_KFUNCS_START(iu_xdp_kfuncs)
BTF_ID_FLAGS(func, iu_xdp_run)
BTF_KFUNCS_END(iu_xdp_kfuncs)

static const struct btf_kfunc_id_set set = { .owner = THIS_MODULE, .set = &iu_xdp_kfuncs };

int iu_hook_xdp_init(void)
{
	return iu_kfuncs_offer(BPF_PROG_TYPE_XDP, &set, BIT(IU_HOOK_XDP));
}
