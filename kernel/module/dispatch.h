/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One run of a program: the way in, its frame and stack, and the one way out of a fault.
 *
 * A program runs in one of four ways, by what the runtime knows of it once it is
 * loaded (iu_prog.mode). One that refers to nothing that could end a run needs no
 * frame; one that is proven to need little stack needs no stack of its own.
 *
 * Preemption is off for a whole run with a frame or a stack of its own, so frames
 * of a CPU form a list that only grows and shrinks at its head: whatever interrupts
 * a run (softirq, hardirq, NMI, an exception) has ended its own runs before it
 * returns. No lock and no atomic operation is needed for it, and NMI is not a
 * special case.
 */
#ifndef IU_DISPATCH_H
#define IU_DISPATCH_H

#include <linux/compiler.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/types.h>

#include "ext.h"
#include "iu_abi.h"
#include "iu_uapi.h"
#include "slot.h"

#define IU_LEVELS	4	/* task, softirq, hardirq, NMI: interrupt_context_level() */
#define IU_HELD_MAX	8

/* Something a program holds and that a fault must give back. */
struct iu_held {
	void (*release)(struct iu_held *held);
	void *object;
};

/* Made by enter.S on the caller's stack; valid while it is in the CPU's list. */
struct iu_frame {
	struct iu_frame *prev;
	struct iu_prog *prog;
	u64 start;			/* first look at the clock, ns; 0: not looked yet */
	u8 nheld;
	u8 locked;			/* holds `lock` */
	u8 irqs_off;			/* how often over; `irq_flags` is from before the first */
	u8 rcu;				/* rcu_read_lock()s */
	u32 cause;			/* enum iu_cause; of a fault, as all down to col */
	/* Not initialised from here on. */
	unsigned long ip;		/* where it faulted: the address a call would return to */
	const char *file;		/* of a panic, else NULL */
	u64 file_len;
	u32 line, col;
	u32 nchain;
	u32 chain[IU_CHAIN_MAX];	/* offsets in .text that calls would return to */
	u32 *lock;
	unsigned long irq_flags;
	struct iu_held held[IU_HELD_MAX];
	unsigned long saved[6];
};

struct iu_cpu {
	struct iu_frame *frame;			/* innermost run, NULL if none */
	unsigned long free[IU_LEVELS];		/* stack[], or 0: a run is on it */
	unsigned long stack[IU_LEVELS];		/* top of each runtime stack */
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

/* enter.S */
u32 iu_run_framed(void *ctx, struct iu_prog *p);
u32 iu_run_switched(void *ctx, struct iu_prog *p);
u32 iu_run_framed_switched(void *ctx, struct iu_prog *p);
void iu_land(struct iu_frame *frame);
void iu_expire(void);			/* where the watchdog sends a run */
extern const u8 iu_return_low[], iu_return_high[];

/* Called by enter.S. */
asmlinkage u32 iu_landed(struct iu_frame *f);
asmlinkage u32 iu_run_nested(void *ctx, struct iu_prog *p);
asmlinkage u32 iu_resched(u32 ret);
asmlinkage void iu_expired(void);
asmlinkage void iu_left(struct iu_frame *f);

/* fault.c */
bool iu_on_stack(const struct iu_cpu *c, unsigned int level, unsigned long at);
u32 iu_refuse_nesting(struct iu_prog *p);
void iu_prog_arm(struct iu_prog *p);
bool iu_prog_stop(struct iu_prog *p, u64 resume);
bool iu_prog_stopped(const struct iu_prog *p);

u32 iu_run_timed(void *ctx, struct iu_prog *p, u32 mode);

/*
 * What every kfunc does: runs the program in `slot` of `hook` with `ctx`, which is
 * what iu_abi.h says of the hook's context, and returns its verdict; the hook's
 * `refused` verdict if there is none. Any context, NMI included. A slot number that
 * does not exist is as good as any other: the table has only programs of the hook.
 *
 * The caller is a reader for synchronize_rcu until this returns: the stub's
 * program type is one that cannot sleep, so the kernel runs it under
 * rcu_read_lock, or with softirqs or preemption off. What unloads an extension or
 * drops a map waits for that. Other hooks take iu_run_slot_reader.
 */
static __always_inline u32 iu_run_slot(u32 slot, enum iu_hook hook, void *ctx)
{
	struct iu_prog **table = iu_slot_table[hook];
	struct iu_prog *p = READ_ONCE(table[slot & (IU_MAX_SLOTS - 1)]);
	u32 mode = READ_ONCE(p->mode);

	this_cpu_inc(p->cpu->runs);
	if (likely(mode == IU_MODE_PLAIN))
		return ((u32 (*)(void *, struct iu_prog *))p->entry)(ctx, p);
	if (likely(mode == IU_MODE_FRAMED))
		return iu_run_framed(ctx, p);
	if (likely(mode == IU_MODE_SWITCH))
		return iu_run_switched(ctx, p);
	if (likely(mode == (IU_MODE_FRAMED | IU_MODE_SWITCH)))
		return iu_run_framed_switched(ctx, p);
	return iu_run_timed(ctx, p, mode);
}

/* The same where a stub may be a program that sleeps (tracing, LSM, uprobes). */
static __always_inline u32 iu_run_slot_reader(u32 slot, enum iu_hook hook, void *ctx)
{
	u32 ret;

	preempt_disable_notrace();
	ret = iu_run_slot(slot, hook, ctx);
	preempt_enable_notrace();
	return ret;
}

int iu_dispatch_init(void);

/* Each registers the kfuncs of one class: hook_*.c. */
int iu_hook_xdp_init(void);
int iu_hook_tc_init(void);
int iu_hook_probe_init(void);
int iu_hook_tracing_init(void);
int iu_hook_cgroup_init(void);
int iu_hook_socket_init(void);

#endif
