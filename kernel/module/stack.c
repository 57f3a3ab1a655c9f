// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runtime stacks: IU_STACK_SIZE bytes, aligned to that, one per possible CPU and
 * context level.
 *
 * The guard page. No exported function makes a hole in a mapping, but the kernel
 * keeps the page after every vmap area unmapped for as long as the area exists.
 * So stacks are made in a row of equal areas, each a slot of SLOT bytes:
 *
 *	| stack (mapped) | filler (one page, mapped over and over) | guard |
 *
 * and a slot is used as a stack only if the slot right below it is ours too: the
 * page below the stack is then that slot's guard, which nothing else can ever
 * map while the stacks exist. A run off the lower end faults there always. The
 * first slot of a row only guards. Beyond the upper end lies the filler page,
 * which holds nothing.
 *
 * vmap aligns to the size of the area if it is told VM_IOREMAP; that this holds
 * is checked and not assumed.
 */
#include "stack.h"

#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "dispatch.h"
#include "iu_abi.h"

#define SLOT		(2 * IU_STACK_SIZE)
#define STACK_PAGES	(IU_STACK_SIZE / PAGE_SIZE)
#define SLOT_PAGES	(SLOT / PAGE_SIZE - 1)
#define SPARE_SLOTS	256	/* rows may be broken by others' areas so often */

struct slot {
	struct list_head node;
	void *addr;
	struct page *pages[STACK_PAGES];
};

/* Written by init and exit only. */
static LIST_HEAD(slots);
static struct page *filler;
static unsigned int nstacks;

static void free_slot(struct slot *s)
{
	unsigned int i;

	if (s->addr)
		vunmap(s->addr);
	for (i = 0; i < STACK_PAGES; i++)
		if (s->pages[i])
			__free_page(s->pages[i]);
	kfree(s);
}

static struct slot *new_slot(void)
{
	struct page *pages[SLOT_PAGES];
	struct slot *s = kzalloc(sizeof(*s), GFP_KERNEL);
	unsigned int i;

	if (!s)
		return NULL;
	for (i = 0; i < STACK_PAGES; i++) {
		s->pages[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!s->pages[i])
			goto fail;
		pages[i] = s->pages[i];
	}
	for (; i < SLOT_PAGES; i++)
		pages[i] = filler;
	s->addr = vmap(pages, SLOT_PAGES, VM_MAP | VM_IOREMAP, PAGE_KERNEL);
	if (!s->addr)
		goto fail;
	if (!IS_ALIGNED((unsigned long)s->addr, SLOT)) {
		pr_warn("iu: stacks cannot be aligned on this kernel\n");
		goto fail;
	}
	return s;
fail:
	free_slot(s);
	return NULL;
}

/* Gives slot after slot to CPU after CPU, level after level. */
static void enter_stack(void *addr)
{
	unsigned int cpu, n = nstacks++ / IU_LEVELS;

	for_each_possible_cpu(cpu)
		if (!n--)
			break;
	n = (nstacks - 1) % IU_LEVELS;
	per_cpu(iu_cpu, cpu).stack[n] = (unsigned long)addr + IU_STACK_SIZE;
	per_cpu(iu_cpu, cpu).free[n] = per_cpu(iu_cpu, cpu).stack[n];
}

int iu_stack_init(void)
{
	unsigned int want = num_possible_cpus() * IU_LEVELS, made;
	struct slot *s, *below = NULL;

	filler = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!filler)
		return -ENOMEM;
	for (made = 0; nstacks < want; made++) {
		s = made < want + SPARE_SLOTS ? new_slot() : NULL;
		if (!s) {
			iu_stack_exit();
			return -ENOMEM;
		}
		list_add_tail(&s->node, &slots);
		if (below && s->addr == below->addr + SLOT)
			enter_stack(s->addr);
		below = s;
	}
	return 0;
}

void iu_stack_exit(void)
{
	struct slot *s, *next;

	list_for_each_entry_safe(s, next, &slots, node) {
		list_del(&s->node);
		free_slot(s);
	}
	if (filler)
		__free_page(filler);
	filler = NULL;
	nstacks = 0;
}

u64 iu_stack_bytes(void)
{
	return (u64)nstacks * IU_STACK_SIZE;
}
