/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a program holds. Its own destructors give things back when it returns;
 * when it ends early they do not run, and the landing path gives back what stands
 * here: held[] last first, then the lock, RCU and the interrupt flag.
 *
 * Only the CPU of the run touches its frame, and an interrupting run has a frame
 * of its own, so nothing here is locked. A thing is noted after it was got and
 * forgotten before it is given back: a fault starts in neither.
 */
#ifndef IU_HELD_H
#define IU_HELD_H

#include <linux/irqflags.h>

#include "dispatch.h"

/* What is nested deeper than this is a fault; no counter gets near its end. */
#define IU_NEST_MAX	250

static inline bool iu_held_room(const struct iu_frame *f)
{
	return f->nheld < IU_HELD_MAX;
}

/* There must be room. */
static inline void iu_held_add(struct iu_frame *f, void (*release)(struct iu_held *), void *object)
{
	f->held[f->nheld].release = release;
	f->held[f->nheld].object = object;
	f->nheld++;
}

/* False: it does not hold that. Usually it is the last. */
static inline bool iu_held_remove(struct iu_frame *f, void (*release)(struct iu_held *),
				  const void *object)
{
	u32 i = f->nheld;

	while (i--) {
		if (f->held[i].object != object || f->held[i].release != release)
			continue;
		f->nheld--;
		for (; i < f->nheld; i++)
			f->held[i] = f->held[i + 1];
		return true;
	}
	return false;
}

static __always_inline void iu_irq_note(struct iu_frame *f, unsigned long flags)
{
	if (!f->irqs_off++)
		f->irq_flags = flags;
}

static __always_inline void iu_irq_on(struct iu_frame *f)
{
	if (!--f->irqs_off)
		local_irq_restore(f->irq_flags);
}

void iu_held_release(struct iu_frame *f);

#endif
