// SPDX-License-Identifier: GPL-2.0-only
/*
 * elf_test [-n ROUNDS | -t SECONDS] [-s SEED] [-o DIR -k K] SAMPLE MINIMAL
 *
 * -o leaves each Kth mutated SAMPLE in DIR as NUMBER.OUTCOME.o, to try them in a
 * kernel: one that is `refused` here must be refused there, one with an `other`
 * image must not pass for SAMPLE's, and one that maps the `same` bytes must.
 *
 * Cases first: each is the sample with one thing wrong and the reason it must be
 * refused for, or still right and accepted. Then rounds of random mutations, which
 * must neither upset the sanitizers nor be accepted with tables outside the file.
 * Prints "N passed, N failed"; exits 0 if none failed.
 */
#include <linux/bpf.h>
#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "abi.h"

#define THUNK	0xffffffff81a00000ull
#define SYM	0xffffffff81b00000ull
#define FUEL	0x35000ull
#define BASE	0xffffffffc0400000ull

static unsigned int passed, failed;

static void result(bool ok, const char *name, const char *detail)
{
	if (ok) {
		passed++;
		return;
	}
	failed++;
	printf("FAIL %s: %s\n", name, detail ? detail : "");
}

/* ---- an object in memory, with access to its tables ---- */

struct object {
	__u8 *buf;
	__u32 len;
};

static struct object load(const char *path)
{
	struct object o = { NULL, 0 };
	FILE *f = fopen(path, "rb");
	long n;

	if (!f || fseek(f, 0, SEEK_END) || (n = ftell(f)) <= 0) {
		perror(path);
		exit(2);
	}
	rewind(f);
	o.len = n;
	o.buf = malloc(n);
	if (!o.buf || fread(o.buf, 1, n, f) != (size_t)n)
		exit(2);
	fclose(f);
	return o;
}

/* Exactly as long as it says, so that one byte too far is seen. */
static struct object copy(const struct object *from)
{
	struct object o = { malloc(from->len), from->len };

	memcpy(o.buf, from->buf, from->len);
	return o;
}

static Elf64_Ehdr *ehdr(struct object *o) { return (Elf64_Ehdr *)o->buf; }

static Elf64_Shdr *shdr(struct object *o, unsigned int i)
{
	return (Elf64_Shdr *)(o->buf + ehdr(o)->e_shoff) + i;
}

static const char *shname(struct object *o, unsigned int i)
{
	return (char *)o->buf + shdr(o, ehdr(o)->e_shstrndx)->sh_offset + shdr(o, i)->sh_name;
}

static unsigned int find(struct object *o, const char *name)
{
	unsigned int i;

	for (i = 0; i < ehdr(o)->e_shnum; i++)
		if (!strcmp(shname(o, i), name))
			return i;
	printf("FAIL sample has no %s\n", name);
	exit(2);
}

static Elf64_Shdr *sh(struct object *o, const char *name) { return shdr(o, find(o, name)); }
static void *body(struct object *o, const char *name) { return o->buf + sh(o, name)->sh_offset; }

static Elf64_Sym *sym(struct object *o, const char *name)
{
	Elf64_Shdr *t = sh(o, ".symtab");
	const char *str = (char *)o->buf + shdr(o, t->sh_link)->sh_offset;
	Elf64_Sym *s = body(o, ".symtab");
	size_t i;

	for (i = 0; i < t->sh_size / sizeof(*s); i++)
		if (!strcmp(str + s[i].st_name, name))
			return &s[i];
	printf("FAIL sample has no symbol %s\n", name);
	exit(2);
}

/* The first relocation of .text against a symbol. */
static Elf64_Rela *rela(struct object *o, const char *name)
{
	size_t want = sym(o, name) - (Elf64_Sym *)body(o, ".symtab"), i;
	Elf64_Rela *r = body(o, ".rela.text");

	for (i = 0; i < sh(o, ".rela.text")->sh_size / sizeof(*r); i++)
		if (ELF64_R_SYM(r[i].r_info) == want)
			return &r[i];
	printf("FAIL sample does not refer to %s\n", name);
	exit(2);
}

/* ---- what the kernel does with one ---- */

static unsigned int returns;

