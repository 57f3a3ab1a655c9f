// SPDX-License-Identifier: GPL-2.0-only
/*
 * Slots. A slot pins iu.ko. What a slot ran before the first uncommitted ATTACH of
 * a file is remembered, and comes back if the file is closed without COMMIT.
 */
#include "slot.h"

#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>

#include "dispatch.h"
#include "ext.h"
#include "hook.h"
#include "kfunc.h"

static struct slot {
	u32 hook;			/* IU_HOOK_NONE: free */
	struct file *owner;		/* made it and did not commit */
	struct file *attacher;		/* attached last and did not commit */
	struct iu_prog *prog;		/* what it is to run; NULL: nothing */
	struct iu_prog *before;		/* what it was before that ATTACH; NULL: nothing */
} slots[IU_MAX_SLOTS];			/* under iu_mutex */

struct iu_prog *iu_slot_table[IU_HOOK_MAX][IU_MAX_SLOTS];

/* What an empty slot runs. */
static struct iu_prog nothing[IU_HOOK_MAX];
static DEFINE_PER_CPU(struct iu_prog_cpu, nothing_cpu);

static u32 run_nothing(void *ctx, const struct iu_prog *p)
{
	return p->on_fault;
}

void iu_slot_init(void)
{
	u32 hook, nr;

	for (hook = 0; hook < IU_HOOK_MAX; hook++) {
		const struct iu_hook_row *row = iu_hook_row(hook);

		nothing[hook].entry = (unsigned long)run_nothing;
		nothing[hook].cpu = &nothing_cpu;
		nothing[hook].mode = IU_MODE_PLAIN;
		nothing[hook].hook = hook;
		nothing[hook].on_fault = row ? row->refused : 0;
		for (nr = 0; nr < IU_MAX_SLOTS; nr++)
			iu_slot_table[hook][nr] = &nothing[hook];
	}
}

/* Numbers are given out in turn, so that a stale stub rarely meets a new slot. Not 0. */
static u32 next_slot = 1;

static struct iu_prog *current_prog(u32 nr)
{
	return slots[nr].prog;
}

static void put_prog(u32 nr, struct iu_prog *p)
{
	struct iu_prog *old = current_prog(nr);

	if (old)
		WRITE_ONCE(old->slot, ~0u);
	if (p)
		WRITE_ONCE(p->slot, nr);
	slots[nr].prog = p;
	/* A run that finds it must find all that was written to it before. */
	smp_store_release(&iu_slot_table[slots[nr].hook][nr], p ?: &nothing[slots[nr].hook]);
}

static void clear_slot(u32 nr)
{
	put_prog(nr, NULL);
	memset(&slots[nr], 0, sizeof(slots[nr]));
	module_put(THIS_MODULE);
}

int iu_slot_new(struct file *file, struct iu_slot_new *a)
{
	u32 i, nr;

	if (a->reserved)
		return -EINVAL;
	if (!iu_hook_row(a->hook) || !(iu_hooks_offered() & BIT(a->hook)))
		return -EOPNOTSUPP;
	mutex_lock(&iu_mutex);
	for (i = 0; i < IU_MAX_SLOTS; i++) {
		nr = (next_slot + i) % IU_MAX_SLOTS;
		if (nr && slots[nr].hook == IU_HOOK_NONE)
			break;
	}
	if (i < IU_MAX_SLOTS) {
		__module_get(THIS_MODULE);
		slots[nr].hook = a->hook;
		slots[nr].owner = file;
		next_slot = (nr + 1) % IU_MAX_SLOTS;
		a->slot = nr;
	}
	mutex_unlock(&iu_mutex);
	return i < IU_MAX_SLOTS ? 0 : -ENOSPC;
}

int iu_slot_free(u32 nr)
{
	int ret = -ENOENT;

	mutex_lock(&iu_mutex);
	if (nr < IU_MAX_SLOTS && slots[nr].hook != IU_HOOK_NONE) {
		clear_slot(nr);
		ret = 0;
	}
	mutex_unlock(&iu_mutex);
	return ret;
}

int iu_slot_detach(u32 nr)
{
	int ret = -ENOENT;

	mutex_lock(&iu_mutex);
	if (nr < IU_MAX_SLOTS && slots[nr].hook != IU_HOOK_NONE) {
		put_prog(nr, NULL);
		slots[nr].attacher = NULL;
		slots[nr].before = NULL;
		ret = 0;
	}
	mutex_unlock(&iu_mutex);
	/* The program has left the slot for good when this returns. */
	if (!ret)
		synchronize_rcu();
	return ret;
}

