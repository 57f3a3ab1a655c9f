/* SPDX-License-Identifier: GPL-2.0-only */
/* The runtime's side of iu_abi.h: what an extension may call. */
#ifndef IU_RT_H
#define IU_RT_H

#include <linux/types.h>

#include "iu_abi.h"

#define IU_RT_PROTOTYPE(ret, name, args) ret name args;
IU_RT_FUNCTIONS(IU_RT_PROTOTYPE)
#undef IU_RT_PROTOTYPE

/* The address an object's reference to `name` must have; false if it may have none. */
bool iu_rt_symbol(const char *name, u64 *addr);

void iu_rt_init(void);

#endif
