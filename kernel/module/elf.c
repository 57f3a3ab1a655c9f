// SPDX-License-Identifier: GPL-2.0-only
/* See elf.h. The format: System V ABI, and its AMD64 supplement for relocations. */
#include "elf.h"

#include <linux/elf.h>
#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/string.h>
#else
#include <errno.h>
#include <string.h>
#endif

#define R_NONE	0
#define R_64	1
#define R_PC32	2
#define R_PLT32	4
#define R_32S	11

#define RETURN_THUNK	"__x86_return_thunk"
#define OP_JMP32	0xe9

#define T_GNU_IFUNC	10

/*
 * Flags an allocated section may have. Others change where the module loader puts
 * a section: it takes SHF_GNU_RETAIN for its own "read-only after init".
 */
#define SEC_MERGE	(1u << 4)
#define SEC_STRINGS	(1u << 5)
#define SEC_FLAGS	(SHF_WRITE | SHF_ALLOC | SHF_EXECINSTR | SEC_MERGE | SEC_STRINGS)

static int bad(struct iu_elf *e, __u32 where, const char *why)
{
	e->why = why;
	e->where = where;
	return -ENOEXEC;
}

static int big(struct iu_elf *e, __u32 where, const char *why)
{
	e->why = why;
	e->where = where;
	return -E2BIG;
}

/* Is [off, off + size) inside the object? */
static bool inside(const struct iu_elf *e, __u64 off, __u64 size)
{
	return off <= e->len && size <= e->len - off;
}

static void get_shdr(const struct iu_elf *e, __u64 shoff, __u32 i, Elf64_Shdr *s)
{
	memcpy(s, e->buf + shoff + (__u64)i * sizeof(*s), sizeof(*s));
}

static void get_sym(const struct iu_elf *e, __u32 i, Elf64_Sym *s)
{
	memcpy(s, e->symtab + (__u64)i * sizeof(*s), sizeof(*s));
}

/* `name` is `base`, or `base` followed by a dot and more. */
static bool family(const char *name, const char *base)
{
	size_t n = strlen(base);

	return !strncmp(name, base, n) && (!name[n] || name[n] == '.');
}

static int classify(struct iu_elf *e, __u32 i, const Elf64_Shdr *s)
{
	struct iu_elf_section *sec = &e->sec[i];
	bool write = s->sh_flags & SHF_WRITE;
	bool exec = s->sh_flags & SHF_EXECINSTR;
	const char *name = sec->name;
	__u32 *slot = NULL;
	bool want_write;

	if (exec) {
		if (write)
			return bad(e, i, "code is writable");
		if (!family(name, ".text"))
			return bad(e, i, "code outside .text");
		if (s->sh_type != SHT_PROGBITS)
			return bad(e, i, "code without contents");
		sec->kind = IU_KIND_TEXT;
		if (!strcmp(name, ".text")) {
			if (e->text)
				return bad(e, i, "second .text");
			e->text = i;
		}
		return 0;
	}

	if (!strcmp(name, IU_SEC_INFO)) {
		slot = &e->info;
		want_write = false;
	} else if (!strcmp(name, IU_SEC_PROG)) {
		slot = &e->prog;
		want_write = false;
	} else if (!strcmp(name, IU_SEC_MAP)) {
		slot = &e->map;
		want_write = true;
	} else if (!strcmp(name, IU_SEC_PARAM)) {
		slot = &e->param;
		want_write = true;
	} else if (!strcmp(name, IU_SEC_KRELOC)) {
		slot = &e->kreloc;
		want_write = true;
	} else if (family(name, ".rodata")) {
		want_write = false;
	} else if (family(name, ".data.rel.ro")) {
		/* LLVM marks it writable for dynamic linkers; the loader goes by the mark. */
		want_write = write;
	} else if (family(name, ".data") || family(name, ".bss")) {
		want_write = true;
	} else if (family(name, ".text")) {
		/* An empty .text may lack the flag; a full one may not. */
		if (s->sh_size)
			return bad(e, i, ".text is not executable");
		want_write = write;
	} else {
		return bad(e, i, "allocated section is not in the ABI");
	}
	if (write != want_write)
		return bad(e, i, "section is writable or read-only against the ABI");
	if (slot) {
		if (*slot)
			return bad(e, i, "second section of this name");
		if (s->sh_type != SHT_PROGBITS)
			return bad(e, i, "section without contents");
		*slot = i;
	}
	sec->kind = write ? IU_KIND_RW : IU_KIND_RO;
	return 0;
}

