// SPDX-License-Identifier: GPL-2.0-only
/* The least that is an extension. */
#include "object.h"

static u32 pass(void *ctx)
{
	(void)ctx;
	return 2;
}

INFO("minimal", "1.0.0");
PROGRAMS(PROGRAM("pass", IU_HOOK_XDP, 0, 64, pass, 2));