static bool resolve(void *arg, const char *name, __u64 *addr)
{
	(void)arg;
	if (!strcmp(name, "__x86_return_thunk"))
		*addr = THUNK;
	else if (!strcmp(name, IU_RT_FUEL))
		*addr = FUEL;
	else if (!strncmp(name, "iu_rt_", 6) || !strncmp(name, "__x86_indirect", 14))
		*addr = SYM;
	else
		return false;
	return true;
}

static void return_site(void *arg, __u64 addr, __u8 insn[5])
{
	__s32 rel;

	(void)arg;
	returns++;
	memcpy(&rel, insn + 1, 4);
	if (insn[0] != 0xe9 || addr + 5 + (__s64)rel != THUNK)
		result(false, "return site", "is not a jump to the thunk");
	memset(insn, 0xcc, 5);
	insn[0] = 0xc3;
}

static const struct iu_elf_ops ops = { resolve, return_site };

static struct iu_elf e;		/* large */

/* FNV-1a of all that would be mapped, by the last run that was accepted. */
static __u64 image;

static void add_to_image(const void *bytes, __u64 n)
{
	const __u8 *b = bytes;

	while (n--)
		image = (image ^ *b++) * 0x100000001b3ull;
}

static int run(const struct object *o, struct iu_abi_counts *n)
{
	__u64 addr = BASE;
	__u8 *out;
	__u32 i;
	int ret = iu_elf_parse(&e, o->buf, o->len);

	if (!ret)
		ret = iu_abi_check(&e, n);
	if (ret)
		return ret;
	for (i = 1; i < e.nsec; i++) {
		e.sec[i].addr = addr;
		addr += (e.sec[i].size + 4095) & ~4095ull;
	}
	image = 0xcbf29ce484222325ull;
	for (i = 1; i < e.nsec && !ret; i++) {
		if (e.sec[i].kind == IU_KIND_NONE)
			continue;
		add_to_image(&i, sizeof(i));
		add_to_image(&e.sec[i].kind, sizeof(e.sec[i].kind));
		add_to_image(&e.sec[i].size, sizeof(e.sec[i].size));
		/* More than an object may be long cannot come out of it. */
		out = malloc(e.sec[i].size + 1);
		ret = iu_elf_apply(&e, i, out, &ops, NULL);
		if (!ret)
			add_to_image(out, e.sec[i].size);
		free(out);
	}
	return ret;
}

/* ---- cases ---- */

struct test {
	const char *name;
	void (*change)(struct object *o);
	int want;
	const char *why;
};

static struct iu_abi_prog *prog(struct object *o) { return body(o, IU_SEC_PROG); }
static struct iu_abi_map *map(struct object *o) { return body(o, IU_SEC_MAP); }
static struct iu_abi_kreloc *kreloc(struct object *o) { return body(o, IU_SEC_KRELOC); }
static struct iu_abi_param *param(struct object *o) { return body(o, IU_SEC_PARAM); }
static struct iu_abi_info *info(struct object *o) { return body(o, IU_SEC_INFO); }

#define CHANGE(name, ...) static void name(struct object *o) { __VA_ARGS__; }

