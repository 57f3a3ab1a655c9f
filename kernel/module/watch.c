// SPDX-License-Identifier: GPL-2.0-only
/*
 * The backstop of termination. A program that polls ends itself; this finds the run
 * that does not get to its next poll, on whichever CPU it is.
 *
 * While a program that can be ended is in a slot, each CPU has a timer:
 *
 *  - For the run it interrupts, it takes the first look at the clock if the run has
 *    not; over the budget, it empties the fuel, so that the next poll looks at the
 *    clock at once; over twice the budget, it ends the run itself, provided that what was
 *    interrupted is the program's own code. That is any point between two
 *    instructions of it, and what a run holds changes in runtime functions alone.
 *  - For the run of another CPU, which may have interrupts off or be in NMI, it
 *    empties the fuel, which is always harmless; if the CPU's own timer has not come
 *    for long and it is still the same run, it says so and stops the program: for good, or where
 *    faults only pause it, for as long as that goes on. A hypervisor that has not let the CPU
 *    run for a while looks the same from here, and must not end a service.
 */
#include "watch.h"

#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/hrtimer.h>
#include <linux/percpu.h>
#include <linux/uaccess.h>
#include <asm/irq_regs.h>
#include <asm/ptrace.h>

#include "dispatch.h"
#include "log.h"

#define PERIOD_NS	(50 * NSEC_PER_MSEC)
#define PAUSE_NS	NSEC_PER_SEC
#define LOST_NS		(20 * PERIOD_NS)	/* no timer for so long: interrupts are off */

struct watch {
	struct hrtimer timer;
	u64 beat;			/* when the timer last came, ns */
	/* What another CPU saw of this one; whichever does, they overwrite each other. */
	struct iu_frame *frame;
	struct iu_prog *prog;
	u64 runs;
	u64 since;
};
static DEFINE_PER_CPU(struct watch, watch);

static bool wanted;			/* under iu_mutex; read by timers */
static enum cpuhp_state hotplug;

/* Ends the run that this timer has interrupted, if it stands in its own code. */
static void end(struct iu_frame *f)
{
	struct pt_regs *regs = get_irq_regs();
	const struct iu_ext *ext = f->prog->ext;

	if (!regs || regs->ip - ext->text >= ext->text_size)
		return;
	f->ip = regs->ip;
	regs->ip = (unsigned long)iu_expire;
}

static void look_here(u64 now)
{
	struct iu_frame *f = iu_frame();
	u64 budget;

	if (!f)
		return;
	budget = f->prog->budget_ns;
	if (!f->start)
		f->start = now;
	if (now - f->start <= budget)
		return;
	this_cpu_write(iu_rt_fuel, 0);
	if (now - f->start > 2 * budget)
		end(f);
}

/* Frames are on stacks that may be gone: so read with care, and believe it only if it is in a slot. */
static struct iu_prog *prog_of(struct iu_frame *f)
{
	struct iu_prog *p;
	u32 hook, nr;

	if (copy_from_kernel_nofault(&p, &f->prog, sizeof(p)))
		return NULL;
	for (hook = 0; hook < IU_HOOK_MAX; hook++)
		for (nr = 0; nr < IU_MAX_SLOTS; nr++)
			if (READ_ONCE(iu_slot_table[hook][nr]) == p)
				return p->ext ? p : NULL;
	return NULL;
}

/* With interrupts off, so a reader: what prog_of finds stays. */
static void look_at(int cpu, u64 now)
{
	struct iu_frame *f = READ_ONCE(per_cpu(iu_cpu.frame, cpu));
	struct watch *w = per_cpu_ptr(&watch, cpu);
	struct iu_prog *p;
	u64 runs;

	if (!f || f != w->frame) {
		w->frame = f;
		w->prog = NULL;
		w->since = now;
		return;
	}
	/* The same place on the stack, thus maybe the same run. */
	WRITE_ONCE(per_cpu(iu_rt_fuel, cpu), 0);
	if ((s64)(now - READ_ONCE(w->beat)) < (s64)LOST_NS)
		return;
	p = prog_of(f);
	if (!p)
		return;
	runs = READ_ONCE(per_cpu_ptr(p->cpu, cpu)->runs);
	if (p != w->prog || runs != w->runs) {
		w->prog = p;
		w->runs = runs;
		w->since = now;
		return;
	}
	/* Each run counts at its start: so it is the same one. */
	if (now - w->since > 2 * p->budget_ns + PERIOD_NS &&
	    iu_prog_stop(p, p->window_ns ? now + PAUSE_NS : 0))
		iu_warn("%s/%s: %s: CPU %d is in one run of it, interrupts off, for %llu ms",
			p->ext->name, p->name, p->window_ns ? "paused" : "disabled", cpu,
			(now - w->since) / NSEC_PER_MSEC);
}

static enum hrtimer_restart tick(struct hrtimer *timer)
{
	u64 now = ktime_get_mono_fast_ns();
	int cpu;

	if (!READ_ONCE(wanted))
		return HRTIMER_NORESTART;
	WRITE_ONCE(this_cpu_ptr(&watch)->beat, now);
	look_here(now);
	for_each_online_cpu(cpu)
		if (cpu != raw_smp_processor_id())
			look_at(cpu, now);
	hrtimer_forward_now(timer, ns_to_ktime(PERIOD_NS));
	return HRTIMER_RESTART;
}

/* On the CPU that it is for. */
static void start(void *unused)
{
	struct watch *w = this_cpu_ptr(&watch);

	WRITE_ONCE(w->beat, ktime_get_mono_fast_ns());
	hrtimer_start(&w->timer, ns_to_ktime(PERIOD_NS), HRTIMER_MODE_REL_PINNED_HARD);
}

static int comes(unsigned int cpu)
{
	if (READ_ONCE(wanted))
		start(NULL);
	return 0;
}

static int goes(unsigned int cpu)
{
	hrtimer_cancel(per_cpu_ptr(&watch.timer, cpu));
	return 0;
}

void iu_watch(bool want)
{
	if (want == wanted)
		return;
	/* A CPU that comes in between sees it in `comes`; one that is there twice is only started anew. */
	WRITE_ONCE(wanted, want);
	if (want)
		on_each_cpu(start, NULL, 1);
}

int iu_watch_init(void)
{
	int cpu, ret;

	for_each_possible_cpu(cpu) {
		struct watch *w = per_cpu_ptr(&watch, cpu);

		hrtimer_init(&w->timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
		w->timer.function = tick;
	}
	ret = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "iu:watch", comes, goes);
	if (ret < 0)
		return ret;
	hotplug = ret;
	return 0;
}

void iu_watch_exit(void)
{
	int cpu;

	wanted = false;
	cpuhp_remove_state(hotplug);
	/* One of a CPU that has gone may be on another. */
	for_each_possible_cpu(cpu)
		hrtimer_cancel(per_cpu_ptr(&watch.timer, cpu));
}
