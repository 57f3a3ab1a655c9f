/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads an extension object: one ELF64 ET_REL for x86-64, little endian.
 *
 * Pure: no allocation, no I/O, no kernel service, so that user space can build,
 * test and fuzz the very code that the kernel runs. Nothing is trusted; offsets
 * and sizes are checked before use and nothing needs to be aligned.
 *
 * Refused: REL (not RELA), TLS, common and absolute symbols, extended section
 * numbers, more than one symbol table, an allocated section whose name is not
 * in iu_abi.h, writable code, relocations other than R_X86_64_{NONE,64,PC32,
 * PLT32,32S}, and relocations beyond the limits of iu_abi.h.
 */
#ifndef IU_ELF_H
#define IU_ELF_H

#include <linux/types.h>

#ifndef __KERNEL__
#include <stdbool.h>
#define IU_ABI_NO_TYPES	/* <linux/types.h> has them */
#endif
#include "iu_abi.h"

enum iu_elf_kind {
	IU_KIND_NONE,		/* not allocated */
	IU_KIND_TEXT,
	IU_KIND_RO,
	IU_KIND_RW,
	IU_KINDS,
};

struct iu_elf_section {
	const char *name;
	const __u8 *data;	/* NULL: zeros (NOBITS) */
	__u64 size;
	__u64 addr;		/* where the caller says it was put */
	const __u8 *rela;	/* unaligned Elf64_Rela[nrela] */
	__u32 nrela;
	enum iu_elf_kind kind;
};

struct iu_elf {
	const __u8 *buf;
	__u32 len;
	__u32 nsec;
	__u32 nsym;
	const __u8 *symtab;	/* unaligned Elf64_Sym[nsym] */
	const char *strtab;
	__u32 strsz;
	/* Section index, 0 where there is none. */
	__u32 info, prog, map, param, kreloc, text;
	/* Why the last call failed: a constant, and the section it is about. */
	const char *why;
	__u32 where;
	struct iu_elf_section sec[IU_ABI_MAX_SECTIONS];
};

/* How the relocations of one section are to come out. */
struct iu_elf_ops {
	/* Address of a symbol that the object does not define; false: not allowed. */
	bool (*resolve)(void *arg, const char *name, __u64 *addr);
	/*
	 * The five bytes of `jmp __x86_return_thunk` at `addr`: rewrite them to
	 * what the kernel makes of such a site.
	 */
	void (*return_site)(void *arg, __u64 addr, __u8 insn[5]);
};

/* 0, -ENOEXEC (breaks the ABI) or -E2BIG (beyond a limit). */
int iu_elf_parse(struct iu_elf *e, const void *buf, __u32 len);

/*
 * What section `sec` must look like once loaded at sec[].addr: its bytes in
 * `out` (sec[sec].size of them), relocated. 0 or -ENOEXEC.
 */
int iu_elf_apply(struct iu_elf *e, __u32 sec, __u8 *out,
		 const struct iu_elf_ops *ops, void *arg);

#endif