static int read_section(struct iu_elf *e, __u32 i, const Elf64_Shdr *s,
			const char *names, __u64 names_size)
{
	struct iu_elf_section *sec = &e->sec[i];

	if (s->sh_name >= names_size)
		return bad(e, i, "section name outside the string table");
	sec->name = names + s->sh_name;

	if (!(s->sh_flags & SHF_ALLOC))
		return 0;
	if (s->sh_flags & ~(__u64)SEC_FLAGS)
		return bad(e, i, "allocated section with flags that are not in the ABI");
	if (s->sh_size > IU_ABI_MAX_OBJECT)
		return big(e, i, "section is too large");
	sec->size = s->sh_size;
	switch (s->sh_type) {
	case SHT_PROGBITS:
		if (!inside(e, s->sh_offset, s->sh_size))
			return bad(e, i, "section outside the object");
		sec->data = e->buf + s->sh_offset;
		break;
	case SHT_NOBITS:
		break;
	default:
		return bad(e, i, "allocated section of this type");
	}
	return classify(e, i, s);
}

static int read_symtab(struct iu_elf *e, __u32 i, const Elf64_Shdr *s, __u64 shoff)
{
	Elf64_Shdr str;

	if (e->symtab)
		return bad(e, i, "second symbol table");
	if (s->sh_entsize != sizeof(Elf64_Sym) || s->sh_size % sizeof(Elf64_Sym) ||
	    !s->sh_size || !inside(e, s->sh_offset, s->sh_size))
		return bad(e, i, "malformed symbol table");
	if (s->sh_size / sizeof(Elf64_Sym) > IU_ABI_MAX_SYMBOLS)
		return big(e, i, "too many symbols");
	if (!s->sh_link || s->sh_link >= e->nsec)
		return bad(e, i, "symbol table without strings");
	get_shdr(e, shoff, s->sh_link, &str);
	if (str.sh_type != SHT_STRTAB || !str.sh_size || !inside(e, str.sh_offset, str.sh_size) ||
	    e->buf[str.sh_offset + str.sh_size - 1])
		return bad(e, s->sh_link, "malformed string table");
	e->symtab = e->buf + s->sh_offset;
	e->nsym = s->sh_size / sizeof(Elf64_Sym);
	e->strtab = (const char *)e->buf + str.sh_offset;
	e->strsz = str.sh_size;
	return 0;
}

static int read_rela(struct iu_elf *e, __u32 i, const Elf64_Shdr *s, __u32 symtab,
		     __u32 *total)
{
	struct iu_elf_section *sec;

	/* Relocations of debug sections are nobody's business here. */
	if (!s->sh_info || s->sh_info >= e->nsec)
		return bad(e, i, "relocations for no section");
	sec = &e->sec[s->sh_info];
	if (sec->kind == IU_KIND_NONE)
		return 0;
	if (s->sh_type != SHT_RELA)
		return bad(e, i, "relocations without addends");
	if (sec->rela)
		return bad(e, i, "second relocations for one section");
	if (!symtab || s->sh_link != symtab)
		return bad(e, i, "relocations against another symbol table");
	if (s->sh_entsize != sizeof(Elf64_Rela) || s->sh_size % sizeof(Elf64_Rela) ||
	    !inside(e, s->sh_offset, s->sh_size))
		return bad(e, i, "malformed relocations");
	if (s->sh_size / sizeof(Elf64_Rela) > IU_ABI_MAX_RELOCS - *total)
		return big(e, i, "too many relocations");
	if (!s->sh_size)
		return 0;
	if (!sec->data)
		return bad(e, i, "relocations in a section without contents");
	sec->rela = e->buf + s->sh_offset;
	sec->nrela = s->sh_size / sizeof(Elf64_Rela);
	*total += sec->nrela;
	return 0;
}

