// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every symbol an extension may refer to. The table is what relocations are
 * recomputed with; that it refers to the kernel's own symbols also puts their
 * CRCs into this module's __versions, where user space gets those of a wrapper.
 */
#include <linux/kernel.h>
#include <linux/string.h>

#include "dispatch.h"
#include "rt.h"

/* Only addresses are taken, so one type does for all; some are not C functions. */
#define NAME(sym) iu_sym_##sym
#define DECLARE(sym) extern const char NAME(sym)[] __asm__(#sym);
IU_KERNEL_SYMBOLS(DECLARE)

/*
 * What never ends a run, never looks at its frame and holds nothing for it when it
 * has returned. An object that refers to nothing else runs without a frame, so
 * this is a list of what is known to be so, not of exceptions.
 */
#define IU_PLAIN_FUNCTIONS(X) \
	X(iu_rt_map_lookup) X(iu_rt_map_update) X(iu_rt_map_delete) \
	X(iu_rt_ktime_ns) X(iu_rt_cpu) X(iu_rt_random) \
	X(iu_rt_map_push) X(iu_rt_map_pop) X(iu_rt_map_peek) X(iu_rt_map_redirect) \
	X(iu_rt_ringbuf_output) X(iu_rt_perf_output) \
	X(iu_rt_read_kernel) X(iu_rt_read_user) \
	X(iu_rt_task_id) X(iu_rt_task_user) X(iu_rt_task_comm) \
	X(iu_rt_xdp_adjust_head) X(iu_rt_xdp_adjust_tail) \
	X(iu_rt_xdp_len) X(iu_rt_xdp_load) X(iu_rt_xdp_store) X(iu_rt_xdp_redirect) \
	X(iu_rt_tc_pull) X(iu_rt_tc_load) X(iu_rt_tc_store) \
	X(iu_rt_tc_change_head) X(iu_rt_tc_change_tail) X(iu_rt_tc_adjust_room) \
	X(iu_rt_tc_vlan_push) X(iu_rt_tc_vlan_pop) X(iu_rt_tc_csum_l3) X(iu_rt_tc_csum_l4) \
	X(iu_rt_tc_redirect) X(iu_rt_tc_clone)

static const struct {
	const char *name;
	const void *addr;
	bool plain;
} table[] = {
	/* First, since the first of a name is found. */
#define PLAIN(sym) { #sym, sym, true },
	IU_PLAIN_FUNCTIONS(PLAIN)
#define KERNEL(sym) { #sym, NAME(sym), true },
	IU_KERNEL_SYMBOLS(KERNEL)
#define RUNTIME(ret, sym, args) { #sym, sym, false },
	IU_RT_FUNCTIONS(RUNTIME)
	{ IU_RT_FUEL, (const void __force *)&iu_rt_fuel, false },
};

bool iu_rt_symbol(const char *name, u64 *addr, bool *plain)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		if (!strcmp(table[i].name, name)) {
			*addr = (unsigned long)table[i].addr;
			*plain = table[i].plain;
			return true;
		}
	}
	return false;
}
