// SPDX-License-Identifier: GPL-2.0-only
/*
 * A bounded queue that any context may write to, NMI included, without a lock. A
 * cell's turn says whose it is: that of place n on the n-th way round is to be written when
 * turn is n, to be printed when it is n + 1.
 */
#include "log.h"

#include <linux/atomic.h>
#include <linux/irq_work.h>
#include <linux/kernel.h>
#include <linux/percpu.h>
#include <linux/printk.h>

#define LINES	64

static struct line {
	atomic_t turn;
	u32 level;
	char text[IU_LINE_MAX];
} lines[LINES];

static atomic_t next;		/* to be written */
static int shown;		/* to be printed; who has `showing` may change it */
static atomic_t showing;
static atomic_t lost;		/* lines for which there was no room */

static bool ready(int at)
{
	return atomic_read_acquire(&lines[at % LINES].turn) == at + 1;
}

/* Runs with interrupts off, or in a thread (PREEMPT_RT); on several CPUs at once. */
static void show(struct irq_work *work)
{
	/* What comes after the last look is seen by whoever brought it, or here. */
	while (ready(READ_ONCE(shown)) && !atomic_xchg(&showing, 1)) {
		while (ready(shown)) {
			struct line *l = &lines[shown % LINES];

			printk(KERN_SOH "%ciu: %s\n", '0' + (char)l->level, l->text);
			atomic_set_release(&l->turn, (shown + LINES) & INT_MAX);
			WRITE_ONCE(shown, (shown + 1) & INT_MAX);
		}
		if (atomic_read(&lost))
			pr_warn("iu: %d lines lost\n", atomic_xchg(&lost, 0));
		atomic_xchg(&showing, 0);
	}
}

static DEFINE_PER_CPU(struct irq_work, work);

void iu_say(u32 level, const char *fmt, ...)
{
	int at = atomic_read(&next);
	struct line *l;
	va_list ap;

	for (;;) {
		int turn;

		l = &lines[at % LINES];
		turn = atomic_read_acquire(&l->turn);
		if (turn != at && atomic_read(&next) == at) {
			atomic_inc(&lost);
			return;
		}
		if (turn == at && atomic_try_cmpxchg(&next, &at, (at + 1) & INT_MAX))
			break;
		at = atomic_read(&next);
	}
	l->level = min(level, 7u);
	va_start(ap, fmt);
	vscnprintf(l->text, sizeof(l->text), fmt, ap);
	va_end(ap);
	atomic_set_release(&l->turn, at + 1);
	irq_work_queue(this_cpu_ptr(&work));
}

void iu_log_init(void)
{
	int cpu, i;

	for (i = 0; i < LINES; i++)
		atomic_set(&lines[i].turn, i);
	for_each_possible_cpu(cpu)
		init_irq_work(per_cpu_ptr(&work, cpu), show);
}

/* Nobody says anything any more. */
void iu_log_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		irq_work_sync(per_cpu_ptr(&work, cpu));
}
