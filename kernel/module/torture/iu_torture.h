/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * /dev/iu_torture: calls of one function in a context of the caller's choice, so that
 * a program attached to it runs there. For virtual machines of the torture suite only.
 */
#ifndef IU_TORTURE_H
#define IU_TORTURE_H

#include <linux/types.h>
#include <linux/ioctl.h>

enum iu_torture_context {
	IU_TORTURE_TASK,	/* preemptible */
	IU_TORTURE_IRQS_OFF,	/* a task with interrupts off */
	IU_TORTURE_LOCKED,	/* a task that holds a spin lock */
	IU_TORTURE_SOFTIRQ,	/* a tasklet */
	IU_TORTURE_HARDIRQ,	/* irq_work */
	IU_TORTURE_NMI,
	IU_TORTURE_CONTEXTS
};

#define IU_TORTURE_MAX	64

/*
 * The tracepoint iu_torture_event and iu_torture_point(context, turn) are called `count` times, on the caller's CPU. -EINVAL an
 * unknown context or too many; -ETIMEDOUT the context was not reached in a second.
 */
struct iu_torture_run {
	__u32 context;
	__u32 count;
	__u32 called;			/* out */
	__u32 elsewhere;		/* out: calls that were not in that context */
	__u32 unbalanced;		/* out: calls after which preemption count, RCU nesting or interrupt flag differed */
	__u32 reserved;
	__u64 ns[IU_TORTURE_MAX];	/* out: how long each took */
};

/*
 * Three functions at once on the caller's CPU, `count` times: iu_torture_point by the
 * task; iu_torture_second by a timer that interrupts it (hardirq); iu_torture_third in an NMI, which
 * another CPU that does the same sends whenever its own timer comes. The caller stays on its CPU.
 */
struct iu_torture_nest {
	__u32 count;
	__u32 calls[3];			/* out, of each function on this CPU */
	__u32 deepest;			/* out: most of them at a time */
	__u32 unbalanced;		/* out: as above */
};

/*
 * The next call of a function of the kernel waits for so long, before it does anything, with
 * interrupts as they are. -EBUSY: the last one has not been called yet. ms 0 takes it back.
 */
struct iu_torture_slow {
	char function[64];
	__u32 ms;
	__u32 reserved;
};

#define IU_TORTURE_RUN	_IOWR('T', 0, struct iu_torture_run)
#define IU_TORTURE_NEST	_IOWR('T', 1, struct iu_torture_nest)
#define IU_TORTURE_SLOW	_IOW('T', 2, struct iu_torture_slow)

#endif
