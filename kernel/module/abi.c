// SPDX-License-Identifier: GPL-2.0-only
/* See abi.h. */
#include "abi.h"

#include <linux/bpf.h>
#include <linux/elf.h>
#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/stddef.h>
#include <linux/string.h>
#else
#include <errno.h>
#include <stddef.h>
#include <string.h>
#endif

#include "hook.h"

_Static_assert(sizeof(struct iu_abi_info) == 160, "iu_abi_info");
_Static_assert(sizeof(struct iu_abi_prog) == 64, "iu_abi_prog");
_Static_assert(sizeof(struct iu_abi_marker) == 56, "iu_abi_marker");
_Static_assert(sizeof(struct iu_abi_map) == 80, "iu_abi_map");
_Static_assert(sizeof(struct iu_abi_param) == 64, "iu_abi_param");
_Static_assert(sizeof(struct iu_abi_kreloc) == 168, "iu_abi_kreloc");
_Static_assert(sizeof(struct iu_ctx_tc) == 40, "iu_ctx_tc");
_Static_assert(sizeof(struct iu_regs_x86_64) == 168, "iu_regs_x86_64");
_Static_assert(sizeof(struct iu_ctx_perf_event) == 32, "iu_ctx_perf_event");
_Static_assert(sizeof(struct iu_ctx_record) == 16, "iu_ctx_record");
_Static_assert(sizeof(struct iu_ctx_args) == 24, "iu_ctx_args");
_Static_assert(sizeof(struct iu_ctx_sock_addr) == 28, "iu_ctx_sock_addr");

static int bad(struct iu_elf *e, __u32 where, const char *why)
{
	e->why = why;
	e->where = where;
	return -ENOEXEC;
}

/*
 * A name: not empty, printable ASCII without spaces, then only NULs. What is
 * printable may go to the kernel log as it is.
 */
static bool name_ok(const char *s, size_t size)
{
	size_t i, n = 0;

	while (n < size && s[n])
		n++;
	if (!n || n == size)
		return false;
	for (i = 0; i < n; i++)
		if (s[i] <= ' ' || s[i] > '~')
			return false;
	for (; i < size; i++)
		if (s[i])
			return false;
	return true;
}

/* Entries of `size` bytes in section `i` (0: none); -1 if it is not made of those. */
static int entries(const struct iu_elf *e, __u32 i, size_t size)
{
	if (!i)
		return 0;
	if (e->sec[i].size % size)
		return -1;
	return e->sec[i].size / size;
}

/* Are there relocations at other offsets of an entry than `field`? ~0: at any. */
static bool stray_relocs(const struct iu_elf *e, __u32 i, size_t size, __u64 field)
{
	Elf64_Rela r;
	__u32 n;

	for (n = 0; i && n < e->sec[i].nrela; n++) {
		memcpy(&r, e->sec[i].rela + (__u64)n * sizeof(r), sizeof(r));
		if (r.r_offset % size != field)
			return true;
	}
	return false;
}

/* Known kinds, none missing in between, and only where there are arguments. */
static bool args_ok(const struct iu_hook_row *hook, __u64 args)
{
	bool end = false;
	__u32 n, kind;

	if (!hook->args)
		return !args;
	if (IU_ARGS_RET(args) >= IU_ARG_MAX || (!hook->ret && IU_ARGS_RET(args)))
		return false;
	for (n = 0; n < 15; n++) {
		kind = IU_ARGS_KIND(args, n);
		if (kind && (end || kind >= IU_ARG_MAX || n >= IU_ARGS_MAX))
			return false;
		end |= !kind;
	}
	return true;
}

static int check_progs(struct iu_elf *e, __u32 count)
{
	const struct iu_hook_row *hook;
	struct iu_abi_prog p;
	__u32 i;

	for (i = 0; i < count; i++) {
		memcpy(&p, e->sec[e->prog].data + i * sizeof(p), sizeof(p));
		if (!name_ok(p.name, sizeof(p.name)))
			return bad(e, e->prog, "malformed program name");
		hook = iu_hook_row(p.hook);
		if (!hook)
			return bad(e, e->prog, "hook is not served by this runtime");
		if (p.flags & ~(IU_PROG_F_POLL | IU_PROG_F_STACK_CHECK) || p.entry)
			return bad(e, e->prog, "unknown flag or reserved field");
		if (!args_ok(hook, p.args))
			return bad(e, e->prog, "arguments are malformed, or the hook has none");
		if (!p.stack && !(p.flags & IU_PROG_F_STACK_CHECK))
			return bad(e, e->prog, "stack is neither proven nor checked");
		if (p.stack > IU_STACK_SIZE - IU_STACK_RESERVE)
			return bad(e, e->prog, "proven stack is larger than a runtime stack");
		if (p.on_fault < hook->least || p.on_fault > hook->most)
			return bad(e, e->prog, "verdict after a fault is not one of the hook's");
	}
	return 0;
}

