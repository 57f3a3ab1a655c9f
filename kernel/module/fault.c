// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults: how a run is ended, what is recorded and logged of it, and when a program
 * that faults is not run any more.
 */
#include "dispatch.h"

#include <linux/ktime.h>
#include <linux/preempt.h>
#include <linux/ratelimit.h>

#include "held.h"
#include "hook.h"
#include "log.h"

/* Is `at` on the runtime stack of `level`? */
bool iu_on_stack(const struct iu_cpu *c, unsigned int level, unsigned long at)
{
	return at - (c->stack[level] - IU_STACK_SIZE) < IU_STACK_SIZE;
}

/* A nested run's frame is on the runtime stack that it shares. */
static bool owns_stack(const struct iu_cpu *c, unsigned int level, const struct iu_frame *f)
{
	return f->prog->mode & IU_MODE_SWITCH && !iu_on_stack(c, level, (unsigned long)f);
}

/* Is there a direct call right before `ip`? Text is mapped and readable. */
static bool after_call(const struct iu_ext *ext, unsigned long ip)
{
	return ip - ext->text >= 5 && *(const u8 *)(ip - 5) == 0xe8;
}

/*
 * The program's calls, innermost first: whatever on its part of the stack looks like
 * an address that a call of the program's own would return to. Without frame
 * pointers that is a guess; a stale one may be among them.
 */
static void walk(struct iu_frame *f)
{
	const struct iu_cpu *c = this_cpu_ptr(&iu_cpu);
	unsigned int level = interrupt_context_level();
	unsigned long at = ALIGN(current_stack_pointer, sizeof(long)), end;
	const struct iu_ext *ext = f->prog->ext;

	end = owns_stack(c, level, f) ? c->stack[level] : (unsigned long)f;
	f->nchain = 0;
	for (; at < end && f->nchain < IU_CHAIN_MAX; at += sizeof(long)) {
		unsigned long ip = READ_ONCE_NOCHECK(*(unsigned long *)at);

		if (ip - ext->text >= ext->text_size || !after_call(ext, ip))
			continue;
		/* The first that is found is that of the call of the runtime. */
		if (ip != f->ip || f->nchain)
			f->chain[f->nchain++] = ip - ext->text;
	}
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
	walk(f);
	iu_land(f);
	unreachable();
}

/* The run's frame has the address since the watchdog took the run from there. */
asmlinkage void iu_expired(void)
{
	iu_end_run(IU_CAUSE_BUDGET, iu_frame()->ip);
}

/*
 * A program has returned and holds something still. The compiler's side keeps authors
 * from forgetting a guard; should one manage to, its run is a fault like others.
 */
asmlinkage void iu_left(struct iu_frame *f)
{
	f->cause = IU_CAUSE_LEAK;
	f->ip = f->prog->code;		/* nowhere in particular */
	f->file = NULL;
	f->nchain = 0;
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
		l->nchain = f->nchain;
		memcpy(l->chain, f->chain, sizeof(l->chain));
		raw_spin_unlock(&p->last_lock);
	}
	local_irq_restore(flags);
}

static void report(const struct iu_prog *p, const struct iu_frame *f)
{
	static const char * const what[IU_CAUSES] = {
		[IU_CAUSE_PANIC] = "panic",
		[IU_CAUSE_STACK] = "stack limit reached",
		[IU_CAUSE_BUDGET] = "over its time budget",
		[IU_CAUSE_LOCK] = "lock misused",
		[IU_CAUSE_LEAK] = "returned with something held",
	};
	/* What it swallows is in the counters: no line about that. */
	static struct ratelimit_state limit =
		RATELIMIT_STATE_INIT_FLAGS(limit, 5 * HZ, 10, RATELIMIT_MSG_ON_RELEASE);
	char buf[12], chain[IU_CHAIN_MAX * 14 + 1];
	size_t n = 0;
	u32 i;

	if (!__ratelimit(&limit))
		return;
	chain[0] = 0;
	for (i = 0; i < f->nchain; i++)
		n += scnprintf(chain + n, sizeof(chain) - n, " < +0x%x", f->chain[i]);
	if (f->file)
		iu_warn("%s/%s: panic at %.*s:%u:%u, +0x%lx%s, returns %s",
			p->ext->name, p->name, (int)min_t(u64, f->file_len, 64), f->file,
			f->line, f->col, f->ip - p->ext->text, chain,
			verdict(p, buf, sizeof(buf)));
	else
		iu_warn("%s/%s: %s, +0x%lx%s, returns %s", p->ext->name, p->name,
			what[f->cause] ?: "fault", f->ip - p->ext->text, chain,
			verdict(p, buf, sizeof(buf)));
}