CHANGE(nothing, (void)o)
CHANGE(empty, o->len = 0)
CHANGE(short_header, o->len = 63)
CHANGE(cut_table, o->len -= 1)
CHANGE(magic, o->buf[0] = 0)
CHANGE(class32, o->buf[EI_CLASS] = ELFCLASS32)
CHANGE(big_endian, o->buf[EI_DATA] = ELFDATA2MSB)
CHANGE(executable, ehdr(o)->e_type = ET_EXEC)
CHANGE(other_machine, ehdr(o)->e_machine = EM_AARCH64)
CHANGE(entsize, ehdr(o)->e_shentsize = 63)
CHANGE(many_sections, ehdr(o)->e_shnum = 257)
CHANGE(wild_shoff, ehdr(o)->e_shoff = ~0ull - 8)
CHANGE(no_names, ehdr(o)->e_shstrndx = 0)
CHANGE(names_type, sh(o, ".strtab")->sh_type = SHT_PROGBITS)
CHANGE(names_open, o->buf[sh(o, ".strtab")->sh_offset + sh(o, ".strtab")->sh_size - 1] = 'x')
CHANGE(wild_name, sh(o, ".text")->sh_name = 0xffffff)
CHANGE(wild_section, sh(o, ".text")->sh_offset = ~0ull - 1)
CHANGE(huge_section, sh(o, ".bss")->sh_size = IU_ABI_MAX_OBJECT + 1ull)
CHANGE(note_section, sh(o, ".rodata")->sh_type = SHT_NOTE)
CHANGE(other_alloc, sh(o, ".comment")->sh_flags |= SHF_ALLOC)
CHANGE(writable_code, sh(o, ".text")->sh_flags |= SHF_WRITE)
CHANGE(executable_data, sh(o, ".rodata")->sh_flags |= SHF_EXECINSTR)
CHANGE(data_text, sh(o, ".text")->sh_flags &= ~(__u64)SHF_EXECINSTR)
CHANGE(bss_text, sh(o, ".text")->sh_type = SHT_NOBITS)
CHANGE(retained, sh(o, IU_SEC_MAP)->sh_flags |= 0x200000)
CHANGE(thread_local, sh(o, ".bss")->sh_flags |= SHF_TLS)
CHANGE(read_only_map, sh(o, IU_SEC_MAP)->sh_flags &= ~(__u64)SHF_WRITE)
CHANGE(writable_prog, sh(o, IU_SEC_PROG)->sh_flags |= SHF_WRITE)
CHANGE(no_info, sh(o, IU_SEC_INFO)->sh_flags = 0)
CHANGE(no_prog, sh(o, IU_SEC_PROG)->sh_flags = 0)
CHANGE(two_infos, sh(o, ".rodata")->sh_name = sh(o, IU_SEC_INFO)->sh_name)
CHANGE(two_symtabs, sh(o, ".comment")->sh_type = SHT_SYMTAB)
CHANGE(symtab_odd, sh(o, ".symtab")->sh_size -= 1)
CHANGE(symtab_outside, sh(o, ".symtab")->sh_offset = o->len)
CHANGE(symtab_strings, sh(o, ".symtab")->sh_link = 200)
CHANGE(strings_type, sh(o, ".symtab")->sh_link = find(o, ".text"))
CHANGE(rel, sh(o, ".rela.text")->sh_type = SHT_REL)
CHANGE(rela_nowhere, sh(o, ".rela.text")->sh_info = 99)
CHANGE(rela_twice, sh(o, ".rela.rodata")->sh_info = find(o, ".text"))
CHANGE(rela_symtab, sh(o, ".rela.text")->sh_link = find(o, ".strtab"))
CHANGE(rela_odd, sh(o, ".rela.text")->sh_size -= 8)
CHANGE(rela_outside, sh(o, ".rela.text")->sh_offset = o->len - 8)
CHANGE(rela_bss, sh(o, ".rela.rodata")->sh_info = find(o, ".bss"))
CHANGE(rela_debug, sh(o, ".rela.rodata")->sh_info = find(o, ".comment"))
CHANGE(rela_32, rela(o, "maps")->r_info = ELF64_R_INFO(ELF64_R_SYM(rela(o, "maps")->r_info), R_X86_64_32))
CHANGE(rela_got, rela(o, "iu_rt_lock")->r_info = ELF64_R_INFO(ELF64_R_SYM(rela(o, "iu_rt_lock")->r_info), R_X86_64_GOTPCREL))
CHANGE(rela_end, rela(o, "iu_rt_lock")->r_offset = sh(o, ".text")->sh_size - 3)
CHANGE(rela_wild, rela(o, "iu_rt_lock")->r_offset = ~0ull)
CHANGE(rela_overflow, rela(o, "maps")->r_addend = 1ll << 40)
CHANGE(rela_none, rela(o, "maps")->r_info = R_X86_64_NONE)
CHANGE(rela_no_symbol, rela(o, "maps")->r_info = R_X86_64_PC32)
CHANGE(rela_wild_symbol, rela(o, "maps")->r_info = ELF64_R_INFO(0xffffffull, R_X86_64_PC32))
CHANGE(beside, rela(o, "iu_rt_lock")->r_addend += 1)
CHANGE(fuel_beside, rela(o, "iu_rt_fuel")->r_addend += 1)
CHANGE(foreign, memcpy((char *)o->buf + sh(o, ".strtab")->sh_offset + sym(o, "iu_rt_lock")->st_name, "printk", 7))
CHANGE(absolute, sym(o, "iu_rt_lock")->st_shndx = SHN_ABS)
CHANGE(common, sym(o, "iu_rt_lock")->st_shndx = SHN_COMMON)
CHANGE(tls_symbol, sym(o, "maps")->st_info = ELF64_ST_INFO(STB_LOCAL, STT_TLS))
CHANGE(ifunc, sym(o, "iu_rt_lock")->st_info = ELF64_ST_INFO(STB_GLOBAL, STT_GNU_IFUNC))
CHANGE(in_comment, sym(o, "maps")->st_shndx = find(o, ".comment"))
CHANGE(symbol_outside, sym(o, "maps")->st_value = 1000)
CHANGE(symbol_name, sym(o, "iu_rt_lock")->st_name = 0xfffffff)
CHANGE(thunk_call, *((__u8 *)body(o, ".text") + rela(o, "__x86_return_thunk")->r_offset - 1) = 0xe8)

