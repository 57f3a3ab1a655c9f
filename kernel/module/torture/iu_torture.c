// SPDX-License-Identifier: GPL-2.0-only
/* See iu_torture.h. */
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/irq_work.h>
#include <linux/kprobes.h>
#include <linux/ktime.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/nmi.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <asm/apic.h>
#include <asm/nmi.h>

#include "iu_torture.h"

#define CREATE_TRACE_POINTS
#include "events.h"

/* One run at a time: guarded by run_mutex, but for what the chosen context fills in. */
static DEFINE_MUTEX(run_mutex);
static struct iu_torture_run run;
static int run_cpu;
static bool run_done;
static DEFINE_RAW_SPINLOCK(held);

/* What programs are attached to. The compiler must neither inline it nor know what it returns. */
#define POINT(name)					\
	int name(u32 context, u32 turn);		\
	noinline int name(u32 context, u32 turn)	\
	{						\
		barrier();				\
		return (int)(context + turn);		\
	}
POINT(iu_torture_point)
POINT(iu_torture_second)
POINT(iu_torture_third)

/* What a program must leave as it was. */
struct state {
	int preempt, rcu;
	bool off;
};

static __always_inline struct state state(void)
{
	return (struct state){ preempt_count(), rcu_preempt_depth(), irqs_disabled() };
}

static bool differs(struct state a, struct state b)
{
	return a.preempt != b.preempt || a.rcu != b.rcu || a.off != b.off;
}

static bool here(u32 context)
{
	switch (context) {
	case IU_TORTURE_TASK:
		return in_task() && !irqs_disabled() && preemptible();
	case IU_TORTURE_IRQS_OFF:
		return in_task() && irqs_disabled();
	case IU_TORTURE_LOCKED:
		return in_task() && raw_spin_is_locked(&held);
	case IU_TORTURE_SOFTIRQ:
		return in_serving_softirq() && !in_hardirq() && !in_nmi();
	case IU_TORTURE_HARDIRQ:
		return in_hardirq() && !in_nmi();
	case IU_TORTURE_NMI:
		return in_nmi();
	}
	return false;
}

static void calls(void)
{
	u32 i;

	for (i = 0; i < run.count; i++) {
		struct state before = state();
		u64 began;

		if (!here(run.context))
			run.elsewhere++;
		began = ktime_get_mono_fast_ns();
		trace_iu_torture_event(run.context, i);
		iu_torture_point(run.context, i);
		run.ns[i] = ktime_get_mono_fast_ns() - began;
		run.called++;
		if (differs(before, state()))
			run.unbalanced++;
	}
	smp_store_release(&run_done, true);
}

static void in_tasklet(struct tasklet_struct *t)
{
	calls();
}

static void in_irq_work(struct irq_work *w)
{
	calls();
}

static DECLARE_TASKLET(tasklet, in_tasklet);
static struct irq_work work = IRQ_WORK_INIT_HARD(in_irq_work);
static bool nmi_wanted;

/* Of a CPU; only it touches the rest, in contexts that interrupt each other. */
struct nest {
	bool active, nmi_due;		/* written by others */
	struct hrtimer timer;
	u32 depth;
	struct iu_torture_nest n;
};
static DEFINE_PER_CPU(struct nest, nests);

static void nested_call(struct nest *c, int which)
{
	struct state before = state();

	c->n.deepest = max(c->n.deepest, ++c->depth);
	if (which == 0)
		iu_torture_point(which, c->n.calls[which]);
	else if (which == 1)
		iu_torture_second(which, c->n.calls[which]);
	else
		iu_torture_third(which, c->n.calls[which]);
	c->depth--;
	c->n.calls[which]++;
	if (differs(before, state()))
		c->n.unbalanced++;
}

static enum hrtimer_restart nest_timer(struct hrtimer *timer)
{
	int cpu, self = smp_processor_id();

	for_each_online_cpu(cpu) {
		if (cpu == self || !READ_ONCE(per_cpu(nests.active, cpu)))
			continue;
		smp_store_release(per_cpu_ptr(&nests.nmi_due, cpu), true);
		apic->send_IPI_mask(cpumask_of(cpu), NMI_VECTOR);
	}
	nested_call(this_cpu_ptr(&nests), 1);
	return HRTIMER_NORESTART;
}

static long nest(struct iu_torture_nest __user *user)
{
	struct nest *c = raw_cpu_ptr(&nests);
	struct iu_torture_nest n;
	u32 i;

	if (copy_from_user(&n, user, sizeof(n)))
		return -EFAULT;
	if (!n.count || n.count > 1000000 || READ_ONCE(c->active))
		return -EINVAL;
	memset(&c->n, 0, sizeof(c->n));
	c->n.count = n.count;
	WRITE_ONCE(c->active, true);
	for (i = 0; i < n.count; i++) {
		hrtimer_start(&c->timer, ns_to_ktime(200 * NSEC_PER_USEC), HRTIMER_MODE_REL_PINNED_HARD);
		nested_call(c, 0);
		while (hrtimer_active(&c->timer))
			usleep_range(100, 200);
	}
	WRITE_ONCE(c->active, false);
	/* One that was sent before that. */
	usleep_range(1000, 2000);
	return copy_to_user(user, &c->n, sizeof(c->n)) ? -EFAULT : 0;
}

