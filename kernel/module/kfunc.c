// SPDX-License-Identifier: GPL-2.0-only
/* See kfunc.h. */
#include "kfunc.h"

#include <linux/errno.h>

#include "compat.h"

/* Written by module init, before anybody can ask. */
static u32 offered;

int iu_kfuncs_offer(enum bpf_prog_type type, const struct btf_kfunc_id_set *set, u32 hooks)
{
	int ret;

#ifndef IU_KFUNC_FILTERS
	/* Not to be tried: a type without a class makes the kernel forget the sets before. */
	if (type != BPF_PROG_TYPE_XDP && type != BPF_PROG_TYPE_SCHED_CLS &&
	    type != BPF_PROG_TYPE_TRACING)
		return 0;
#endif
	ret = register_btf_kfunc_id_set(type, set);
	if (!ret)
		offered |= hooks;
	return ret;
}

u32 iu_hooks_offered(void)
{
	return offered;
}

int iu_kfunc_filter(const struct bpf_prog *prog, u32 id, const u32 *ids,
		    const struct iu_kfunc_rule *rules, u32 count)
{
	u32 i;

	for (i = 0; i < count; i++)
		if (ids[i] == id)
			return prog->type == rules[i].type &&
			       (rules[i].attach < 0 ||
				prog->expected_attach_type == rules[i].attach) ? 0 : -EACCES;
	return -EACCES;
}
