/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the runtime has to know about a hook: one row each. Pure, since the check
 * of an object's tables needs it and is built in user space too.
 *
 * A new hook is a row in hook.c, a kfunc in the hook_*.c of its class, which calls
 * iu_run_slot (dispatch.h), and for a new class a line in iu_dispatch_init.
 */
#ifndef IU_HOOK_H
#define IU_HOOK_H

#include "elf.h"

struct iu_hook_row {
	bool served;
	__s32 refused;			/* verdict of a stub whose slot runs nothing */
	__s32 least, most;		/* verdicts that a program may declare for its faults */
	const char * const *verdict;	/* names, from `least` on; NULL: plain numbers */
	bool args, ret;			/* programs have typed arguments, a typed return value */
};

/* NULL: not served by this runtime. */
const struct iu_hook_row *iu_hook_row(__u32 hook);

#endif
