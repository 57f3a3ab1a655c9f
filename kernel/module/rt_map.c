// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runtime functions of maps. What a map is was checked when it was bound, and the
 * crate calls of each type only what the type has; the tests for a missing
 * operation are for an object that some other toolchain made.
 */
#include "rt.h"

#include <linux/bpf.h>
#include <linux/err.h>
#include <linux/instruction_pointer.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/ptrace.h>
#include <asm/processor-flags.h>
#include <asm/segment.h>

#include "dispatch.h"
#include "ext.h"
#include "harvest.h"
#include "held.h"

/*
 * A program runs only with all its maps bound (ATTACH insists), so there is no case
 * of none to answer here. What IU_PLAIN_FUNCTIONS in sym.c lists may not fault.
 */
static __always_inline struct bpf_map *bound(const struct iu_abi_map *m)
{
	return (struct bpf_map *)(unsigned long)m->map;
}

void *iu_rt_map_lookup(struct iu_abi_map *m, const void *key)
{
	struct bpf_map *map = bound(m);

	return map->ops->map_lookup_elem(map, (void *)key);
}
EXPORT_SYMBOL_GPL(iu_rt_map_lookup);

/*
 * A trie, and the list of an LRU map, wait for their lock without asking who has it.
 * What an NMI interrupts may be who has it; so may what a probe in the map's own code
 * interrupts, when that runs for a program. Neither may change such a map.
 */
static DEFINE_PER_CPU(int, waiting);

static __always_inline bool waits(const struct bpf_map *map)
{
	return unlikely(map->map_type == BPF_MAP_TYPE_LPM_TRIE ||
			map->map_type == BPF_MAP_TYPE_LRU_HASH ||
			map->map_type == BPF_MAP_TYPE_LRU_PERCPU_HASH);
}

/* False: it may not wait here. */
static bool wait_begin(void)
{
	if (in_nmi())
		return false;
	preempt_disable_notrace();
	if (this_cpu_inc_return(waiting) == 1)
		return true;
	this_cpu_dec(waiting);
	preempt_enable_notrace();
	return false;
}

static void wait_end(void)
{
	this_cpu_dec(waiting);
	preempt_enable_notrace();
}

static noinline u64 update_waiting(struct bpf_map *map, const void *key, const void *value,
				   u64 flags)
{
	u64 ret;

	if (!wait_begin())
		return -EBUSY;
	ret = map->ops->map_update_elem(map, (void *)key, (void *)value, flags);
	wait_end();
	return ret;
}

static noinline u64 delete_waiting(struct bpf_map *map, const void *key)
{
	u64 ret;

	if (!wait_begin())
		return -EBUSY;
	ret = map->ops->map_delete_elem(map, (void *)key);
	wait_end();
	return ret;
}

u64 iu_rt_map_update(struct iu_abi_map *m, const void *key, const void *value, u64 flags)
{
	struct bpf_map *map = bound(m);

	iu_charge(16);
	if (flags > BPF_EXIST)
		return -EINVAL;
	if (waits(map))
		return update_waiting(map, key, value, flags);
	return map->ops->map_update_elem(map, (void *)key, (void *)value, flags);
}
EXPORT_SYMBOL_GPL(iu_rt_map_update);

u64 iu_rt_map_delete(struct iu_abi_map *m, const void *key)
{
	struct bpf_map *map = bound(m);

	iu_charge(16);
	if (waits(map))
		return delete_waiting(map, key);
	return map->ops->map_delete_elem(map, (void *)key);
}
EXPORT_SYMBOL_GPL(iu_rt_map_delete);

u64 iu_rt_map_push(struct iu_abi_map *m, const void *value, u64 flags)
{
	struct bpf_map *map = bound(m);

	iu_charge(8);
	if (flags != BPF_ANY && flags != BPF_EXIST)
		return -EINVAL;
	if (!map->ops->map_push_elem)
		return -EOPNOTSUPP;
	return map->ops->map_push_elem(map, (void *)value, flags);
}
EXPORT_SYMBOL_GPL(iu_rt_map_push);

u64 iu_rt_map_pop(struct iu_abi_map *m, void *value)
{
	struct bpf_map *map = bound(m);

	iu_charge(8);
	if (!map->ops->map_pop_elem)
		return -EOPNOTSUPP;
	return map->ops->map_pop_elem(map, value);
}
EXPORT_SYMBOL_GPL(iu_rt_map_pop);