CHANGE(info_size, sh(o, IU_SEC_INFO)->sh_size -= 8)
CHANGE(info_magic, info(o)->magic++)
CHANGE(info_abi, info(o)->abi++)
CHANGE(info_machine, info(o)->machine = 183)
CHANGE(info_name, info(o)->name[0] = 0)
CHANGE(info_name_open, memset(info(o)->name, 'a', IU_ABI_PKG_LEN))
CHANGE(info_name_tail, info(o)->name[IU_ABI_PKG_LEN - 1] = 'x')
CHANGE(info_name_escape, info(o)->name[0] = 27)
CHANGE(info_reserved, info(o)->reserved[2] = 1)
CHANGE(prog_size, sh(o, IU_SEC_PROG)->sh_size -= 1)
CHANGE(prog_none, sh(o, IU_SEC_PROG)->sh_size = 0; sh(o, ".rela.iu.prog")->sh_size = 0)
CHANGE(prog_hook, prog(o)->hook = IU_HOOK_MAX)
CHANGE(prog_flags, prog(o)->flags = 4)
CHANGE(prog_stack, prog(o)->stack = 0)
CHANGE(prog_stack_max, prog(o)->stack = IU_STACK_SIZE - IU_STACK_RESERVE)
CHANGE(prog_stack_over, prog(o)->stack = IU_STACK_SIZE - IU_STACK_RESERVE + 1)
CHANGE(prog_verdict, prog(o)->on_fault = 4)
CHANGE(prog_verdict_tc, prog(o)[1].on_fault = -2)
CHANGE(prog_args, prog(o)->args = IU_ARG_U32)
CHANGE(prog_name, prog(o)->name[0] = ' ')
CHANGE(prog_reloc, ((Elf64_Rela *)body(o, ".rela.iu.prog"))->r_offset += 8)
CHANGE(map_bound, map(o)->map = 1)
CHANGE(map_data, map(o)->data = 1)
CHANGE(map_stride, map(o)->stride = 8)
CHANGE(map_reserved, map(o)->reserved = 1)
CHANGE(map_role, map(o)->role = IU_MAP_ROLES)
CHANGE(map_role_of_hash, map(o)->role = IU_MAP_ROLE_SIZED; map(o)->type = BPF_MAP_TYPE_HASH)
CHANGE(map_role_flags, map(o)->role = IU_MAP_ROLE_SIZED; map(o)->type = BPF_MAP_TYPE_ARRAY; map(o)->map_flags = 1)
CHANGE(map_sized_ok, map(o)->role = IU_MAP_ROLE_SIZED; map(o)->type = BPF_MAP_TYPE_ARRAY; map(o)->map_flags = 0)
CHANGE(map_gaps, map(o)->role = IU_MAP_ROLE_GAPS; map(o)->type = BPF_MAP_TYPE_ARRAY; map(o)->max_entries = 2)
CHANGE(map_size, sh(o, IU_SEC_MAP)->sh_size -= 16)
CHANGE(map_reloc, sh(o, ".rela.rodata")->sh_info = find(o, IU_SEC_MAP))
CHANGE(param_type, param(o)->type = 4)
CHANGE(param_default, param(o)->value = 0)
CHANGE(param_signed, param(o)[1].value = (__u64)-6)
CHANGE(param_signed_ok, param(o)[1].value = (__u64)-5)
CHANGE(param_bool, param(o)[2].max = 2)
CHANGE(param_range, param(o)->min = 20000)
CHANGE(kreloc_kind, kreloc(o)->kind = 6)
CHANGE(kreloc_flags, kreloc(o)->flags = 16)
CHANGE(kreloc_forms, kreloc(o)->flags = IU_KRELOC_F_INT | IU_KRELOC_F_PTR)
CHANGE(kreloc_form_of_size, kreloc(o)[2].flags = IU_KRELOC_F_INT)
CHANGE(kreloc_no_type, memset(kreloc(o)->type, 0, IU_ABI_CNAME_LEN))
CHANGE(kreloc_no_field, memset(kreloc(o)->field, 0, IU_ABI_CNAME_LEN))
CHANGE(kreloc_field_of_size, kreloc(o)[2].field[0] = 'x')
CHANGE(kreloc_unterminated, memset(kreloc(o)->type, 'x', IU_ABI_CNAME_LEN))
CHANGE(kreloc_escape, kreloc(o)->type[0] = 27)
CHANGE(kreloc_wide_int, kreloc(o)->want = 9)
CHANGE(kreloc_no_room, kreloc(o)->want = 0)
CHANGE(kreloc_huge, kreloc(o)[1].want = IU_KRELOC_MAX_BYTES + 1)
CHANGE(kreloc_huge_ok, kreloc(o)[1].want = IU_KRELOC_MAX_BYTES)
CHANGE(kreloc_resolved, kreloc(o)->exists = 1)
CHANGE(kreloc_offset, kreloc(o)->offset = 8)

