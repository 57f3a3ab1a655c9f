/* SPDX-License-Identifier: GPL-2.0-only */
/* /dev/iu */
#ifndef IU_DEV_H
#define IU_DEV_H

int iu_dev_init(void);
void iu_dev_exit(void);

#endif
