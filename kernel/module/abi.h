/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Checks what the ABI sections of an object say, before anything is relocated.
 * Pure like elf.h, and for the same reason.
 */
#ifndef IU_ABI_CHECK_H
#define IU_ABI_CHECK_H

#include "elf.h"

/* Programs whose proven bound is at most this run on the stack they are called on. */
#define IU_STACK_INLINE	1024u

struct iu_abi_counts {
	__u32 progs, maps, params, krelocs;
};

/* 0, -ENOEXEC or -E2BIG, with e->why and e->where set. */
int iu_abi_check(struct iu_elf *e, struct iu_abi_counts *n);

/* Is `value` one that `p` admits? `p` has passed iu_abi_check. */
bool iu_abi_param_ok(const struct iu_abi_param *p, __u64 value);

/* May what `set` says of the kernel stand in `r`? `r` has passed iu_abi_check; only results of `set` count. */
bool iu_abi_kreloc_ok(const struct iu_abi_kreloc *r, const struct iu_abi_kreloc *set);

#endif
