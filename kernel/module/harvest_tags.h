/* SPDX-License-Identifier: GPL-2.0-only */
/* Made by harvest_tags.sh from kernel/stubs/harvest_bpfel.o. */
#ifndef IU_HARVEST_TAGS_H
#define IU_HARVEST_TAGS_H

/* Calls bpf_xdp_adjust_head, then bpf_xdp_adjust_tail. */
#define IU_HARVEST_XDP_TAG { 0x09, 0xff, 0x80, 0xcf, 0x5f, 0xab, 0x26, 0xd1 }

#endif