int iu_elf_parse(struct iu_elf *e, const void *buf, __u32 len)
{
	__u32 i, symtab = 0, relocs = 0;
	__u64 names_size;
	const char *names;
	Elf64_Ehdr h;
	Elf64_Shdr s;
	int ret;

	memset(e, 0, sizeof(*e));
	e->buf = buf;
	e->len = len;
	if (len > IU_ABI_MAX_OBJECT)
		return big(e, 0, "object is too large");
	if (len < sizeof(h))
		return bad(e, 0, "shorter than an ELF header");
	memcpy(&h, buf, sizeof(h));
	if (memcmp(h.e_ident, ELFMAG, SELFMAG) || h.e_ident[EI_CLASS] != ELFCLASS64 ||
	    h.e_ident[EI_DATA] != ELFDATA2LSB || h.e_ident[EI_VERSION] != EV_CURRENT)
		return bad(e, 0, "not a little-endian ELF64 file");
	if (h.e_type != ET_REL || h.e_machine != EM_X86_64)
		return bad(e, 0, "not a relocatable object for x86-64");
	if (h.e_shentsize != sizeof(s) || h.e_shnum < 2 || h.e_shnum >= SHN_LORESERVE)
		return bad(e, 0, "malformed section table");
	if (h.e_shnum > IU_ABI_MAX_SECTIONS)
		return big(e, 0, "too many sections");
	if (!inside(e, h.e_shoff, (__u64)h.e_shnum * sizeof(s)))
		return bad(e, 0, "section table outside the object");
	if (!h.e_shstrndx || h.e_shstrndx >= h.e_shnum)
		return bad(e, 0, "no section names");
	e->nsec = h.e_shnum;

	get_shdr(e, h.e_shoff, h.e_shstrndx, &s);
	if (s.sh_type != SHT_STRTAB || !s.sh_size || !inside(e, s.sh_offset, s.sh_size))
		return bad(e, h.e_shstrndx, "malformed section names");
	names = (const char *)e->buf + s.sh_offset;
	names_size = s.sh_size;
	if (names[names_size - 1])
		return bad(e, h.e_shstrndx, "section names do not end in NUL");

	e->sec[0].name = "";
	for (i = 1; i < e->nsec; i++) {
		get_shdr(e, h.e_shoff, i, &s);
		ret = read_section(e, i, &s, names, names_size);
		if (!ret && s.sh_type == SHT_SYMTAB) {
			symtab = i;
			ret = read_symtab(e, i, &s, h.e_shoff);
		}
		if (ret)
			return ret;
	}
	/* Second pass: a table of relocations may stand before its section. */
	for (i = 1; i < e->nsec; i++) {
		get_shdr(e, h.e_shoff, i, &s);
		if (s.sh_type != SHT_RELA && s.sh_type != SHT_REL)
			continue;
		ret = read_rela(e, i, &s, symtab, &relocs);
		if (ret)
			return ret;
	}
	if (!e->info || !e->prog)
		return bad(e, 0, "no " IU_SEC_INFO " or no " IU_SEC_PROG);
	return 0;
}

/*
 * A foreign symbol may only be named as it is: a call or jump to its first byte,
 * or its address. With an addend an object could reach what lies behind it. The
 * fuel counter is also the operand of instructions that end in an immediate.
 */
static bool plain_addend(const char *name, __u32 type, __s64 addend)
{
	if (type == R_64 || type == R_32S)
		return addend == 0;
	if (addend == -4)
		return true;
	return !strcmp(name, IU_RT_FUEL) && (addend == -5 || addend == -8);
}