static const struct test tests[] = {
#define OK(name) { #name, name, 0, NULL }
#define NO(name, why) { #name, name, -ENOEXEC, why }
#define BIG(name, why) { #name, name, -E2BIG, why }
	OK(nothing), OK(rela_none), OK(rela_debug), OK(prog_stack_max), OK(param_signed_ok), OK(kreloc_huge_ok),
	OK(map_sized_ok),
	NO(empty, "shorter"), NO(short_header, "shorter"), NO(cut_table, "table outside"),
	NO(magic, "ELF64"), NO(class32, "ELF64"), NO(big_endian, "ELF64"),
	NO(executable, "relocatable"), NO(other_machine, "x86-64"), NO(entsize, "section table"),
	BIG(many_sections, "too many sections"), NO(wild_shoff, "table outside"),
	NO(no_names, "no section names"), NO(names_type, "section names"),
	NO(names_open, "NUL"), NO(wild_name, "name outside"), NO(wild_section, "outside the object"),
	BIG(huge_section, "too large"), NO(note_section, "type"), NO(other_alloc, "not in the ABI"),
	NO(writable_code, "code is writable"), NO(executable_data, "code outside .text"),
	NO(data_text, "not executable"), NO(bss_text, "code without contents"),
	NO(retained, "flags"), NO(thread_local, "flags"),
	NO(read_only_map, "against the ABI"), NO(writable_prog, "against the ABI"),
	NO(no_info, "no .iu.info"), NO(no_prog, "no .iu.prog"), NO(two_infos, "second section"),
	NO(two_symtabs, "symbol table"), NO(symtab_odd, "malformed symbol table"),
	NO(symtab_outside, "malformed symbol table"), NO(symtab_strings, "without strings"),
	NO(strings_type, "string table"), NO(rel, "without addends"), NO(rela_nowhere, "no section"),
	NO(rela_twice, "second relocations"), NO(rela_symtab, "another symbol table"),
	NO(rela_odd, "malformed relocations"), NO(rela_outside, "malformed relocations"),
	NO(rela_bss, "without contents"), NO(rela_32, "of this type"), NO(rela_got, "of this type"),
	NO(rela_end, "outside its section"), NO(rela_wild, "outside its section"),
	NO(rela_overflow, "overflows"), NO(rela_no_symbol, "no symbol"),
	NO(rela_wild_symbol, "no symbol"), NO(beside, "beside"), NO(fuel_beside, "beside"),
	NO(foreign, "not allowed"), NO(absolute, "outside the image"), NO(common, "outside the image"),
	NO(tls_symbol, "thread-local"), NO(ifunc, "indirect"), NO(in_comment, "outside the image"),
	NO(symbol_outside, "outside its section"), NO(symbol_name, "outside the string table"),
	NO(thunk_call, "plain jump"),
	NO(info_size, "not one"), NO(info_magic, "magic"), NO(info_abi, "version"),
	NO(info_machine, "machine"), NO(info_name, "name"), NO(info_name_open, "name"),
	NO(info_name_tail, "name"), NO(info_name_escape, "name"), NO(info_reserved, "reserved"),
	NO(prog_size, "another size"), NO(prog_none, "no program"), NO(prog_hook, "hook"),
	NO(prog_flags, "flag"), NO(prog_stack, "neither"), NO(prog_stack_over, "larger"),
	NO(prog_verdict, "verdict"), NO(prog_verdict_tc, "verdict"), NO(prog_args, "arguments"),
	NO(prog_name, "program name"), NO(prog_reloc, "where the ABI has none"),
	NO(map_bound, "reserved"), NO(map_data, "reserved"), NO(map_stride, "reserved"),
	NO(map_reserved, "reserved"), NO(map_role, "unknown role"), NO(map_role_of_hash, "no plain array"),
	NO(map_role_flags, "no plain array"), NO(map_gaps, "not one number"),
	NO(map_size, "another size"), NO(map_reloc, "where the ABI has none"),
	NO(param_type, "type"), NO(param_default, "outside the range"),
	NO(param_signed, "outside the range"), NO(param_bool, "boolean"),
	NO(param_range, "outside the range"),
	NO(kreloc_kind, "unknown kind"), NO(kreloc_flags, "flags"), NO(kreloc_forms, "flags"),
	NO(kreloc_form_of_size, "flags"), NO(kreloc_no_type, "malformed name"),
	NO(kreloc_no_field, "malformed name"), NO(kreloc_field_of_size, "malformed name"),
	NO(kreloc_unterminated, "malformed name"), NO(kreloc_escape, "malformed name"),
	NO(kreloc_wide_int, "size"), NO(kreloc_no_room, "size"), NO(kreloc_huge, "size"),
	NO(kreloc_resolved, "resolved"), NO(kreloc_offset, "resolved"),
};

