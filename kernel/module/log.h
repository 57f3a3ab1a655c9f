/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lines of programs, and about them, in the kernel's log. A program runs where
 * nothing may be printed, such as in the scheduler with its lock held: printing may
 * wake whoever waits for the console. So a line is kept and printed by irq_work, as
 * soon as interrupts are on again.
 */
#ifndef IU_LOG_H
#define IU_LOG_H

#include <linux/compiler.h>
#include <linux/types.h>

#define IU_LINE_MAX	512	/* bytes of a line, with the NUL; the rest is cut off */

/* One line, without a newline; level as in KERN_*. Any context, preemption off. */
__printf(2, 3) void iu_say(u32 level, const char *fmt, ...);

#define iu_warn(fmt, ...)	iu_say(4, fmt, ##__VA_ARGS__)

void iu_log_init(void);
void iu_log_exit(void);

#endif
