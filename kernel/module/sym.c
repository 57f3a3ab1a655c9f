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

static const struct {
	const char *name;
	const void *addr;
} table[] = {
#define RUNTIME(ret, sym, args) { #sym, sym },
	IU_RT_FUNCTIONS(RUNTIME)
#define KERNEL(sym) { #sym, NAME(sym) },
	IU_KERNEL_SYMBOLS(KERNEL)
	{ IU_RT_FUEL, (const void __force *)&iu_rt_fuel },
};

bool iu_rt_symbol(const char *name, u64 *addr)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		if (!strcmp(table[i].name, name)) {
			*addr = (unsigned long)table[i].addr;
			return true;
		}
	}
	return false;
}