/* What the runtime takes as the answer to an entry, and what it does not. */
static void kreloc_values(void)
{
	const struct iu_abi_kreloc word = { .kind = IU_KRELOC_FIELD, .flags = IU_KRELOC_F_INT, .want = 4 };
	const struct iu_abi_kreloc data = { .kind = IU_KRELOC_FIELD, .flags = IU_KRELOC_F_OPTIONAL, .want = 16 };
	const struct iu_abi_kreloc in = { .kind = IU_KRELOC_TRACE, .flags = IU_KRELOC_F_INSIDE };
	const struct iu_abi_kreloc ptr = { .kind = IU_KRELOC_FIELD, .flags = IU_KRELOC_F_PTR, .want = 8 };
	const struct iu_abi_kreloc size = { .kind = IU_KRELOC_SIZE };
	const struct iu_abi_kreloc number = { .kind = IU_KRELOC_ENUM };
	const struct iu_abi_kreloc option = { .kind = IU_KRELOC_CONFIG, .flags = IU_KRELOC_F_OPTIONAL };
#define SET(...) (&(struct iu_abi_kreloc){ __VA_ARGS__ })
#define FOUND(...) SET(.exists = 1, __VA_ARGS__)
	static const __u32 end = IU_KRELOC_MAX_BYTES;
	const struct {
		const struct iu_abi_kreloc *r, *set;
		bool ok;
	} cases[] = {
		{ &word, FOUND(.offset = 8, .size = 4), true },
		{ &word, FOUND(.offset = 8, .size = 2), true },
		{ &word, FOUND(.offset = 8, .size = 3), false },
		{ &word, FOUND(.offset = 8, .size = 8), false },
		{ &word, FOUND(.offset = 8, .size = 8, .bits = 40 | 20 << 8), true },
		{ &word, FOUND(.offset = 8, .size = 8, .bits = 40 | 25 << 8), false },
		{ &word, FOUND(.offset = 8, .size = 8, .bits = 8 | 33 << 8), false },
		{ &word, FOUND(.offset = 8, .size = 4, .bits = 8), false },
		{ &word, FOUND(.offset = 8, .size = 4, .bits = ~0u), false },
		{ &word, FOUND(.offset = end - 4, .size = 4), true },
		{ &word, FOUND(.offset = end - 3, .size = 4), false },
		{ &word, FOUND(.offset = ~0u, .size = 4), false },
		{ &word, FOUND(.offset = 8, .size = 4, .value = 1), false },
		{ &word, FOUND(.offset = 8), false },
		{ &word, SET(.exists = 2, .size = 4), false },
		{ &word, SET(.size = 0), false },		/* missing, and may not be */
		{ &data, SET(.size = 0), true },
		{ &data, SET(.size = 16), false },
		{ &data, SET(.offset = 16), false },
		{ &data, FOUND(.size = 16), true },
		{ &data, FOUND(.size = 15), false },
		{ &data, FOUND(.size = 17), false },
		{ &data, FOUND(.size = 16, .bits = 1 << 8), false },
		{ &in, FOUND(.size = 1000, .offset = 24), true },
		{ &in, FOUND(.size = end + 1), false },
		{ &ptr, FOUND(.size = 8), true },
		{ &ptr, FOUND(.size = 4), false },
		{ &size, FOUND(.value = 232), true },
		{ &size, FOUND(.value = 0), false },
		{ &size, FOUND(.value = (__u64)end + 1), false },
		{ &size, FOUND(.value = 232, .offset = 1), false },
		{ &number, FOUND(.value = ~0ull), true },
		{ &number, FOUND(.value = 1, .size = 4), false },
		{ &option, SET(.exists = 0), true },
		{ &option, FOUND(.value = 250), true },
		{ &option, SET(.value = 250), false },
	};
	char name[32];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(name, sizeof(name), "kreloc value %zu", i);
		result(iu_abi_kreloc_ok(cases[i].r, cases[i].set) == cases[i].ok, name, NULL);
	}
