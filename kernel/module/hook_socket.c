// SPDX-License-Identifier: GPL-2.0-only
/* Socket filters: a class of their own. */
#include "compat.h"
#include "dispatch.h"
#include "kfunc.h"
#include "skb.h"

__bpf_kfunc_start_defs();

__bpf_kfunc notrace u32 iu_socket_filter_run(struct __sk_buff *ctx, u32 slot)
{
	struct iu_ctx_tc c = iu_ctx_of_skb((struct sk_buff *)ctx);

	return iu_run_slot(slot, IU_HOOK_SOCKET_FILTER, &c);
}

__bpf_kfunc_end_defs();

BTF_KFUNCS_START(iu_socket_kfuncs)
BTF_ID_FLAGS(func, iu_socket_filter_run)
BTF_KFUNCS_END(iu_socket_kfuncs)

static const struct btf_kfunc_id_set set = { .owner = THIS_MODULE, .set = &iu_socket_kfuncs };

int iu_hook_socket_init(void)
{
	return iu_kfuncs_offer(BPF_PROG_TYPE_SOCKET_FILTER, &set, BIT(IU_HOOK_SOCKET_FILTER));
}
