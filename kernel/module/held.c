// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runtime functions of what a program holds: the lock, interrupts off, RCU,
 * regions of a pool.
 *
 * A lock is an arch_spinlock_t in an extension's own data. Waiting is bounded by
 * the program's budget, whatever stands in the word: data that somebody else may
 * write must not be able to hang a CPU. While waiting interrupts are as they were.
 */
#include "held.h"

#include <linux/atomic.h>
#include <linux/instruction_pointer.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>

#include "ext.h"
#include "rt.h"

static_assert(sizeof(arch_spinlock_t) == sizeof(u32));

static bool expired(struct iu_frame *f)
{
	u64 now = ktime_get_mono_fast_ns();

	if (!f->start)
		f->start = now ?: 1;
	return (s64)(now - f->start) > (s64)f->prog->budget_ns;
}

/* Interrupts are off when it returns; `flags` is from before. */
static noinline unsigned long wait(struct iu_frame *f, arch_spinlock_t *lock, unsigned long ip)
{
	unsigned long flags;
	u32 spins = 0;

	for (;;) {
		/* What this NMI interrupted may be what holds it. */
		if (in_nmi())
			iu_fault(IU_CAUSE_LOCK, ip);
		if (++spins % 64 == 0 && expired(f))
			iu_fault(IU_CAUSE_BUDGET, ip);
		cpu_relax();
		local_irq_save(flags);
		if (arch_spin_trylock(lock))
			return flags;
		local_irq_restore(flags);
	}
}

void iu_rt_lock(u32 *word)
{
	arch_spinlock_t *lock = (arch_spinlock_t *)word;
	struct iu_frame *f = iu_frame();
	unsigned long flags;

	if (unlikely(f->locked || f->irqs_off >= IU_NEST_MAX))
		iu_fault(IU_CAUSE_LOCK, _RET_IP_);
	local_irq_save(flags);
	if (unlikely(!arch_spin_trylock(lock))) {
		local_irq_restore(flags);
		flags = wait(f, lock, _RET_IP_);
	}
	f->lock = word;
	f->locked = 1;
	iu_irq_note(f, flags);
}
EXPORT_SYMBOL_GPL(iu_rt_lock);

void iu_rt_unlock(u32 *word)
{
	struct iu_frame *f = iu_frame();

	if (unlikely(!f->locked || f->lock != word))
		iu_fault(IU_CAUSE_LOCK, _RET_IP_);
	f->locked = 0;
	arch_spin_unlock((arch_spinlock_t *)word);
	iu_irq_on(f);
}
EXPORT_SYMBOL_GPL(iu_rt_unlock);

void iu_rt_irq_off(void)
{
	struct iu_frame *f = iu_frame();
	unsigned long flags;

	if (unlikely(f->irqs_off >= IU_NEST_MAX))
		iu_fault(IU_CAUSE_LOCK, _RET_IP_);
	local_irq_save(flags);
	iu_irq_note(f, flags);
}
EXPORT_SYMBOL_GPL(iu_rt_irq_off);

void iu_rt_irq_on(void)
{
	struct iu_frame *f = iu_frame();

	if (unlikely(!f->irqs_off))
		iu_fault(IU_CAUSE_LOCK, _RET_IP_);
	iu_irq_on(f);
}
EXPORT_SYMBOL_GPL(iu_rt_irq_on);

void iu_rt_rcu_lock(void)
{
	struct iu_frame *f = iu_frame();

	if (unlikely(f->rcu >= IU_NEST_MAX))
		iu_fault(IU_CAUSE_LOCK, _RET_IP_);
	rcu_read_lock();
	f->rcu++;
}
EXPORT_SYMBOL_GPL(iu_rt_rcu_lock);

void iu_rt_rcu_unlock(void)
{
	struct iu_frame *f = iu_frame();

	if (unlikely(!f->rcu))
		iu_fault(IU_CAUSE_LOCK, _RET_IP_);
	f->rcu--;
	rcu_read_unlock();
}
EXPORT_SYMBOL_GPL(iu_rt_rcu_unlock);

static void release_word(struct iu_held *h)
{
	smp_store_release((u32 *)h->object, 0);
}

u64 iu_rt_pool_take(u32 *words, u32 n)
{
	struct iu_frame *f = iu_frame();
	u32 i;

	if (!iu_held_room(f))
		return -EBUSY;
	for (i = 0; i < n; i++) {
		if (!READ_ONCE(words[i]) && !cmpxchg(&words[i], 0, 1)) {
			iu_held_add(f, release_word, &words[i]);
			return i;
		}
	}
	return -ENOMEM;
}
EXPORT_SYMBOL_GPL(iu_rt_pool_take);

void iu_rt_pool_give(u32 *word)
{
	if (unlikely(!iu_held_remove(iu_frame(), release_word, word)))
		iu_fault(IU_CAUSE_LOCK, _RET_IP_);
	smp_store_release(word, 0);
}
EXPORT_SYMBOL_GPL(iu_rt_pool_give);

void iu_held_release(struct iu_frame *f)
{
	while (f->nheld) {
		struct iu_held *h = &f->held[--f->nheld];

		h->release(h);
	}
	if (f->locked) {
		f->locked = 0;
		arch_spin_unlock((arch_spinlock_t *)f->lock);
	}
	for (; f->rcu; f->rcu--)
		rcu_read_unlock();
	if (f->irqs_off) {
		f->irqs_off = 0;
		local_irq_restore(f->irq_flags);
	}
}
