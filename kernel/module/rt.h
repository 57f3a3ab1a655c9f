/* SPDX-License-Identifier: GPL-2.0-only */
/* The runtime's side of iu_abi.h: what an extension may call. */
#ifndef IU_RT_H
#define IU_RT_H

#include <linux/linkage.h>
#include <linux/types.h>

#include "dispatch.h"
#include "iu_abi.h"

#define IU_RT_PROTOTYPE(ret, name, args) ret name args;
IU_RT_FUNCTIONS(IU_RT_PROTOTYPE)
#undef IU_RT_PROTOTYPE

/*
 * The address an object's reference to `name` must have; false if it may have none.
 * *plain: a program that runs without a frame may call it.
 */
bool iu_rt_symbol(const char *name, u64 *addr, bool *plain);

/* Behind iu_rt_poll, in C. */
asmlinkage void iu_poll(unsigned long ip);

/*
 * Back edges are counted, not timed; what is much longer than one pays for it
 * here, so that the clock is looked at in time. Harmless in programs that do not
 * poll: whoever polls sets its own fuel first.
 */
static inline void iu_charge(int edges)
{
	this_cpu_sub(iu_rt_fuel, edges);
}

void iu_rt_init(void);

#endif
