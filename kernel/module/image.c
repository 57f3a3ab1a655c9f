// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's module loader relocates and patches what user space gave it, so
 * the image is compared with what the loader must have made of the object: each
 * section is copied out of the object, relocated against our own table of
 * allowed symbols, its returns brought into the form the kernel gave to two
 * returns of ours, and then all bytes must agree.
 *
 * Beside that the module must have nothing that acts by itself or lets others
 * act on it (init and exit code, parameters, exports, exception fixups, sites to
 * be patched, ...), its sections must not overlap, and its executable memory
 * must hold nothing but them.
 */
#include "image.h"

#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "compat.h"
#include "dispatch.h"
#include "ext.h"
#include "rt.h"

/* Live modules, for find_module is not exported. */
struct seen {
	struct list_head node;
	struct module *mod;
};

static LIST_HEAD(seen);
static DEFINE_MUTEX(seen_lock);		/* guards seen */

static int on_module(struct notifier_block *nb, unsigned long state, void *data)
{
	struct module *mod = data;
	struct seen *s, *next;

	switch (state) {
	case MODULE_STATE_LIVE:
		/* Out of memory: the module is then not there for us, which is safe. */
		s = kmalloc(sizeof(*s), GFP_KERNEL);
		if (!s)
			break;
		s->mod = mod;
		mutex_lock(&seen_lock);
		list_add(&s->node, &seen);
		mutex_unlock(&seen_lock);
		break;
	case MODULE_STATE_GOING:
		mutex_lock(&seen_lock);
		list_for_each_entry_safe(s, next, &seen, node) {
			if (s->mod == mod) {
				list_del(&s->node);
				kfree(s);
			}
		}
		mutex_unlock(&seen_lock);
		break;
	}
	return NOTIFY_OK;
}

static struct notifier_block module_nb = { .notifier_call = on_module };

int iu_image_init(void)
{
	return register_module_notifier(&module_nb);
}

void iu_image_exit(void)
{
	struct seen *s, *next;

	unregister_module_notifier(&module_nb);
	list_for_each_entry_safe(s, next, &seen, node)
		kfree(s);
	INIT_LIST_HEAD(&seen);
}

struct module *iu_image_get(const char *name)
{
	struct module *found = NULL;
	struct seen *s;

	/* GOING takes the lock too, so a module in the list is still there. */
	mutex_lock(&seen_lock);
	list_for_each_entry(s, &seen, node) {
		if (!strcmp(s->mod->name, name)) {
			if (try_module_get(s->mod))
				found = s->mod;
			break;
		}
	}
	mutex_unlock(&seen_lock);
	return found;
}

unsigned long iu_image_bytes(const struct module *mod)
{
	unsigned long base, size, sum = 0;
	enum iu_elf_kind kind;

	for (kind = IU_KIND_TEXT; kind < IU_KINDS; kind++)
		if (iu_mod_memory(mod, kind, &base, &size))
			sum += size;
	return sum;
}

/* What a wrapper has no business to have; NULL if it has none of it. */
static const char *extras(const struct module *mod)
{
	if (mod->init)
		return "init code";
#ifdef CONFIG_MODULE_UNLOAD
	if (mod->exit)
		return "exit code";
#endif
	if (iu_mod_other_memory(mod))
		return "memory for init code or read-only after init";
	if (mod->num_kp)
		return "parameters";
	if (mod->num_syms || mod->num_gpl_syms)
		return "exported symbols";
	if (mod->num_exentries)
		return "exception fixups";
	if (mod->percpu_size)
		return "per-CPU variables";
	if (mod->noinstr_text_size)
		return "noinstr code";
#ifdef CONFIG_UNWINDER_ORC
	if (mod->arch.num_orcs)
		return "unwind tables";
#endif
#ifdef CONFIG_GENERIC_BUG
	if (mod->num_bugs)
		return "bug tables";
#endif
#ifdef CONFIG_TRACEPOINTS
	if (mod->num_tracepoints)
		return "tracepoints";
#endif
#ifdef CONFIG_TREE_SRCU
	if (mod->num_srcu_structs)
		return "SRCU domains";
#endif
#ifdef CONFIG_BPF_EVENTS
	if (mod->num_bpf_raw_events)
		return "BPF events";
#endif
#ifdef CONFIG_DEBUG_INFO_BTF_MODULES
	if (mod->btf_data_size)
		return "BTF";
#endif
#ifdef CONFIG_JUMP_LABEL
	if (mod->num_jump_entries)
		return "jump labels";
#endif
#ifdef CONFIG_TRACING
	if (mod->num_trace_bprintk_fmt)
		return "trace formats";
#endif
#ifdef CONFIG_EVENT_TRACING
	if (mod->num_trace_events || mod->num_trace_evals)
		return "trace events";
#endif
#ifdef CONFIG_FTRACE_MCOUNT_RECORD
	if (mod->num_ftrace_callsites)
		return "ftrace call sites";
#endif
#ifdef CONFIG_KPROBES
	if (mod->kprobes_text_size || mod->num_kprobe_blacklist)
		return "kprobe sections";
#endif
#ifdef CONFIG_HAVE_STATIC_CALL_INLINE
	if (mod->num_static_call_sites)
		return "static calls";
#endif
#ifdef CONFIG_LIVEPATCH
	if (mod->klp)
		return "live patches";
#endif
#ifdef CONFIG_PRINTK_INDEX
	if (mod->printk_index_size)
		return "printk index";
#endif
#ifdef CONFIG_CONSTRUCTORS
	if (mod->num_ctors)
		return "constructors";
#endif
#ifdef CONFIG_FUNCTION_ERROR_INJECTION
	if (mod->num_ei_funcs)
		return "error injection points";
#endif
	return NULL;
}

