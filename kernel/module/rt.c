// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runtime functions of every hook. They run on the program's stack, preemption
 * off, in any context up to NMI. A fault here must leave nothing half done.
 */
#include "rt.h"

#include <linux/bpf.h>
#include <linux/ctype.h>
#include <linux/instruction_pointer.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/printk.h>
#include <linux/random.h>
#include <linux/ratelimit.h>
#include <linux/string.h>
#include <linux/ktime.h>

#include "dispatch.h"
#include "ext.h"
#include "harvest.h"
#include "lock.h"

#define LOG_MAX	256

static DEFINE_PER_CPU(struct rnd_state, rnd);

void iu_rt_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		prandom_seed_state(&per_cpu(rnd, cpu), get_random_u64());
}

/*
 * Back edges are counted, not timed; what is much longer than one pays for it
 * here, so that the clock is looked at in time. Harmless in programs that do not
 * poll: whoever polls sets its own fuel first and gets it back afterwards.
 */
static void charge(int edges)
{
	this_cpu_sub(iu_rt_fuel, edges);
}

/*
 * The clock and not a timer ends a program: this works with interrupts off and in
 * NMI just as well. The first look only notes when it was; what ran before that is
 * at most IU_FUEL back edges.
 */
asmlinkage void iu_poll(unsigned long ip)
{
	struct iu_frame *f = iu_frame();
	u64 now = ktime_get_mono_fast_ns();

	if (WARN_ON_ONCE(!f))
		return;
	if (!f->start)
		f->start = now ?: 1;
	else if ((s64)(now - f->start) > (s64)f->prog->budget_ns)
		iu_fault(IU_CAUSE_BUDGET, ip);
	this_cpu_write(iu_rt_fuel, IU_FUEL);
}
EXPORT_SYMBOL_GPL(iu_rt_poll);	/* enter.S */

void iu_rt_stack_overflow(void)
{
	iu_fault(IU_CAUSE_STACK, _RET_IP_);
}
EXPORT_SYMBOL_GPL(iu_rt_stack_overflow);

void iu_rt_panic(const char *file, u64 file_len, u32 line, u32 col)
{
	struct iu_frame *f = iu_frame();

	/* The string is in the extension's constants, which outlive the run. */
	if (f) {
		f->file = file;
		f->file_len = file_len;
		f->line = line;
		f->col = col;
	}
	iu_fault(IU_CAUSE_PANIC, _RET_IP_);
}
EXPORT_SYMBOL_GPL(iu_rt_panic);

/*
 * A program runs only with all its maps bound (ATTACH insists), so there is no case
 * of none to answer here. Nothing here may fault: see IU_PLAIN_FUNCTIONS in sym.c.
 */
static struct bpf_map *bound(const struct iu_abi_map *m)
{
	return (struct bpf_map *)(unsigned long)m->map;
}

void *iu_rt_map_lookup(struct iu_abi_map *m, const void *key)
{
	struct bpf_map *map = bound(m);

	return map->ops->map_lookup_elem(map, (void *)key);
}
EXPORT_SYMBOL_GPL(iu_rt_map_lookup);

u64 iu_rt_map_update(struct iu_abi_map *m, const void *key, const void *value, u64 flags)
{
	struct bpf_map *map = bound(m);

	charge(16);
	if (flags > BPF_EXIST)
		return -EINVAL;
	return map->ops->map_update_elem(map, (void *)key, (void *)value, flags);
}
EXPORT_SYMBOL_GPL(iu_rt_map_update);

u64 iu_rt_map_delete(struct iu_abi_map *m, const void *key)
{
	struct bpf_map *map = bound(m);

	charge(16);
	return map->ops->map_delete_elem(map, (void *)key);
}
EXPORT_SYMBOL_GPL(iu_rt_map_delete);

void iu_rt_lock(u32 *lock)
{
	enum iu_cause cause;

	if (iu_lock_take(iu_frame(), lock, &cause))
		return;
	iu_fault(cause, _RET_IP_);
}
EXPORT_SYMBOL_GPL(iu_rt_lock);

void iu_rt_unlock(u32 *lock)
{
	if (!iu_lock_drop(iu_frame(), lock))
		iu_fault(IU_CAUSE_LOCK, _RET_IP_);
}
EXPORT_SYMBOL_GPL(iu_rt_unlock);

u64 iu_rt_ktime_ns(void)
{
	return ktime_get_mono_fast_ns();
}
EXPORT_SYMBOL_GPL(iu_rt_ktime_ns);

u32 iu_rt_cpu(void)
{
	return raw_smp_processor_id();
}
EXPORT_SYMBOL_GPL(iu_rt_cpu);

/* Not get_random_u32: that takes locks, which NMI must not. Not for secrets. */
u32 iu_rt_random(void)
{
	return prandom_u32_state(this_cpu_ptr(&rnd));
}
EXPORT_SYMBOL_GPL(iu_rt_random);

void iu_rt_log(u32 level, const char *msg, u64 len)
{
	static struct ratelimit_state limit =
		RATELIMIT_STATE_INIT_FLAGS(limit, 5 * HZ, 50, RATELIMIT_MSG_ON_RELEASE);
	const struct iu_prog *p;
	char line[LOG_MAX];
	u64 i;

	charge(64);
	if (!iu_frame() || !__ratelimit(&limit))
		return;
	p = iu_frame()->prog;
	len = min_t(u64, len, sizeof(line));
	/* The text may come from the network: one line, nothing a terminal acts on. */
	for (i = 0; i < len; i++)
		line[i] = isascii(msg[i]) && isprint(msg[i]) ? msg[i] : '?';
	printk(KERN_SOH "%ciu: %s/%s: %.*s\n", '0' + (char)min(level, 7u), p->ext->name,
	       p->name, (int)len, line);
}
EXPORT_SYMBOL_GPL(iu_rt_log);

static u64 xdp_adjust(iu_helper helper, void *ctx, s32 delta)
{
	charge(4);
	if (!helper)
		return -EOPNOTSUPP;
	return helper((unsigned long)ctx, (s64)delta, 0, 0, 0);
}

u64 iu_rt_xdp_adjust_head(void *ctx, s32 delta)
{
	return xdp_adjust(READ_ONCE(iu_helpers.xdp_adjust_head), ctx, delta);
}
EXPORT_SYMBOL_GPL(iu_rt_xdp_adjust_head);

u64 iu_rt_xdp_adjust_tail(void *ctx, s32 delta)
{
	return xdp_adjust(READ_ONCE(iu_helpers.xdp_adjust_tail), ctx, delta);
}
EXPORT_SYMBOL_GPL(iu_rt_xdp_adjust_tail);