static int check_maps(struct iu_elf *e, __u32 count)
{
	struct iu_abi_map m;
	__u32 i;

	for (i = 0; i < count; i++) {
		memcpy(&m, e->sec[e->map].data + i * sizeof(m), sizeof(m));
		if (!name_ok(m.name, sizeof(m.name)))
			return bad(e, e->map, "malformed map name");
		if (m.stride || m.map || m.data || m.reserved)
			return bad(e, e->map, "reserved field of a map");
		if (m.role >= IU_MAP_ROLES)
			return bad(e, e->map, "unknown role of a map");
		if (m.role != IU_MAP_ROLE_NONE && (m.type != BPF_MAP_TYPE_ARRAY || m.map_flags))
			return bad(e, e->map, "role of a map that is no plain array");
		if (m.role == IU_MAP_ROLE_GAPS && (m.value_size != sizeof(__u64) || m.max_entries != 1))
			return bad(e, e->map, "map of gaps is not one number");
	}
	return 0;
}

static int check_params(struct iu_elf *e, __u32 count)
{
	struct iu_abi_param p;
	__u32 i;

	for (i = 0; i < count; i++) {
		memcpy(&p, e->sec[e->param].data + i * sizeof(p), sizeof(p));
		if (!name_ok(p.name, sizeof(p.name)))
			return bad(e, e->param, "malformed parameter name");
		if (p.type < IU_PARAM_BOOL || p.type > IU_PARAM_I64 || p.reserved)
			return bad(e, e->param, "unknown parameter type or reserved field");
		if (p.type == IU_PARAM_BOOL && (p.min > 1 || p.max > 1))
			return bad(e, e->param, "range of a boolean");
		if (!iu_abi_param_ok(&p, p.value))
			return bad(e, e->param, "default is outside the range");
	}
	return 0;
}

/* Printable words with single spaces between, then only NULs; nothing at all if `empty`. */
static bool cname_ok(const char *s, size_t size, bool empty)
{
	size_t i, n = 0;

	while (n < size && s[n])
		n++;
	if (n == size || !n != empty)
		return false;
	for (i = 0; i < n; i++)
		if (s[i] < ' ' || s[i] > '~' || (s[i] == ' ' && (!i || s[i - 1] == ' ' || i == n - 1)))
			return false;
	for (; i < size; i++)
		if (s[i])
			return false;
	return true;
}

/* Does the entry read memory, rather than being a number? */
static bool reads(const struct iu_abi_kreloc *r)
{
	return r->kind == IU_KRELOC_FIELD || r->kind == IU_KRELOC_TRACE;
}

static int check_krelocs(struct iu_elf *e, __u32 count)
{
	const __u32 forms = IU_KRELOC_F_INT | IU_KRELOC_F_PTR | IU_KRELOC_F_INSIDE;
	struct iu_abi_kreloc r;
	__u32 i, form;

	for (i = 0; i < count; i++) {
		memcpy(&r, e->sec[e->kreloc].data + i * sizeof(r), sizeof(r));
		form = r.flags & forms;
		if (r.kind < IU_KRELOC_FIELD || r.kind > IU_KRELOC_TRACE)
			return bad(e, e->kreloc, "unknown kind of kernel relocation");
		if (!cname_ok(r.type, sizeof(r.type), false) ||
		    !cname_ok(r.field, sizeof(r.field), !reads(&r) && r.kind != IU_KRELOC_ENUM))
			return bad(e, e->kreloc, "malformed name of a type or member");
		if (r.flags & ~(forms | IU_KRELOC_F_OPTIONAL) || form & (form - 1) ||
		    (form && !reads(&r)))
			return bad(e, e->kreloc, "unknown flags of a kernel relocation");
		if (r.want > IU_KRELOC_MAX_BYTES || (form == IU_KRELOC_F_INT && r.want > 8) ||
		    (form == IU_KRELOC_F_PTR && r.want != 8) ||
		    !r.want != (!reads(&r) || form == IU_KRELOC_F_INSIDE))
			return bad(e, e->kreloc, "size of a kernel relocation");
		if (r.exists || r.offset || r.size || r.bits || r.reserved || r.value)
			return bad(e, e->kreloc, "kernel relocation that is resolved already");
	}
	return 0;
}