#undef SET
#undef FOUND
}

static void run_case(const struct object *sample, const struct test *t)
{
	struct object o = copy(sample), exact;
	struct iu_abi_counts n;
	char detail[256];
	int ret;

	t->change(&o);
	exact = copy(&o);
	ret = run(&exact, &n);
	snprintf(detail, sizeof(detail), "got %d (%s), want %d (%s)", ret, e.why ? e.why : "",
		 t->want, t->why ? t->why : "");
	result(ret == t->want && (!t->why || (e.why && strstr(e.why, t->why))), t->name, detail);
	free(exact.buf);
	free(o.buf);
}

/* The values, against the ABI's formulas applied by hand. */
static void check_values(struct object *o)
{
	struct iu_abi_counts n;
	struct iu_abi_prog *p;
	__u32 text = find(o, ".text"), progs = find(o, IU_SEC_PROG);
	Elf64_Rela *r = rela(o, "iu_rt_lock"), *t = rela(o, "__x86_return_thunk");
	__u8 *out = malloc(IU_ABI_MAX_OBJECT);
	__s32 rel;

	returns = 0;
	result(!run(o, &n), "values", "sample refused");
	result(n.progs == 2 && n.maps == 2 && n.params == 3 && n.krelocs == 4, "counts", NULL);
	kreloc_values();
	result(returns > 0, "returns", "none seen");
	iu_elf_apply(&e, progs, out, &ops, NULL);
	p = (struct iu_abi_prog *)out;
	result(p->entry == e.sec[text].addr + sym(o, "run")->st_value, "entry", NULL);
	iu_elf_apply(&e, text, out, &ops, NULL);
	memcpy(&rel, out + r->r_offset, 4);
	result(e.sec[text].addr + r->r_offset + 4 + (__s64)rel == SYM, "call", NULL);
	r = rela(o, "iu_rt_fuel");
	memcpy(&rel, out + r->r_offset, 4);
	result(e.sec[text].addr + r->r_offset + (__u64)-r->r_addend + (__s64)rel == FUEL, "fuel", NULL);
	result(out[t->r_offset - 1] == 0xc3 && out[t->r_offset] == 0xcc, "return", NULL);
	free(out);
}

/* ---- fuzzing ---- */

static __u64 rng;

