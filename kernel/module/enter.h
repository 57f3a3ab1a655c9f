/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What enter.S knows of the structures of C; dispatch.c asserts all of it. For
 * both, so numbers only.
 */
#ifndef IU_ENTER_H
#define IU_ENTER_H

/* struct iu_prog */
#define IU_PROG_ENTRY		0

/* struct iu_cpu */
#define IU_CPU_FRAME		0
#define IU_CPU_FREE(level)	(8 + 8 * (level))

/* struct iu_frame: four words pushed, the rest only made room for, then what is saved. */
#define IU_FRAME_HELD		24		/* four bytes, all zero: nothing is held */
#define IU_FRAME_REST		216
#define IU_FRAME_SAVED		(4 * 8 + IU_FRAME_REST)
#define IU_FRAME_SIZE		(IU_FRAME_SAVED + 6 * 8)

/* Bits of the preemption count that say which of the stacks to take. */
#define IU_PC_SOFTIRQ		0x100
#define IU_PC_HARDIRQ		0xf0000
#define IU_PC_NMI		0xf00000

#endif
