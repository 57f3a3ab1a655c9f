// SPDX-License-Identifier: GPL-2.0-only
/* See dispatch.h. */
#include "dispatch.h"

#include <linux/preempt.h>
#include <linux/ktime.h>

#include "compat.h"
#include "enter.h"
#include "ext.h"
#include "held.h"
#include "hook.h"
#include "iu_abi.h"


/* What enter.S and the ABI take for granted. */
static_assert(offsetof(struct iu_prog, entry) == IU_PROG_ENTRY);
static_assert(offsetof(struct iu_cpu, frame) == IU_CPU_FRAME);
static_assert(offsetof(struct iu_cpu, free) == IU_CPU_FREE(0));
static_assert(offsetof(struct iu_cpu, free[3]) == IU_CPU_FREE(3));
static_assert(offsetof(struct iu_frame, prog) == 8);
static_assert(offsetof(struct iu_frame, start) == 16);
static_assert(offsetof(struct iu_frame, nheld) == IU_FRAME_HELD && offsetof(struct iu_frame, rcu) == IU_FRAME_HELD + 3);
static_assert(offsetof(struct iu_frame, ip) == 32);
static_assert(offsetof(struct iu_frame, saved) == IU_FRAME_SAVED);
static_assert(sizeof(struct iu_frame) == IU_FRAME_SIZE);
static_assert(SOFTIRQ_OFFSET == IU_PC_SOFTIRQ && HARDIRQ_MASK == IU_PC_HARDIRQ &&
	      NMI_MASK == IU_PC_NMI);
static_assert(IU_STACK_SIZE % PAGE_SIZE == 0 && IU_STACK_RESERVE < IU_STACK_SIZE);

DEFINE_PER_CPU(struct iu_cpu, iu_cpu);
DEFINE_PER_CPU(int, iu_rt_fuel);
EXPORT_PER_CPU_SYMBOL_GPL(iu_rt_fuel);

/*
 * Where a program wants a runtime stack and a run on the same level has it: goes on
 * below that run, if this very code is on that stack and there is room. Comes with
 * preemption off and gives it back.
 */
asmlinkage u32 iu_run_nested(void *ctx, struct iu_prog *p)
{
	const struct iu_cpu *c = this_cpu_ptr(&iu_cpu);
	unsigned int level = interrupt_context_level();
	unsigned long sp = current_stack_pointer;
	u32 ret;

	if (!iu_on_stack(c, level, sp) ||
	    sp - (c->stack[level] - IU_STACK_SIZE) < IU_STACK_RESERVE + p->room)
		ret = iu_refuse_nesting(p);
	else if (p->mode & IU_MODE_FRAMED)
		ret = iu_run_framed(ctx, p);
	else
		ret = ((u32 (*)(void *, struct iu_prog *))p->entry)(ctx, p);
	preempt_enable_notrace();
	return ret;
}

/* The mode is that of one look: timing is switched on and off under runs. */
u32 iu_run_timed(void *ctx, struct iu_prog *p, u32 mode)
{
	u64 start = ktime_get_mono_fast_ns();
	u32 ret;

	switch (mode & ~IU_MODE_TIMED) {
	case IU_MODE_PLAIN:
		ret = ((u32 (*)(void *, struct iu_prog *))p->entry)(ctx, p);
		break;
	case IU_MODE_FRAMED:
		ret = iu_run_framed(ctx, p);
		break;
	case IU_MODE_SWITCH:
		ret = iu_run_switched(ctx, p);
		break;
	default:
		ret = iu_run_framed_switched(ctx, p);
		break;
	}
	this_cpu_add(p->cpu->ns, ktime_get_mono_fast_ns() - start);
	return ret;
}

/* The end of a run was the end of its CPU's preemption being off, and somebody waits. */
asmlinkage u32 iu_resched(u32 ret)
{
	preempt_disable_notrace();
	preempt_enable_notrace();
	return ret;
}

/* One kfunc set per program type: a TC stub cannot even name the XDP kfunc. */
static int (*const hooks[])(void) = {
	iu_hook_xdp_init,
	iu_hook_tc_init,
	iu_hook_probe_init,
	iu_hook_tracing_init,
	iu_hook_cgroup_init,
	iu_hook_socket_init,
};

int iu_dispatch_init(void)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < ARRAY_SIZE(hooks) && !ret; i++)
		ret = hooks[i]();
	return ret;
}
