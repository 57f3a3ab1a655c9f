/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef IU_STACK_H
#define IU_STACK_H

#include <linux/types.h>

/* Allocates the runtime stacks of all possible CPUs and enters them in iu_cpu. */
int iu_stack_init(void);
void iu_stack_exit(void);

/* Bytes mapped for stacks. */
u64 iu_stack_bytes(void);

#endif
