/* SPDX-License-Identifier: GPL-2.0-only */
/* Slots: the numbers stubs carry, and what each runs. */
#ifndef IU_SLOT_H
#define IU_SLOT_H

#include <linux/nospec.h>
#include <linux/rcupdate.h>

#include "ext.h"

/* Written under iu_mutex, read in runs (preemption off, thus RCU readers). */
extern struct iu_prog __rcu *iu_slot_prog[IU_MAX_SLOTS];

static __always_inline struct iu_prog *iu_slot_get(u32 nr)
{
	if (unlikely(nr >= IU_MAX_SLOTS))
		return NULL;
	nr = array_index_nospec(nr, IU_MAX_SLOTS);
	return rcu_dereference_sched(iu_slot_prog[nr]);
}

int iu_slot_new(struct file *file, struct iu_slot_new *a);
int iu_slot_free(u32 nr);
int iu_slot_attach(struct file *file, const struct iu_attach_one *items, u32 count);
int iu_slot_detach(u32 nr);

/* With iu_mutex held. */
bool iu_slot_uses(const struct iu_ext *ext);
void iu_slot_evict(const struct iu_ext *ext);	/* out of all slots */
void iu_slot_commit(struct file *file);
void iu_slot_close(struct file *file);

#endif
