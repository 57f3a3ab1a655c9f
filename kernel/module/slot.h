/* SPDX-License-Identifier: GPL-2.0-only */
/* Slots: the numbers stubs carry, and what each runs. */
#ifndef IU_SLOT_H
#define IU_SLOT_H

#include <linux/types.h>

#include "iu_abi.h"
#include "iu_uapi.h"

struct file;
struct iu_ext;
struct iu_prog;

/*
 * What a run takes: one table per hook, so that what is found there is of the hook
 * by construction. Never NULL: a slot that runs nothing has a program of the runtime
 * that returns the hook's `refused` verdict. Written under iu_mutex.
 */
extern struct iu_prog *iu_slot_table[IU_HOOK_MAX][IU_MAX_SLOTS];

void iu_slot_init(void);
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