/* Under run_mutex, but for slow_ms. */
static struct kprobe slow;
static char slow_function[sizeof_field(struct iu_torture_slow, function)];
static u32 slow_ms;

static int slow_down(struct kprobe *p, struct pt_regs *regs)
{
	u32 ms = xchg(&slow_ms, 0);

	/* Looks at no clock that stands still while interrupts are off. */
	while (ms--)
		udelay(1000);
	return 0;
}

static void slow_undo(void)
{
	WRITE_ONCE(slow_ms, 0);
	if (slow.symbol_name)
		unregister_kprobe(&slow);
	memset(&slow, 0, sizeof(slow));
}

static long slow_set(const struct iu_torture_slow __user *user)
{
	struct iu_torture_slow a;
	long ret = 0;

	if (copy_from_user(&a, user, sizeof(a)))
		return -EFAULT;
	if (!memchr(a.function, 0, sizeof(a.function)) || a.ms > 10000 || a.reserved)
		return -EINVAL;
	mutex_lock(&run_mutex);
	if (a.ms && READ_ONCE(slow_ms)) {
		ret = -EBUSY;
		goto out;
	}
	slow_undo();
	if (!a.ms)
		goto out;
	strscpy(slow_function, a.function, sizeof(slow_function));
	slow.symbol_name = slow_function;
	slow.pre_handler = slow_down;
	ret = register_kprobe(&slow);
	if (ret)
		memset(&slow, 0, sizeof(slow));
	else
		WRITE_ONCE(slow_ms, a.ms);
out:
	mutex_unlock(&run_mutex);
	return ret;
}

static int in_nmi_handler(unsigned int type, struct pt_regs *regs)
{
	if (this_cpu_xchg(nests.nmi_due, false)) {
		nested_call(this_cpu_ptr(&nests), 2);
		return NMI_HANDLED;
	}
	if (raw_smp_processor_id() != READ_ONCE(run_cpu) || !xchg(&nmi_wanted, false))
		return NMI_DONE;
	calls();
	return NMI_HANDLED;
}

static void start(void)
{
	unsigned long flags;

	switch (run.context) {
	case IU_TORTURE_TASK:
		calls();
		break;
	case IU_TORTURE_IRQS_OFF:
		local_irq_save(flags);
		calls();
		local_irq_restore(flags);
		break;
	case IU_TORTURE_LOCKED:
		raw_spin_lock(&held);
		calls();
		raw_spin_unlock(&held);
		break;
	case IU_TORTURE_SOFTIRQ:
		tasklet_schedule(&tasklet);
		break;
	case IU_TORTURE_HARDIRQ:
		irq_work_queue(&work);
		break;
	case IU_TORTURE_NMI:
		preempt_disable();
		WRITE_ONCE(run_cpu, smp_processor_id());
		smp_store_release(&nmi_wanted, true);
		apic->send_IPI_mask(cpumask_of(smp_processor_id()), NMI_VECTOR);
		preempt_enable();
		break;
	}
}

static long torture_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;
	long ret = 0;
	int i;

	if (cmd == IU_TORTURE_NEST)
		return nest(user);
	if (cmd == IU_TORTURE_SLOW)
		return slow_set(user);
	if (cmd != IU_TORTURE_RUN)
		return -ENOTTY;
	mutex_lock(&run_mutex);
	if (copy_from_user(&run, user, sizeof(run))) {
		ret = -EFAULT;
		goto out;
	}
	if (run.context >= IU_TORTURE_CONTEXTS || !run.count || run.count > IU_TORTURE_MAX) {
		ret = -EINVAL;
		goto out;
	}
	run.called = run.elsewhere = run.unbalanced = 0;
	run_done = false;
	start();
	for (i = 0; !smp_load_acquire(&run_done); i++) {
		if (i == 1000 && xchg(&nmi_wanted, false)) {
			ret = -ETIMEDOUT;
			goto out;
		}
		usleep_range(1000, 2000);
	}
	if (copy_to_user(user, &run, sizeof(run)))
		ret = -EFAULT;
out:
	mutex_unlock(&run_mutex);
	return ret;
}

static const struct file_operations fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = torture_ioctl,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "iu_torture",
	.mode = 0600,
	.fops = &fops,
};

static int __init torture_init(void)
{
	int cpu, ret;

	for_each_possible_cpu(cpu) {
		struct hrtimer *timer = per_cpu_ptr(&nests.timer, cpu);

		hrtimer_init(timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
		timer->function = nest_timer;
	}
	ret = register_nmi_handler(NMI_LOCAL, in_nmi_handler, 0, "iu_torture");
	if (ret)
		return ret;
	ret = misc_register(&device);
	if (ret)
		unregister_nmi_handler(NMI_LOCAL, "iu_torture");
	return ret;
}

static void __exit torture_exit(void)
{
	misc_deregister(&device);
	slow_undo();
	unregister_nmi_handler(NMI_LOCAL, "iu_torture");
	tasklet_kill(&tasklet);
	irq_work_sync(&work);
}

module_init(torture_init);
module_exit(torture_exit);
MODULE_DESCRIPTION("Calls a function in every context, for iupkg's torture suite");
MODULE_LICENSE("GPL");
