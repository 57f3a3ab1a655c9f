// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runtime functions of every hook. They run on the program's stack, preemption
 * off, in any context up to NMI. A fault here must leave nothing half done.
 */
#include "rt.h"

#include <linux/ctype.h>
#include <linux/instruction_pointer.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/ratelimit.h>
#include <linux/sched.h>
#include <linux/security.h>
#include <linux/string.h>
#include <linux/ktime.h>
#include <linux/uaccess.h>

#include "dispatch.h"
#include "ext.h"
#include "log.h"

#define LOG_MAX	256

static DEFINE_PER_CPU(struct rnd_state, rnd);

void iu_rt_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		prandom_seed_state(&per_cpu(rnd, cpu), get_random_u64());
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

	iu_charge(64);
	if (!iu_frame() || !__ratelimit(&limit))
		return;
	p = iu_frame()->prog;
	len = min_t(u64, len, sizeof(line));
	/* The text may come from the network: one line, nothing a terminal acts on. */
	for (i = 0; i < len; i++)
		line[i] = isascii(msg[i]) && isprint(msg[i]) ? msg[i] : '?';
	iu_say(level, "%s/%s: %.*s", p->ext->name, p->name, (int)len, line);
}
EXPORT_SYMBOL_GPL(iu_rt_log);

/* What a program reads by address goes through here, faults and lockdown minded. */
static u64 read(void *to, u32 len, long ret)
{
	if (likely(!ret))
		return 0;
	memset(to, 0, len);
	return ret == -EPERM ? ret : -EFAULT;
}

u64 iu_rt_read_kernel(void *to, u64 from, u32 len)
{
	iu_charge(1 + len / 64);
	return read(to, len, security_locked_down(LOCKDOWN_BPF_READ_KERNEL) ?:
		    copy_from_kernel_nofault(to, (void *)from, len));
}
EXPORT_SYMBOL_GPL(iu_rt_read_kernel);

/* In an interrupt the current task is whoever was interrupted, as for bpf_probe_read_user. */
u64 iu_rt_read_user(void *to, u64 from, u32 len)
{
	iu_charge(1 + len / 64);
	return read(to, len, current->mm ? copy_from_user_nofault(to, (void __user *)from, len) :
		    -EFAULT);
}
EXPORT_SYMBOL_GPL(iu_rt_read_user);