/*
 * What a stopped program's entry is set to: one store switches it off, whatever way
 * it runs in. It answers as after a fault, so that a filter that fails closed stays closed.
 */
static u32 stopped(void *ctx, struct iu_prog *p)
{
	u64 resume = READ_ONCE(p->resume);

	this_cpu_dec(p->cpu->runs);
	this_cpu_inc(p->cpu->skipped);
	iu_ext_gap(p->ext);
	if (resume && ktime_get_mono_fast_ns() >= resume &&
	    cmpxchg(&p->resume, resume, 0) == resume) {
		atomic_set(&p->strikes, 0);
		cmpxchg(&p->entry, (unsigned long)stopped, p->code);
		/* Who stopped it for good in between says so before it does. */
		if (READ_ONCE(p->dead))
			WRITE_ONCE(p->entry, (unsigned long)stopped);
	}
	return p->on_fault;
}

bool iu_prog_stopped(const struct iu_prog *p)
{
	return READ_ONCE(p->entry) == (unsigned long)stopped;
}

/* For good, or until `resume` on the monotonic clock. True if it was not yet. */
bool iu_prog_stop(struct iu_prog *p, u64 resume)
{
	if (resume)
		WRITE_ONCE(p->resume, resume);
	else
		WRITE_ONCE(p->dead, true);
	return xchg(&p->entry, (unsigned long)stopped) != (unsigned long)stopped;
}

/* Before it is put into a slot. */
void iu_prog_arm(struct iu_prog *p)
{
	atomic_set(&p->strikes, 0);
	atomic64_set(&p->window_start, 0);
	WRITE_ONCE(p->resume, 0);
	WRITE_ONCE(p->dead, false);
	WRITE_ONCE(p->entry, p->code);
}

/*
 * In a window a run over its budget counts once for each 10 us of that: a limit of
 * faults is there to limit what they cost, and ten thousand panics cost less than one second.
 */
#define STRIKE_NS	10000

static u32 weight(const struct iu_prog *p, enum iu_cause cause)
{
	if (cause != IU_CAUSE_BUDGET || !p->window_ns)
		return 1;
	return max_t(u64, p->budget_ns / STRIKE_NS, 1);
}

/* Counts a fault against what the program may have of them. */
static void strike(struct iu_prog *p, enum iu_cause cause, u64 now)
{
	static struct ratelimit_state limit =
		RATELIMIT_STATE_INIT_FLAGS(limit, 5 * HZ, 5, RATELIMIT_MSG_ON_RELEASE);
	s64 since = atomic64_read(&p->window_start);
	int strikes;

	if (!p->max_faults)
		return;
	if (p->window_ns && now - since > p->window_ns) {
		if (atomic64_cmpxchg(&p->window_start, since, now) == since)
			atomic_set(&p->strikes, 0);
		since = now;
	}
	strikes = atomic_add_return(weight(p, cause), &p->strikes);
	if ((u32)strikes < p->max_faults)
		return;
	if (!iu_prog_stop(p, p->window_ns ? since + p->window_ns : 0))
		return;
	if (!p->window_ns)
		iu_warn("%s/%s: disabled after %u faults", p->ext->name, p->name,
			p->max_faults);
	else if (__ratelimit(&limit))
		iu_warn("%s/%s: paused for %llu ms after faults that count as %u", p->ext->name, p->name,
			(since + p->window_ns - now) / NSEC_PER_MSEC, (u32)strikes);
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

	/* Before others can lock what is half written. */
	iu_ext_gap(p->ext);
	iu_held_release(f);
	WRITE_ONCE(c->frame, f->prev);
	if (owns_stack(c, level, f))
		c->free[level] = c->stack[level];
	/* Whose fuel this was is not known; let it look at the clock. */
	this_cpu_write(iu_rt_fuel, 0);

	atomic64_inc(&p->faults[f->cause]);
	record(p, f, now);
	report(p, f);
	strike(p, f->cause, now);
	return p->on_fault;
}

/* No room for a run: not the program's doing, so it costs it no strike. */
u32 iu_refuse_nesting(struct iu_prog *p)
{
	struct iu_frame f = { .cause = IU_CAUSE_NESTING };

	this_cpu_dec(p->cpu->runs);
	iu_ext_gap(p->ext);
	atomic64_inc(&p->faults[IU_CAUSE_NESTING]);
	record(p, &f, ktime_get_mono_fast_ns());
	return iu_hook_row(p->hook)->refused;
}
