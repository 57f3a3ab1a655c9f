// SPDX-License-Identifier: GPL-2.0-only
/*
 * kprobe, kretprobe, uprobe: one program type. The context is the kernel's struct
 * pt_regs, which the verifier knows as this type's context. Kernel and user probes
 * are told apart by the registers; entry and return of a function cannot be, but
 * differ only in what the numbers mean.
 */
#include <linux/ptrace.h>

#include "compat.h"
#include "dispatch.h"
#include "kfunc.h"

static_assert(sizeof(struct pt_regs) == sizeof(struct iu_regs_x86_64));
#define SAME(k, r) static_assert(offsetof(struct pt_regs, k) == offsetof(struct iu_regs_x86_64, r))
SAME(r15, r15);
SAME(bp, bp);
SAME(bx, bx);
SAME(r11, r11);
SAME(ax, ax);
SAME(di, di);
SAME(orig_ax, orig_ax);
SAME(ip, ip);
SAME(flags, flags);
SAME(sp, sp);

static __always_inline u32 run(struct pt_regs *regs, u32 slot, enum iu_hook hook, bool user)
{
	if (unlikely(user_mode(regs) != user))
		return iu_refused(hook);
	return iu_run_slot_reader(slot, hook, regs);
}

__bpf_kfunc_start_defs();

__bpf_kfunc notrace u32 iu_kprobe_run(struct pt_regs *ctx, u32 slot)
{
	return run(ctx, slot, IU_HOOK_KPROBE, false);
}

__bpf_kfunc notrace u32 iu_kretprobe_run(struct pt_regs *ctx, u32 slot)
{
	return run(ctx, slot, IU_HOOK_KRETPROBE, false);
}

__bpf_kfunc notrace u32 iu_uprobe_run(struct pt_regs *ctx, u32 slot)
{
	return run(ctx, slot, IU_HOOK_UPROBE, true);
}

__bpf_kfunc_end_defs();

BTF_KFUNCS_START(iu_probe_kfuncs)
BTF_ID_FLAGS(func, iu_kprobe_run)
BTF_ID_FLAGS(func, iu_kretprobe_run)
BTF_ID_FLAGS(func, iu_uprobe_run)
BTF_KFUNCS_END(iu_probe_kfuncs)

static const struct btf_kfunc_id_set set = { .owner = THIS_MODULE, .set = &iu_probe_kfuncs };

int iu_hook_probe_init(void)
{
	return iu_kfuncs_offer(BPF_PROG_TYPE_KPROBE, &set,
			       BIT(IU_HOOK_KPROBE) | BIT(IU_HOOK_KRETPROBE) | BIT(IU_HOOK_UPROBE));
}