/* Bytes of a load that code for integers knows. */
static bool is_word(__u32 size)
{
	return size == 1 || size == 2 || size == 4 || size == 8;
}

bool iu_abi_kreloc_ok(const struct iu_abi_kreloc *r, const struct iu_abi_kreloc *set)
{
	__u32 first = set->bits & 0xff, width = set->bits >> 8;

	if (set->exists > 1)
		return false;
	if (!set->exists)
		return !set->offset && !set->size && !set->bits && !set->value &&
		       (r->kind == IU_KRELOC_CONFIG || r->flags & IU_KRELOC_F_OPTIONAL);
	if (!reads(r)) {
		if (set->offset || set->size || set->bits)
			return false;
		return r->kind != IU_KRELOC_SIZE ||
		       (set->value && set->value <= IU_KRELOC_MAX_BYTES);
	}
	if (set->value || !set->size || set->size > IU_KRELOC_MAX_BYTES ||
	    set->offset > IU_KRELOC_MAX_BYTES - set->size)
		return false;
	if (r->flags & IU_KRELOC_F_INT) {
		if (!is_word(set->size))
			return false;
		if (!set->bits)
			return set->size <= r->want;
		/* The load may be wider than what is wanted, the bits may not. */
		return width && width <= 8 * r->want && first + width <= 8 * set->size;
	}
	if (set->bits)
		return false;
	return r->flags & IU_KRELOC_F_INSIDE || set->size == r->want;
}

bool iu_abi_param_ok(const struct iu_abi_param *p, __u64 value)
{
	if (p->type == IU_PARAM_I64)
		return (__s64)value >= (__s64)p->min && (__s64)value <= (__s64)p->max;
	return value >= p->min && value <= p->max;
}

int iu_abi_check(struct iu_elf *e, struct iu_abi_counts *n)
{
	int progs = entries(e, e->prog, sizeof(struct iu_abi_prog));
	int maps = entries(e, e->map, sizeof(struct iu_abi_map));
	int params = entries(e, e->param, sizeof(struct iu_abi_param));
	int krelocs = entries(e, e->kreloc, sizeof(struct iu_abi_kreloc));
	struct iu_abi_info info;
	int ret;

	if (e->sec[e->info].size != sizeof(info))
		return bad(e, e->info, "not one struct iu_abi_info");
	memcpy(&info, e->sec[e->info].data, sizeof(info));
	if (info.magic != IU_ABI_MAGIC)
		return bad(e, e->info, "wrong magic");
	if (info.abi != IU_ABI_VERSION)
		return bad(e, e->info, "another version of the ABI");
	if (info.machine != EM_X86_64)
		return bad(e, e->info, "for another machine");
	if (!name_ok(info.name, sizeof(info.name)) || !name_ok(info.version, sizeof(info.version)))
		return bad(e, e->info, "malformed name or version");
	if (info.reserved[0] || info.reserved[1] || info.reserved[2])
		return bad(e, e->info, "reserved field");

	if (progs < 1 || maps < 0 || params < 0 || krelocs < 0)
		return bad(e, e->prog, "no program, or a table of another size");
	if (progs > IU_ABI_MAX_PROGS || maps > IU_ABI_MAX_MAPS || params > IU_ABI_MAX_PARAMS ||
	    krelocs > IU_ABI_MAX_KRELOCS) {
		e->why = "too many programs, maps, parameters or kernel relocations";
		e->where = e->prog;
		return -E2BIG;
	}
	if (stray_relocs(e, e->prog, sizeof(struct iu_abi_prog),
			 offsetof(struct iu_abi_prog, entry)) ||
	    stray_relocs(e, e->info, sizeof(struct iu_abi_info), ~0ull) ||
	    stray_relocs(e, e->map, sizeof(struct iu_abi_map), ~0ull) ||
	    stray_relocs(e, e->param, sizeof(struct iu_abi_param), ~0ull) ||
	    stray_relocs(e, e->kreloc, sizeof(struct iu_abi_kreloc), ~0ull))
		return bad(e, e->prog, "relocation where the ABI has none");

	ret = check_progs(e, progs);
	if (!ret)
		ret = check_maps(e, maps);
	if (!ret)
		ret = check_params(e, params);
	if (!ret)
		ret = check_krelocs(e, krelocs);
	n->progs = progs;
	n->maps = maps;
	n->params = params;
	n->krelocs = krelocs;
	return ret;
}
