/* SPDX-License-Identifier: GPL-2.0-only */
/* All that differs between the kernels this module builds for (6.1 to 6.12). */
#ifndef IU_COMPAT_H
#define IU_COMPAT_H

#include <linux/version.h>

#ifdef __ASSEMBLY__

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
#define IU_UNWIND_STOP UNWIND_HINT_EMPTY
#else
#define IU_UNWIND_STOP UNWIND_HINT_UNDEFINED
#endif

/* This CPU's preemption count. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define IU_PREEMPT_COUNT PER_CPU_VAR(__preempt_count)
#else
#define IU_PREEMPT_COUNT PER_CPU_VAR(pcpu_hot + 8)	/* asserted below */
#endif

#else

#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/module.h>

#include "elf.h"

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
static_assert(offsetof(struct pcpu_hot, preempt_count) == 8);
#endif

/* Marks of a kfunc: 6.1 knows neither them nor the set macro. */
#ifndef __bpf_kfunc
#define __bpf_kfunc __used noinline
#endif
#ifndef __bpf_kfunc_start_defs
#define __bpf_kfunc_start_defs() \
	__diag_push(); \
	__diag_ignore(GCC, 8, "-Wmissing-declarations", "kfuncs are found by BTF"); \
	__diag_ignore(GCC, 8, "-Wmissing-prototypes", "kfuncs are found by BTF")
#define __bpf_kfunc_end_defs() __diag_pop()
#endif
#ifndef BTF_KFUNCS_START
#define BTF_KFUNCS_START(name) BTF_SET8_START(name)
#define BTF_KFUNCS_END(name) BTF_SET8_END(name)
#endif

/*
 * From here on tracepoint and perf_event programs, kprobes, cgroups and socket
 * filters may call kfuncs, and filters tell apart the types that share a class.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#define IU_KFUNC_FILTERS
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#define IU_IMPORT_NS MODULE_IMPORT_NS(BPF_INTERNAL)
#else
#define IU_IMPORT_NS struct iu_no_ns	/* bpf_map_get has no namespace yet */
#endif

/* One of the three memories of a loaded module; false if it has none of that kind. */
static inline bool iu_mod_memory(const struct module *mod, enum iu_elf_kind kind,
				 unsigned long *base, unsigned long *size)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	static const enum mod_mem_type type[IU_KINDS] = {
		[IU_KIND_TEXT] = MOD_TEXT,
		[IU_KIND_RO] = MOD_RODATA,
		[IU_KIND_RW] = MOD_DATA,
	};

	*base = (unsigned long)mod->mem[type[kind]].base;
	*size = mod->mem[type[kind]].size;
#else
	const struct module_layout *l = &mod->core_layout;

	*base = (unsigned long)l->base;
	switch (kind) {
	case IU_KIND_TEXT:
		*size = l->text_size;
		break;
	case IU_KIND_RO:
		*base += l->text_size;
		*size = l->ro_size - l->text_size;
		break;
	default:
		*base += l->ro_after_init_size;
		*size = l->size - l->ro_after_init_size;
		break;
	}
#endif
	return *size != 0;
}

/* Bytes of memory of another kind: for init code, or read-only after init. */
static inline unsigned long iu_mod_other_memory(const struct module *mod)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	return mod->mem[MOD_RO_AFTER_INIT].size + mod->mem[MOD_INIT_TEXT].size +
	       mod->mem[MOD_INIT_DATA].size + mod->mem[MOD_INIT_RODATA].size;
#else
	return mod->core_layout.ro_after_init_size - mod->core_layout.ro_size +
	       mod->init_layout.size;
#endif
}

/*
 * Do values of this map hold things that only the verifier keeps well typed:
 * timers, kernel pointers, lists? A bpf_spin_lock counts too: the kernel skips
 * it when it copies a value, so a native view of the value would disagree.
 */
static inline bool iu_map_has_special_fields(const struct bpf_map *map)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	return !IS_ERR_OR_NULL(map->record);
#else
	return map_value_has_spin_lock(map) || map_value_has_timer(map) ||
	       map_value_has_kptrs(map);
#endif
}

#endif /* __ASSEMBLY__ */
#endif
