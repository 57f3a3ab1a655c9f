// SPDX-License-Identifier: GPL-2.0-only
/* See iu_torture.h. */
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/interrupt.h>
#include <linux/irq_work.h>
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

/* One run at a time: guarded by run_mutex, but for what the chosen context fills in. */
static DEFINE_MUTEX(run_mutex);
static struct iu_torture_run run;
static int run_cpu;
static bool run_done;
static DEFINE_RAW_SPINLOCK(held);

int iu_torture_point(u32 context, u32 turn);

/* What programs are attached to. The compiler must neither inline it nor know what it returns. */
noinline int iu_torture_point(u32 context, u32 turn)
{
	barrier();
	return (int)(context + turn);
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
		int preempt = preempt_count(), rcu = rcu_preempt_depth();
		bool off = irqs_disabled();
		u64 began;

		if (!here(run.context))
			run.elsewhere++;
		began = ktime_get_mono_fast_ns();
		iu_torture_point(run.context, i);
		run.ns[i] = ktime_get_mono_fast_ns() - began;
		run.called++;
		if (preempt != preempt_count() || rcu != rcu_preempt_depth() || off != irqs_disabled())
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

static int in_nmi_handler(unsigned int type, struct pt_regs *regs)
{
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
	int ret = register_nmi_handler(NMI_LOCAL, in_nmi_handler, 0, "iu_torture");

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
	unregister_nmi_handler(NMI_LOCAL, "iu_torture");
	tasklet_kill(&tasklet);
	irq_work_sync(&work);
}

module_init(torture_init);
module_exit(torture_exit);
MODULE_DESCRIPTION("Calls a function in every context, for iupkg's torture suite");
MODULE_LICENSE("GPL");
