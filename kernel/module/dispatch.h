/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One run of a program: frame, stack, entry and the one way out of a fault.
 *
 * Preemption is off for a whole run, so frames of a CPU form a list that only
 * grows and shrinks at its head: whatever interrupts a run (softirq, hardirq,
 * NMI, an exception) has ended its own runs before it returns. No lock and no
 * atomic operation is needed for it, and NMI is not a special case.
 */
#ifndef IU_DISPATCH_H
#define IU_DISPATCH_H

#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/types.h>

#include "hook.h"
#include "iu_abi.h"
#include "iu_uapi.h"
#include "slot.h"

#define IU_LEVELS	4	/* task, softirq, hardirq, NMI: interrupt_context_level() */
#define IU_HELD_MAX	4

/* Something a program holds and that a fault must give back. */
struct iu_held {
	void (*release)(struct iu_held *held);
	void *object;
	unsigned long state;
};

/* Lives on the caller's stack; valid while it is in the CPU's list. */
struct iu_frame {
	unsigned long sp;		/* set by iu_enter; offset known to enter.S */
	struct iu_frame *prev;
	struct iu_prog *prog;
	u64 start;			/* first look at the clock, ns; 0: not looked yet */
	int fuel;			/* iu_rt_fuel of the interrupted program */
	int preempt;			/* preempt_count() during the run */
	u32 nheld;
	int cause;			/* -1: no fault, else enum iu_cause */
	unsigned long ip;		/* where it faulted: the address a call would return to */
	const char *file;		/* of a panic */
	u64 file_len;
	u32 line, col;
	struct iu_held held[IU_HELD_MAX];
};

struct iu_cpu {
	struct iu_frame *frame;			/* innermost run, NULL if none */
	unsigned long stack[IU_LEVELS];		/* top of each runtime stack */
	bool busy[IU_LEVELS];			/* a run is on that stack */
};
DECLARE_PER_CPU(struct iu_cpu, iu_cpu);
DECLARE_PER_CPU(int, iu_rt_fuel);

static inline struct iu_frame *iu_frame(void)
{
	return this_cpu_read(iu_cpu.frame);
}

/*
 * Ends the innermost run on this CPU with `cause`. `ip` is the address to
 * report. Callable from runtime functions only, that is from what a program
 * calls directly: nothing of the kernel may be in the middle of anything
 * between the program and here. Does not return, which objtool is told here: it
 * knows the kernel's functions that do not return, not a module's.
 */
void iu_end_run(enum iu_cause cause, unsigned long ip);

static __always_inline void iu_fault(enum iu_cause cause, unsigned long ip)
{
	iu_end_run(cause, ip);
	unreachable();
}

u32 iu_run_prog(struct iu_prog *p, void *ctx);

/*
 * What every kfunc does: runs the program in `slot` of `hook` with `ctx`, which is
 * what iu_abi.h says of the hook's context, and returns its verdict; the hook's
 * `refused` verdict if there is none. Any context, NMI included.
 *
 * RCU: preemption is off, which makes a run a reader for synchronize_rcu; what
 * unloads an extension or drops a map waits for that.
 */
static __always_inline u32 iu_run_slot(u32 slot, enum iu_hook hook, void *ctx)
{
	u32 ret = iu_hook_row(hook)->refused;
	struct iu_prog *p;

	preempt_disable_notrace();
	p = iu_slot_get(slot);
	if (likely(p && p->hook == hook && !READ_ONCE(p->disabled)))
		ret = iu_run_prog(p, ctx);
	preempt_enable_notrace();
	return ret;
}

int iu_dispatch_init(void);

/* Each registers the kfunc of one hook: hook_NAME.c. */
int iu_hook_xdp_init(void);
int iu_hook_tc_init(void);

/* enter.S */
u32 iu_enter(void *ctx, unsigned long entry, struct iu_frame *frame, unsigned long top);
void iu_land(unsigned long sp);
extern const u8 iu_return_low[], iu_return_high[];

#endif
