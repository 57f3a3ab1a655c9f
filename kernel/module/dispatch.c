// SPDX-License-Identifier: GPL-2.0-only
/* See dispatch.h. */
#include "dispatch.h"

#include <linux/preempt.h>
#include <linux/ratelimit.h>
#include <linux/ktime.h>

#include "compat.h"
#include "ext.h"
#include "hook.h"
#include "iu_abi.h"


/* What enter.S and the ABI take for granted. */
static_assert(offsetof(struct iu_frame, sp) == 0);
static_assert(IU_STACK_SIZE % PAGE_SIZE == 0 && IU_STACK_RESERVE < IU_STACK_SIZE);

DEFINE_PER_CPU(struct iu_cpu, iu_cpu);
DEFINE_PER_CPU(int, iu_rt_fuel);
EXPORT_PER_CPU_SYMBOL_GPL(iu_rt_fuel);

void iu_end_run(enum iu_cause cause, unsigned long ip)
{
	struct iu_frame *f = iu_frame();

	/* A program's own symbols, called by somebody else: there is no way back. */
	BUG_ON(!f);
	f->cause = cause;
	f->ip = ip;
	iu_land(f->sp);
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
 * The one landing path. On the dispatcher's own stack again: gives back what the
 * program held, last first, then counts and reports.
 *
 * What the program can have changed is what runtime functions change on its
 * behalf: a lock, and with it the interrupt flag, which its release restores. The
 * preemption count and RCU nesting are changed by nothing that can fault half
 * way; the count is checked all the same, since a wrong one kills the machine later.
 */
static noinline u32 land(struct iu_prog *p, struct iu_frame *f)
{
	u64 now = ktime_get_mono_fast_ns();

	while (f->nheld) {
		struct iu_held *h = &f->held[--f->nheld];

		h->release(h);
	}
	this_cpu_write(iu_rt_fuel, f->fuel);
	if (WARN_ON_ONCE(preempt_count() != f->preempt))
		preempt_count_set(f->preempt);

	atomic64_inc(&p->faults[f->cause]);
	if (atomic_inc_return(&p->strikes) >= (int)p->max_faults && p->max_faults &&
	    !xchg(&p->disabled, true))
		pr_warn("iu: %s/%s: disabled after %u faults\n", p->ext->name, p->name,
			p->max_faults);
	record(p, f, now);
	report(p, f);
	return p->on_fault;
}

/* No room for this run: not the program's doing, so it costs it no strike. */
static noinline void refuse_nesting(struct iu_prog *p)
{
	struct iu_frame f = { .cause = IU_CAUSE_NESTING };

	atomic64_inc(&p->faults[IU_CAUSE_NESTING]);
	record(p, &f, ktime_get_mono_fast_ns());
}

/* Is this very code running on the runtime stack of `level`, with `room` bytes to spare? */
static bool fits_here(const struct iu_cpu *c, unsigned int level, u32 room)
{
	unsigned long sp = current_stack_pointer;
	unsigned long base = c->stack[level] - IU_STACK_SIZE;

	return sp - base < IU_STACK_SIZE && sp - base >= IU_STACK_RESERVE + room;
}

static __always_inline u32 run_prog(struct iu_prog *p, void *ctx, u32 refused)
{
	struct iu_cpu *c = this_cpu_ptr(&iu_cpu);
	struct iu_frame f iu_uninitialized;
	unsigned int level = 0;
	unsigned long top = 0;
	u32 ret;

	if (p->switches) {
		level = interrupt_context_level();
		if (likely(!c->busy[level])) {
			c->busy[level] = true;
			top = c->stack[level];
		} else if (!fits_here(c, level, p->room)) {
			refuse_nesting(p);
			return refused;
		}
	}
	f.prev = c->frame;
	f.prog = p;
	f.start = 0;
	f.fuel = this_cpu_read(iu_rt_fuel);
	f.preempt = preempt_count();
	f.nheld = 0;
	f.cause = -1;
	f.ip = 0;
	f.file = NULL;
	/* An interrupt from here on must find a whole frame, or none. */
	barrier();
	WRITE_ONCE(c->frame, &f);
	this_cpu_inc(*p->runs);

	ret = iu_enter(ctx, p->entry, &f, top);

	WRITE_ONCE(c->frame, f.prev);
	barrier();
	if (top)
		c->busy[level] = false;
	if (unlikely(READ_ONCE(f.cause) >= 0))
		ret = land(p, &f);
	return ret;
}

u32 iu_run_prog(struct iu_prog *p, void *ctx)
{
	return run_prog(p, ctx, iu_hook_row(p->hook)->refused);
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
