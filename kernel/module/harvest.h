/* SPDX-License-Identifier: GPL-2.0-only */
/* Addresses of eBPF helpers. */
#ifndef IU_HARVEST_H
#define IU_HARVEST_H

#include <linux/types.h>

#include "iu_uapi.h"

/* As the kernel's BPF_CALL_n makes them. NULL: not harvested. */
typedef u64 (*iu_helper)(u64, u64, u64, u64, u64);

struct iu_helpers {
	iu_helper xdp_adjust_head;
	iu_helper xdp_adjust_tail;
};
extern struct iu_helpers iu_helpers;

int iu_harvest(const struct iu_harvest *a);
u32 iu_harvested(void);		/* bit per enum iu_hook */

#endif