static struct iu_prog *item_prog(const struct iu_attach_one *it)
{
	struct iu_ext *ext = iu_ext_find(it->id);

	return ext && it->prog < ext->nprogs ? &ext->prog[it->prog] : NULL;
}

static int check_item(struct file *file, const struct iu_attach_one *items, u32 i)
{
	const struct iu_attach_one *it = &items[i];
	struct iu_prog *p = item_prog(it);
	struct slot *s;
	u32 j;

	if (!p || it->slot >= IU_MAX_SLOTS || slots[it->slot].hook == IU_HOOK_NONE)
		return -ENOENT;
	s = &slots[it->slot];
	if (s->hook != p->hook)
		return -EINVAL;
	if (it->budget_ns && (it->budget_ns < 1000 || it->budget_ns > NSEC_PER_SEC))
		return -EINVAL;
	if (it->max_faults > INT_MAX || (it->window_ns && !it->max_faults))
		return -EINVAL;
	if (it->window_ns &&
	    (it->window_ns < NSEC_PER_MSEC || it->window_ns > 3600ull * NSEC_PER_SEC))
		return -EINVAL;
	/* Counters and limits are a program's, so it runs in one slot only. */
	if (p->slot != ~0u && p->slot != it->slot)
		return -EBUSY;
	if (s->attacher && s->attacher != file)
		return -EBUSY;
	for (j = 0; j < i; j++)
		if (items[j].slot == it->slot ||
		    (items[j].id == it->id && items[j].prog == it->prog))
			return -EINVAL;
	return iu_ext_complete(p->ext);
}

static void attach_one(struct file *file, const struct iu_attach_one *it)
{
	struct iu_prog *p = item_prog(it);
	struct slot *s = &slots[it->slot];

	if (!s->attacher) {
		s->attacher = file;
		s->before = current_prog(it->slot);
	}
	p->budget_ns = it->budget_ns ?: 10 * NSEC_PER_MSEC;
	p->max_faults = it->max_faults;
	p->window_ns = it->window_ns;
	iu_prog_arm(p);
	p->ext->started = true;
	put_prog(it->slot, p);
	/* What came before it was not for it to see. */
	iu_ext_gap(p->ext);
}

int iu_slot_attach(struct file *file, const struct iu_attach_one *items, u32 count)
{
	int ret = 0;
	u32 i;

	mutex_lock(&iu_mutex);
	for (i = 0; i < count && !ret; i++)
		ret = check_item(file, items, i);
	for (i = 0; i < count && !ret; i++)
		attach_one(file, &items[i]);
	mutex_unlock(&iu_mutex);
	return ret;
}

bool iu_slot_uses(const struct iu_ext *ext)
{
	u32 nr;

	for (nr = 0; nr < IU_MAX_SLOTS; nr++) {
		struct iu_prog *p = current_prog(nr), *b = slots[nr].before;

		if ((p && p->ext == ext) || (b && b->ext == ext))
			return true;
	}
	return false;
}

void iu_slot_evict(const struct iu_ext *ext)
{
	u32 nr;

	for (nr = 0; nr < IU_MAX_SLOTS; nr++) {
		struct iu_prog *p = current_prog(nr), *b = slots[nr].before;

		if (p && p->ext == ext)
			put_prog(nr, NULL);
		if (b && b->ext == ext)
			slots[nr].before = NULL;
	}
}

void iu_slot_commit(struct file *file)
{
	u32 nr;

	for (nr = 0; nr < IU_MAX_SLOTS; nr++) {
		if (slots[nr].owner == file)
			slots[nr].owner = NULL;
		if (slots[nr].attacher == file) {
			slots[nr].attacher = NULL;
			slots[nr].before = NULL;
		}
	}
}

void iu_slot_close(struct file *file)
{
	u32 nr;

	for (nr = 0; nr < IU_MAX_SLOTS; nr++) {
		if (slots[nr].owner == file) {
			clear_slot(nr);
		} else if (slots[nr].attacher == file) {
			struct iu_prog *b = slots[nr].before;

			/* It may run in another slot by now: then nothing comes back. */
			put_prog(nr, b && b->slot != ~0u && b->slot != nr ? NULL : b);
			slots[nr].attacher = NULL;
			slots[nr].before = NULL;
		}
	}
}
