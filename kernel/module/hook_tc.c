// SPDX-License-Identifier: GPL-2.0-only
/* TC: sched_cls programs, by tcx or cls_bpf. */
#include "compat.h"
#include "dispatch.h"
#include "kfunc.h"
#include "skb.h"

__bpf_kfunc_start_defs();

__bpf_kfunc notrace u32 iu_tc_run(struct __sk_buff *ctx, u32 slot)
{
	struct sk_buff *skb = (struct sk_buff *)ctx;
	struct iu_ctx_tc tc = iu_ctx_of_skb(skb);

	return iu_run_slot(slot, IU_HOOK_TC, &tc);
}

__bpf_kfunc_end_defs();

BTF_KFUNCS_START(iu_tc_kfuncs)
BTF_ID_FLAGS(func, iu_tc_run)
BTF_KFUNCS_END(iu_tc_kfuncs)

static const struct btf_kfunc_id_set set = { .owner = THIS_MODULE, .set = &iu_tc_kfuncs };

int iu_hook_tc_init(void)
{
	return iu_kfuncs_offer(BPF_PROG_TYPE_SCHED_CLS, &set, BIT(IU_HOOK_TC));
}
