/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which stub may call which kfunc.
 *
 * The kernel keeps kfuncs in classes, of which several program types share one. A
 * module may register one set per class, so what tells the types of a class apart
 * is a filter that the verifier asks at each call (kernels that have classes for
 * more than XDP, TC, tracing and LSM have filters too). A kfunc whose context is a
 * struct of the kernel is offered only where a filter or a class of its own keeps
 * others away: programs of another type could pass memory of their own for it.
 * What all of a class may call takes bytes that the verifier has checked to be
 * there, and believes nothing in them.
 */
#ifndef IU_KFUNC_H
#define IU_KFUNC_H

#include <linux/bpf.h>
#include <linux/btf.h>

#include "hook.h"

/*
 * Registers the set of a class. A kernel that is known not to have the class is no
 * error: then the hooks are not offered.
 */
int iu_kfuncs_offer(enum bpf_prog_type type, const struct btf_kfunc_id_set *set, u32 hooks);

u32 iu_hooks_offered(void);	/* bit per enum iu_hook */

struct iu_kfunc_rule {
	enum bpf_prog_type type;
	int attach;			/* enum bpf_attach_type, -1: any */
};

/* A filter's answer: `rules` in the order of the BTF ids `ids`. */
int iu_kfunc_filter(const struct bpf_prog *prog, u32 id, const u32 *ids,
		    const struct iu_kfunc_rule *rules, u32 count);

static __always_inline u32 iu_refused(enum iu_hook hook)
{
	return iu_hook_row(hook)->refused;
}

#endif