static bool resolve(void *arg, const char *name, u64 *addr)
{
	bool *harmless = arg, plain;

	if (!iu_rt_symbol(name, addr, &plain))
		return false;
	*harmless &= plain;
	return true;
}

/*
 * Rewrites an extension's return to the form of our sample at the same place in a
 * cache line: a jump is retargeted, anything else (a bare return) is copied.
 */
static void return_site(void *arg, u64 addr, u8 insn[5])
{
	const u8 *sample = addr & 0x20 ? iu_return_high : iu_return_low;
	s32 rel;

	memcpy(insn, sample, 5);
	if (sample[0] != 0xe9)
		return;
	memcpy(&rel, sample + 1, 4);
	rel += (s32)((unsigned long)sample - addr);
	memcpy(insn + 1, &rel, 4);
}

static const struct iu_elf_ops ops = { .resolve = resolve, .return_site = return_site };

static int by_addr(const void *a, const void *b)
{
	const struct iu_elf_section *x = *(const struct iu_elf_section **)a;
	const struct iu_elf_section *y = *(const struct iu_elf_section **)b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static bool all_zero(unsigned long from, unsigned long to)
{
	return from >= to || !memchr_inv((void *)from, 0, to - from);
}

/* Sections in place and apart, and executable memory that is theirs or zero. */
static int check_layout(const struct module *mod, struct iu_elf *e, char *msg)
{
	struct iu_elf_section **list, *s;
	unsigned long base, size, end;
	u32 i, n = 0;
	int ret = -EBADMSG;

	list = kmalloc_array(IU_ABI_MAX_SECTIONS, sizeof(*list), GFP_KERNEL);
	if (!list)
		return -ENOMEM;
	for (i = 1; i < e->nsec; i++) {
		s = &e->sec[i];
		if (s->kind == IU_KIND_NONE || !s->size)
			continue;
		if (!iu_mod_memory(mod, s->kind, &base, &size) || s->addr < base ||
		    s->addr - base > size || s->size > size - (s->addr - base)) {
			iu_refuse(msg, "%s: section %u is not in the module's memory of its kind",
				  mod->name, i);
			goto out;
		}
		list[n++] = s;
	}
	sort(list, n, sizeof(*list), by_addr, NULL);
	for (i = 1; i < n; i++) {
		if (list[i - 1]->addr + list[i - 1]->size > list[i]->addr) {
			iu_refuse(msg, "%s: two sections overlap", mod->name);
			goto out;
		}
	}

	if (!iu_mod_memory(mod, IU_KIND_TEXT, &base, &size)) {
		iu_refuse(msg, "%s: no code", mod->name);
		goto out;
	}
	end = base;
	for (i = 0; i < n; i++) {
		if (list[i]->kind != IU_KIND_TEXT)
			continue;
		if (!all_zero(end, list[i]->addr))
			break;
		end = list[i]->addr + list[i]->size;
	}
	if (i < n || !all_zero(end, base + size)) {
		iu_refuse(msg, "%s: code that is not the object's", mod->name);
		goto out;
	}
	ret = 0;
out:
	kfree(list);
	return ret;
}

static int check_bytes(const struct module *mod, struct iu_elf *e, u32 i, u8 *want,
		       bool *harmless, char *msg)
{
	const struct iu_elf_section *s = &e->sec[i];
	const u8 *have = (const u8 *)(unsigned long)s->addr;
	u64 at;
	int ret;

	ret = iu_elf_apply(e, i, want, &ops, harmless);
	if (ret) {
		iu_refuse(msg, "%s: section %u: %s", mod->name, i, e->why);
		return ret;
	}
	if (!memcmp(want, have, s->size))
		return 0;
	for (at = 0; at < s->size && want[at] == have[at]; at++)
		;
	iu_refuse(msg, "%s: image differs from the object in section %u at +0x%llx",
		  mod->name, i, at);
	return -EBADMSG;
}

int iu_image_check(const struct module *mod, struct iu_elf *e, bool *harmless, char *msg)
{
	const char *extra = extras(mod);
	u64 largest = 1;
	u8 *want;
	int ret;
	u32 i;

	if (extra) {
		iu_refuse(msg, "%s: the wrapper has %s", mod->name, extra);
		return -EBADMSG;
	}
	ret = check_layout(mod, e, msg);
	if (ret)
		return ret;
	for (i = 1; i < e->nsec; i++)
		if (e->sec[i].kind != IU_KIND_NONE)
			largest = max(largest, e->sec[i].size);
	want = kvmalloc(largest, GFP_KERNEL);
	if (!want)
		return -ENOMEM;
	*harmless = true;
	for (i = 1; i < e->nsec && !ret; i++) {
		if (e->sec[i].kind != IU_KIND_NONE && e->sec[i].size)
			ret = check_bytes(mod, e, i, want, harmless, msg);
		cond_resched();
	}
	kvfree(want);
	return ret;
}
