/* SPDX-License-Identifier: GPL-2.0-only */
/* The one lock that a program may hold. */
#ifndef IU_LOCK_H
#define IU_LOCK_H

#include <linux/types.h>

#include "dispatch.h"

/* False: not taken, for `cause`. Interrupts are off while it is held. */
bool iu_lock_take(struct iu_frame *f, u32 *lock, enum iu_cause *cause);
/* False: the program does not hold it. */
bool iu_lock_drop(struct iu_frame *f, u32 *lock);

#endif
