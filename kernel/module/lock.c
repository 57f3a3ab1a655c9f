// SPDX-License-Identifier: GPL-2.0-only
/*
 * A lock is an arch_spinlock_t in an extension's own data. Waiting is bounded by
 * the program's budget, whatever stands in the word: data that somebody else may
 * write must not be able to hang a CPU. While waiting interrupts are as they were.
 */
#include "lock.h"

#include <linux/irqflags.h>
#include <linux/preempt.h>
#include <linux/spinlock.h>
#include <linux/ktime.h>

#include "ext.h"

static_assert(sizeof(arch_spinlock_t) == sizeof(u32));

static void release(struct iu_held *h)
{
	arch_spin_unlock(h->object);
	local_irq_restore(h->state);
}

static struct iu_held *held_lock(struct iu_frame *f)
{
	u32 i;

	for (i = 0; i < f->nheld; i++)
		if (f->held[i].release == release)
			return &f->held[i];
	return NULL;
}

static bool expired(struct iu_frame *f)
{
	u64 now = ktime_get_mono_fast_ns();

	if (!f->start)
		f->start = now ?: 1;
	return (s64)(now - f->start) > (s64)f->prog->budget_ns;
}

bool iu_lock_take(struct iu_frame *f, u32 *lock, enum iu_cause *cause)
{
	unsigned long flags;
	u32 spins = 0;

	*cause = IU_CAUSE_LOCK;
	if (WARN_ON_ONCE(!f) || held_lock(f) || f->nheld == IU_HELD_MAX)
		return false;
	for (;;) {
		local_irq_save(flags);
		if (arch_spin_trylock((arch_spinlock_t *)lock))
			break;
		local_irq_restore(flags);
		/* What this NMI interrupted may be what holds it. */
		if (in_nmi())
			return false;
		if (++spins % 64 == 0 && expired(f)) {
			*cause = IU_CAUSE_BUDGET;
			return false;
		}
		cpu_relax();
	}
	f->held[f->nheld] = (struct iu_held){ release, lock, flags };
	/* Counted only when complete: an NMI below never looks, a fault may. */
	barrier();
	f->nheld++;
	return true;
}

bool iu_lock_drop(struct iu_frame *f, u32 *lock)
{
	struct iu_held *h = f ? held_lock(f) : NULL;
	unsigned long flags;

	if (!h || h->object != lock)
		return false;
	flags = h->state;
	*h = f->held[f->nheld - 1];
	f->nheld--;
	barrier();
	arch_spin_unlock((arch_spinlock_t *)lock);
	local_irq_restore(flags);
	return true;
}