static __u64 rnd(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

static void mutate(struct object *o)
{
	static const __u64 odd[] = { 0, 1, 2, 4, 7, 8, 0x7f, 0xff, 0xffff, 0x7fffffff, 0x80000000,
				     0xffffffff, 1ull << 62, ~0ull, ~0ull - 7, IU_ABI_MAX_OBJECT };
	__u64 v = rnd() & 1 ? odd[rnd() % (sizeof(odd) / sizeof(odd[0]))] : rnd();
	__u32 at = rnd() % o->len, width = 1u << rnd() % 4, shoff = ehdr(o)->e_shoff;

	switch (rnd() % 8) {
	case 0:		/* the header */
		at = rnd() % 64;
		break;
	case 1:
	case 2:
	case 3:		/* a field of the section table */
		if (shoff < o->len)
			at = shoff + rnd() % (o->len - shoff);
		at &= ~(width - 1);
		break;
	case 4:
		o->buf[at] ^= 1u << rnd() % 8;
		return;
	case 5:		/* copy one place over another */
		width = rnd() % 64;
		if (width <= o->len)
			memmove(o->buf + rnd() % (o->len - width + 1),
				o->buf + rnd() % (o->len - width + 1), width);
		return;
	case 6:
		if (!(rnd() % 4) && o->len > 64)
			o->len -= rnd() % (o->len - 63);
		return;
	}
	if (width > o->len - at)
		width = o->len - at;
	memcpy(o->buf + at, &v, width);
}

/* What became of a mutated object. */
enum { REFUSED, OTHER_IMAGE, SAME_IMAGE, OUTCOMES };

static void save(const struct object *o, const char *dir, unsigned long nr, int outcome)
{
	static const char * const name[OUTCOMES] = { "refused", "other", "same" };
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%06lu.%s.o", dir, nr, name[outcome]);
	f = fopen(path, "wb");
	if (!f || fwrite(o->buf, 1, o->len, f) != o->len || fclose(f)) {
		perror(path);
		exit(2);
	}
}

/* `want` is the image of the seed; the object is left in `dir`, if there is one. */
static int fuzz_one(const struct object *seed, __u64 want, const char *dir, unsigned long nr)
{
	int outcome;
	struct object o = copy(seed), exact;
	struct iu_abi_counts n;
	unsigned int i, count = 1 + rnd() % 6;
	int ret;

	for (i = 0; i < count; i++)
		mutate(&o);
	exact = copy(&o);
	ret = run(&exact, &n);
	if (ret && ret != -ENOEXEC && ret != -E2BIG)
		result(false, "fuzz", "unknown error");
	if (ret && !e.why)
		result(false, "fuzz", "refused without a reason");
	if (!ret && (n.progs < 1 || n.progs > IU_ABI_MAX_PROGS || !e.info || !e.prog))
		result(false, "fuzz", "accepted without the tables");
	outcome = ret ? REFUSED : image == want ? SAME_IMAGE : OTHER_IMAGE;
	if (dir)
		save(&exact, dir, nr, outcome);
	free(exact.buf);
	free(o.buf);
	return outcome;
}

int main(int argc, char **argv)
{
	unsigned long rounds = 200000, seconds = 0, keep = 0, i, count[OUTCOMES] = { 0 };
	const char *dir = NULL;
	struct object sample, minimal;
	struct iu_abi_counts n;
	__u64 want[2];
	time_t end;
	int opt;

	rng = 0x6975706b67;
	while ((opt = getopt(argc, argv, "n:t:s:o:k:")) != -1) {
		switch (opt) {
		case 'n':
			rounds = strtoul(optarg, NULL, 0);
			break;
		case 't':
			seconds = strtoul(optarg, NULL, 0);
			break;
		case 's':
			rng = strtoull(optarg, NULL, 0) | 1;
			break;
		case 'o':
			dir = optarg;
			break;
		case 'k':
			keep = strtoul(optarg, NULL, 0);
			break;
		default:
			return 2;
		}
	}
	if (argc - optind != 2)
		return 2;
	sample = load(argv[optind]);
	minimal = load(argv[optind + 1]);

	/* They are about this SAMPLE; mutants may be of any. */
	for (i = 0; !dir && i < sizeof(tests) / sizeof(tests[0]); i++)
		run_case(&sample, &tests[i]);
	run_case(&minimal, &tests[0]);
	if (!dir)
		check_values(&sample);

	result(!run(&sample, &n), "sample", e.why);
	want[0] = image;
	result(!run(&minimal, &n), "minimal", e.why);
	want[1] = image;
	end = time(NULL) + seconds;
	for (i = 0; seconds ? time(NULL) < end : i < rounds; i++) {
		bool small = !dir && !(rnd() % 4);

		count[fuzz_one(small ? &minimal : &sample, want[small],
			       dir && keep && i % keep == 0 ? dir : NULL, i)]++;
	}
	result(count[REFUSED] && count[SAME_IMAGE], "fuzz", "refused all or none");
	free(sample.buf);
	free(minimal.buf);
	printf("fuzz: %lu mutated: %lu refused as objects, %lu as other images, %lu mapped the same\n", i,
	       count[REFUSED], count[OTHER_IMAGE], count[SAME_IMAGE]);
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}