u64 iu_rt_map_peek(struct iu_abi_map *m, void *value)
{
	struct bpf_map *map = bound(m);

	iu_charge(8);
	if (!map->ops->map_peek_elem)
		return -EOPNOTSUPP;
	return map->ops->map_peek_elem(map, value);
}
EXPORT_SYMBOL_GPL(iu_rt_map_peek);

/* Notes the target on this CPU; the driver acts on it when the program returns XDP_REDIRECT. */
u64 iu_rt_map_redirect(struct iu_abi_map *m, u32 key, u64 flags)
{
	struct bpf_map *map = bound(m);

	if (!map->ops->map_redirect)
		return XDP_ABORTED;
	return map->ops->map_redirect(map, key, flags);
}
EXPORT_SYMBOL_GPL(iu_rt_map_redirect);

static void discard(struct iu_held *h)
{
	iu_help(ringbuf_discard, (unsigned long)h->object, 0, 0, 0, 0);
}

void *iu_rt_ringbuf_reserve(struct iu_abi_map *m, u64 size)
{
	struct bpf_map *map = bound(m);
	struct iu_frame *f = iu_frame();
	void *sample;

	if (unlikely(!iu_held_room(f)))
		return NULL;
	sample = (void *)iu_help(ringbuf_reserve, (unsigned long)map, size, 0, 0, 0);
	if (unlikely(IS_ERR_OR_NULL(sample)))
		return NULL;
	iu_held_add(f, discard, sample);
	return sample;
}
EXPORT_SYMBOL_GPL(iu_rt_ringbuf_reserve);

#define WAKEUPS	(BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP)

void iu_rt_ringbuf_submit(void *sample, u64 flags)
{
	if (unlikely(!iu_held_remove(iu_frame(), discard, sample)))
		iu_fault(IU_CAUSE_LOCK, _RET_IP_);
	iu_help(ringbuf_submit, (unsigned long)sample, flags & WAKEUPS, 0, 0, 0);
}
EXPORT_SYMBOL_GPL(iu_rt_ringbuf_submit);

void iu_rt_ringbuf_discard(void *sample, u64 flags)
{
	if (unlikely(!iu_held_remove(iu_frame(), discard, sample)))
		iu_fault(IU_CAUSE_LOCK, _RET_IP_);
	iu_help(ringbuf_discard, (unsigned long)sample, flags & WAKEUPS, 0, 0, 0);
}
EXPORT_SYMBOL_GPL(iu_rt_ringbuf_discard);

u64 iu_rt_ringbuf_output(struct iu_abi_map *m, const void *data, u64 size, u64 flags)
{
	struct bpf_map *map = bound(m);

	iu_charge(8);
	return iu_help(ringbuf_output, (unsigned long)map, (unsigned long)data, size,
		       flags & WAKEUPS, 0);
}
EXPORT_SYMBOL_GPL(iu_rt_ringbuf_output);

u64 iu_rt_perf_output(struct iu_abi_map *m, u64 flags, const void *data, u64 size)
{
	struct bpf_map *map = bound(m);

	iu_charge(64);
	/* What a perf record can carry; bpf_event_output leaves the limit to its callers. */
	if (flags & ~BPF_F_INDEX_MASK || size > U16_MAX - 64)
		return -EINVAL;
	return bpf_event_output(map, flags, (void *)data, size, NULL, 0, NULL);
}
EXPORT_SYMBOL_GPL(iu_rt_perf_output);

/*
 * Where the run was called from (enter.S): the unwinder does not know runtime stacks,
 * and what is of interest is below the hook anyway.
 */
static void below(const struct iu_frame *f, struct pt_regs *regs)
{
	const unsigned long *saved = f->saved;	/* %r15 to %rbp, then the return address */

	memset(regs, 0, sizeof(*regs));
	regs->bp = saved[5];
	regs->ip = saved[6];
	regs->sp = (unsigned long)&saved[7];
	regs->cs = __KERNEL_CS;
	/* These are a frame's registers and not only an address to start from. */
	regs->flags = X86_EFLAGS_FIXED;
}

u64 iu_rt_stack_id(struct iu_abi_map *m, u64 flags)
{
	struct bpf_map *map = bound(m);
	struct pt_regs regs;

	iu_charge(256);
	below(iu_frame(), &regs);
	return iu_help(get_stackid, (unsigned long)&regs, (unsigned long)map, flags, 0, 0);
}
EXPORT_SYMBOL_GPL(iu_rt_stack_id);