static int symbol_value(struct iu_elf *e, __u32 sec, const Elf64_Rela *r,
			const struct iu_elf_ops *ops, void *arg,
			__u64 *value, bool *thunk)
{
	__u32 index = r->r_info >> 32;
	const char *name;
	Elf64_Sym sym;
	int type;

	*thunk = false;
	if (!index || index >= e->nsym)
		return bad(e, sec, "relocation against no symbol");
	get_sym(e, index, &sym);
	type = sym.st_info & 0xf;
	if (type == STT_TLS || type == T_GNU_IFUNC)
		return bad(e, sec, "relocation against a thread-local or indirect symbol");

	if (sym.st_shndx != SHN_UNDEF) {
		if (sym.st_shndx >= e->nsec || e->sec[sym.st_shndx].kind == IU_KIND_NONE)
			return bad(e, sec, "relocation against a symbol outside the image");
		if (sym.st_value > e->sec[sym.st_shndx].size)
			return bad(e, sec, "symbol outside its section");
		*value = e->sec[sym.st_shndx].addr + sym.st_value;
		return 0;
	}

	if (sym.st_name >= e->strsz)
		return bad(e, sec, "symbol name outside the string table");
	name = e->strtab + sym.st_name;
	if (!ops->resolve(arg, name, value))
		return bad(e, sec, "relocation against a symbol that is not allowed");
	if (!plain_addend(name, r->r_info & 0xffffffff, r->r_addend))
		return bad(e, sec, "relocation beside a foreign symbol");
	*thunk = !strcmp(name, RETURN_THUNK);
	return 0;
}

static int apply_one(struct iu_elf *e, __u32 i, __u8 *out, const Elf64_Rela *r,
		     const struct iu_elf_ops *ops, void *arg)
{
	const struct iu_elf_section *sec = &e->sec[i];
	__u32 type = r->r_info & 0xffffffff;
	__u32 width = type == R_64 ? 8 : 4;
	__u64 value, at = sec->addr + r->r_offset;
	bool thunk;
	int ret;

	if (type == R_NONE)
		return 0;
	if (type != R_64 && type != R_PC32 && type != R_PLT32 && type != R_32S)
		return bad(e, i, "relocation of this type");
	if (r->r_offset > sec->size || width > sec->size - r->r_offset)
		return bad(e, i, "relocation outside its section");
	ret = symbol_value(e, i, r, ops, arg, &value, &thunk);
	if (ret)
		return ret;
	value += (__u64)r->r_addend;
	if (type == R_PC32 || type == R_PLT32)
		value -= at;
	if (width == 4) {
		__u32 low = (__u32)value;

		if (value != (__u64)(__s64)(__s32)low)
			return bad(e, i, "relocation overflows");
		memcpy(out + r->r_offset, &low, 4);
	} else {
		memcpy(out + r->r_offset, &value, 8);
	}
	if (!thunk)
		return 0;
	/* The kernel rewrites returns, and only this shape of them. */
	if (sec->kind != IU_KIND_TEXT || width != 4 || !r->r_offset ||
	    out[r->r_offset - 1] != OP_JMP32)
		return bad(e, i, "return thunk is not reached by a plain jump");
	ops->return_site(arg, at - 1, out + r->r_offset - 1);
	return 0;
}

int iu_elf_apply(struct iu_elf *e, __u32 i, __u8 *out,
		 const struct iu_elf_ops *ops, void *arg)
{
	const struct iu_elf_section *sec = &e->sec[i];
	Elf64_Rela r;
	__u32 n;
	int ret;

	if (!sec->data) {
		memset(out, 0, sec->size);
		return 0;
	}
	memcpy(out, sec->data, sec->size);
	for (n = 0; n < sec->nrela; n++) {
		memcpy(&r, sec->rela + (__u64)n * sizeof(r), sizeof(r));
		ret = apply_one(e, i, out, &r, ops, arg);
		if (ret)
			return ret;
	}
	return 0;
}
