// SPDX-License-Identifier: GPL-2.0-only
/* See dispatch.h. */
#include "dispatch.h"

#include <linux/preempt.h>
#include <linux/ratelimit.h>
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
static_assert(offsetof(struct iu_frame, nheld) == 24);
static_assert(offsetof(struct iu_frame, ip) == 32);
static_assert(offsetof(struct iu_frame, saved) == IU_FRAME_SAVED);
static_assert(sizeof(struct iu_frame) == IU_FRAME_SIZE);
static_assert(SOFTIRQ_OFFSET == IU_PC_SOFTIRQ && HARDIRQ_MASK == IU_PC_HARDIRQ &&
	      NMI_MASK == IU_PC_NMI);
static_assert(IU_STACK_SIZE % PAGE_SIZE == 0 && IU_STACK_RESERVE < IU_STACK_SIZE);

DEFINE_PER_CPU(struct iu_cpu, iu_cpu);
DEFINE_PER_CPU(int, iu_rt_fuel);
EXPORT_PER_CPU_SYMBOL_GPL(iu_rt_fuel);

/* Is `at` on the runtime stack of `level`? */
static bool on_stack(const struct iu_cpu *c, unsigned int level, unsigned long at)
{
	return at - (c->stack[level] - IU_STACK_SIZE) < IU_STACK_SIZE;
}

void iu_end_run(enum iu_cause cause, unsigned long ip)
{
	struct iu_frame *f = iu_frame();

	/* A program's own symbols, called by somebody else: there is no way back. */
	BUG_ON(!f);
	f->cause = cause;
	f->ip = ip;
	if (cause != IU_CAUSE_PANIC)
		f->file = NULL;
	iu_land(f);
	unreachable();
}

static const char *verdict(const struct iu_prog *p, char *buf, size_t size)
{
	const struct iu_hook_row *hook = iu_hook_row(p->hook);

	if (hook->verdict)
		return hook->verdict[p->on_fault - hook->least];
	scnprintf(buf, size, "%d", p->on_fault);
	return buf;
}

static void record(struct iu_prog *p, const struct iu_frame *f, u64 now)
{
	struct iu_last_fault *l = &p->last;
	unsigned long flags;

	/* Another CPU is recording one: its will do. In NMI waiting could deadlock. */
	local_irq_save(flags);
	if (raw_spin_trylock(&p->last_lock)) {
		l->ns = now;
		l->cause = f->cause;
		l->cpu = raw_smp_processor_id();
		l->offset = f->ip ? f->ip - p->ext->text : 0;
		l->line = f->file ? f->line : 0;
		l->col = f->file ? f->col : 0;
		memset(l->file, 0, sizeof(l->file));
		if (f->file)
			memcpy(l->file, f->file, min_t(u64, f->file_len, sizeof(l->file) - 1));
		raw_spin_unlock(&p->last_lock);
	}
	local_irq_restore(flags);
}

static void report(const struct iu_prog *p, const struct iu_frame *f)
{
	static const char * const what[IU_CAUSES] = {
		[IU_CAUSE_STACK] = "stack limit reached",
		[IU_CAUSE_BUDGET] = "over its time budget",
		[IU_CAUSE_LOCK] = "lock misused",
		[IU_CAUSE_NESTING] = "not run, no stack left",
	};
	/* What it swallows is in the counters: no line about that. */
	static struct ratelimit_state limit =
		RATELIMIT_STATE_INIT_FLAGS(limit, 5 * HZ, 10, RATELIMIT_MSG_ON_RELEASE);
	unsigned long offset = f->ip ? f->ip - p->ext->text : 0;
	char buf[12];

	if (!__ratelimit(&limit))
		return;
	if (f->file)
		pr_warn("iu: %s/%s: panic at %.*s:%u:%u, +0x%lx, returns %s\n",
			p->ext->name, p->name, (int)min_t(u64, f->file_len, 64), f->file,
			f->line, f->col, offset, verdict(p, buf, sizeof(buf)));
	else
		pr_warn("iu: %s/%s: %s, +0x%lx, returns %s\n", p->ext->name, p->name,
			f->cause == IU_CAUSE_PANIC ? "panic" : what[f->cause], offset,
			verdict(p, buf, sizeof(buf)));
}

/*
 * The one landing path, called by iu_land on the stack that the run came from:
 * gives back what the program held, last first, takes the frame from the list and
 * the stack from the run, then counts and reports. Returns the verdict.
 *
 * What the program can have changed is what runtime functions change on its
 * behalf: a lock, and with it the interrupt flag, which its release restores.
 */
asmlinkage u32 iu_landed(struct iu_frame *f)
{
	u64 now = ktime_get_mono_fast_ns();
	struct iu_cpu *c = this_cpu_ptr(&iu_cpu);
	unsigned int level = interrupt_context_level();
	struct iu_prog *p = f->prog;

	iu_held_release(f);
	WRITE_ONCE(c->frame, f->prev);
	/* A nested run's frame is on the runtime stack that it shares. */
	if (p->mode & IU_MODE_SWITCH && !on_stack(c, level, (unsigned long)f))
		c->free[level] = c->stack[level];
	/* Whose fuel this was is not known; let it look at the clock. */
	this_cpu_write(iu_rt_fuel, 0);

	atomic64_inc(&p->faults[f->cause]);
	if (atomic_inc_return(&p->strikes) >= (int)p->max_faults && p->max_faults &&
	    iu_slot_disable(p))
		pr_warn("iu: %s/%s: disabled after %u faults\n", p->ext->name, p->name,
			p->max_faults);
	record(p, f, now);
	report(p, f);
	return p->on_fault;
}

/* No room for this run: not the program's doing, so it costs it no strike. */
static noinline u32 refuse_nesting(struct iu_prog *p)
{
	struct iu_frame f = { .cause = IU_CAUSE_NESTING };

	this_cpu_dec(p->cpu->runs);
	atomic64_inc(&p->faults[IU_CAUSE_NESTING]);
	record(p, &f, ktime_get_mono_fast_ns());
	return iu_hook_row(p->hook)->refused;
}

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

	if (!on_stack(c, level, sp) ||
	    sp - (c->stack[level] - IU_STACK_SIZE) < IU_STACK_RESERVE + p->room)
		ret = refuse_nesting(p);
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
};

int iu_dispatch_init(void)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < ARRAY_SIZE(hooks) && !ret; i++)
		ret = hooks[i]();
	return ret;
}
