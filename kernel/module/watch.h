/* SPDX-License-Identifier: GPL-2.0-only */
/* The watchdog of runs. */
#ifndef IU_WATCH_H
#define IU_WATCH_H

#include <linux/types.h>

int iu_watch_init(void);
void iu_watch_exit(void);

/* Whether there is anything to watch; with iu_mutex held. */
void iu_watch(bool want);

#endif
