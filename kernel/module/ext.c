// SPDX-License-Identifier: GPL-2.0-only
/* The life of an extension, from LOAD to UNLOAD. */
#include "ext.h"

#include <linux/bpf.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <crypto/sha2.h>

#include "abi.h"
#include "compat.h"
#include "dispatch.h"
#include "image.h"
#include "key.h"
#include "slot.h"
#include "watch.h"

DEFINE_MUTEX(iu_mutex);

static LIST_HEAD(exts);		/* under iu_mutex */
static u32 last_id;		/* under iu_mutex; ids are not used twice */

void iu_refuse(char *msg, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vscnprintf(msg, IU_MSG_LEN, fmt, ap);
	va_end(ap);
	pr_warn("iu: refused: %s\n", msg);
}

struct iu_ext *iu_ext_find(u32 id)
{
	struct iu_ext *ext;

	list_for_each_entry(ext, &exts, node)
		if (ext->id == id)
			return ext;
	return NULL;
}

static void free_ext(struct iu_ext *ext)
{
	u32 i;

	for (i = 0; i < ext->nprogs; i++)
		free_percpu(ext->prog[i].cpu);
	for (i = 0; i < ext->nmaps; i++)
		if (ext->bound[i])
			bpf_map_put(ext->bound[i]);
	if (ext->mod)
		module_put(ext->mod);
	kvfree(ext);
}

/* With iu_mutex held; the extension is in no slot. */
static void unload(struct iu_ext *ext)
{
	list_del(&ext->node);
	iu_watch(!list_empty(&exts));
	/* Runs that found it in a slot are readers. No hook here sleeps. */
	synchronize_rcu();
	free_ext(ext);
	module_put(THIS_MODULE);
}

/* An entry is called indirectly: it must begin with ENDBR64, in the object's own code. */
static bool entry_ok(const struct iu_elf *e, unsigned long entry)
{
	static const u8 endbr64[4] = { 0xf3, 0x0f, 0x1e, 0xfa };
	u32 i;

	for (i = 1; i < e->nsec; i++) {
		const struct iu_elf_section *s = &e->sec[i];

		if (s->kind == IU_KIND_TEXT && entry >= s->addr &&
		    entry - s->addr + sizeof(endbr64) <= s->size)
			return !memcmp((void *)entry, endbr64, sizeof(endbr64));
	}
	return false;
}

/* `harmless`: nothing in the object refers to what could end a run. */
static int init_prog(struct iu_ext *ext, struct iu_prog *p, const struct iu_abi_prog *a,
		     bool harmless)
{
	p->ext = ext;
	p->slot = ~0u;
	raw_spin_lock_init(&p->last_lock);
	strscpy(p->name, a->name, sizeof(p->name));
	p->code = a->entry;
	iu_prog_arm(p);
	p->hook = a->hook;
	p->flags = a->flags;
	p->stack = a->stack;
	p->on_fault = a->on_fault;
	if (!harmless)
		p->mode |= IU_MODE_FRAMED;
	if (a->flags & IU_PROG_F_STACK_CHECK || a->stack > IU_STACK_INLINE)
		p->mode |= IU_MODE_SWITCH;
	/* A checked program ends itself when room gets scarce, but is to get somewhere. */
	p->room = a->stack ?: IU_FRAME_MAX;
	p->cpu = alloc_percpu(struct iu_prog_cpu);
	return p->cpu ? 0 : -ENOMEM;
}

/* From a checked image. */
static struct iu_ext *new_ext(const struct iu_elf *e, const struct iu_abi_counts *n,
			      bool harmless, char *msg)
{
	const struct iu_abi_prog *progs = (void *)(unsigned long)e->sec[e->prog].addr;
	const struct iu_abi_info *info = (void *)(unsigned long)e->sec[e->info].addr;
	struct iu_ext *ext;
	u32 i;
	int ret;

	ext = kvzalloc(struct_size(ext, prog, n->progs), GFP_KERNEL);
	if (!ext)
		return ERR_PTR(-ENOMEM);
	strscpy(ext->name, info->name, sizeof(ext->name));
	strscpy(ext->version, info->version, sizeof(ext->version));
	ext->text = e->sec[e->text].addr;
	ext->text_size = e->sec[e->text].size;
	ext->map = (void *)(unsigned long)e->sec[e->map].addr;
	ext->param = (void *)(unsigned long)e->sec[e->param].addr;
	ext->kreloc = (void *)(unsigned long)e->sec[e->kreloc].addr;
	ext->nkrelocs = n->krelocs;
	ext->nmaps = n->maps;
	ext->nparams = n->params;
	ext->nprogs = n->progs;
	for (i = 0; i < n->progs; i++) {
		ret = init_prog(ext, &ext->prog[i], &progs[i], harmless);
		if (!ret && !entry_ok(e, progs[i].entry)) {
			iu_refuse(msg, "%s/%s: the entry is not code that begins with endbr64",
				  ext->name, progs[i].name);
			ret = -ENOEXEC;
		}
		if (ret) {
			free_ext(ext);
			return ERR_PTR(ret);
		}
	}
	return ext;
}

/* Hints become sec[].addr; which sections need one is the image check's business. */
static int take_hints(struct iu_elf *e, const struct iu_section *hints, u32 n, char *msg)
{
	u32 i;

	for (i = 0; i < n; i++) {
		if (hints[i].reserved || !hints[i].index || hints[i].index >= e->nsec ||
		    e->sec[hints[i].index].kind == IU_KIND_NONE || e->sec[hints[i].index].addr) {
			iu_refuse(msg, "section hint %u is not of an allocated section", i);
			return -EINVAL;
		}
		e->sec[hints[i].index].addr = hints[i].addr;
	}
	return 0;
}

struct request {
	void *object, *signature;
	struct iu_section *hints;
	struct iu_elf *elf;
};

static struct iu_ext *check(struct iu_load *a, const struct request *r)
{
	struct iu_elf *e = r->elf;
	struct iu_abi_counts n;
	struct iu_ext *ext;
	struct module *mod;
	char signer[IU_SIGNER_LEN];
	bool harmless;
	int ret;

	/* First of all: bytes that nobody trusted signed are not even parsed. */
	ret = iu_key_verify(r->object, a->object_len, r->signature, a->signature_len, signer, a->msg);
	if (ret)
		return ERR_PTR(ret);
	ret = iu_elf_parse(e, r->object, a->object_len);
	if (!ret)
		ret = iu_abi_check(e, &n);
	if (ret) {
		iu_refuse(a->msg, "object: section %u: %s", e->where, e->why);
		return ERR_PTR(ret);
	}
	ret = take_hints(e, r->hints, a->nsections, a->msg);
	if (ret)
		return ERR_PTR(ret);

	mod = iu_image_get(a->module);
	if (!mod) {
		iu_refuse(a->msg, "%s: no such module", a->module);
		return ERR_PTR(-ENOENT);
	}
	list_for_each_entry(ext, &exts, node) {
		if (ext->mod == mod) {
			iu_refuse(a->msg, "%s: loaded already, as %u", a->module, ext->id);
			module_put(mod);
			return ERR_PTR(-EEXIST);
		}
	}
	ret = iu_image_check(mod, e, &harmless, a->msg);
	ext = ret ? ERR_PTR(ret) : new_ext(e, &n, harmless, a->msg);
	if (IS_ERR(ext)) {
		module_put(mod);
		return ext;
	}
	ext->mod = mod;
	strscpy(ext->signer, signer, sizeof(ext->signer));
	sha256(r->object, a->object_len, ext->digest);
	return ext;
}

static void *copy_in(u64 from, size_t len)
{
	return vmemdup_user(u64_to_user_ptr(from), len);
}

int iu_ext_load(struct file *file, struct iu_load *a)
{
	struct request r = {};
	struct iu_ext *ext;
	int ret;

	if (a->reserved || !memchr(a->module, 0, sizeof(a->module)) || !a->object_len ||
	    !a->signature_len || !a->nsections)
		return -EINVAL;
	if (a->object_len > IU_ABI_MAX_OBJECT || a->signature_len > IU_MAX_SIG ||
	    a->nsections > IU_ABI_MAX_SECTIONS) {
		iu_refuse(a->msg, "%s: object, signature or section list is too large", a->module);
		return -E2BIG;
	}
	memset(a->msg, 0, sizeof(a->msg));
	r.object = copy_in(a->object, a->object_len);
	r.signature = copy_in(a->signature, a->signature_len);
	r.hints = copy_in(a->sections, a->nsections * sizeof(*r.hints));
	r.elf = kvzalloc(sizeof(*r.elf), GFP_KERNEL);
	if (IS_ERR(r.object) || IS_ERR(r.signature) || IS_ERR(r.hints))
		ret = IS_ERR(r.object) ? PTR_ERR(r.object) :
		      IS_ERR(r.signature) ? PTR_ERR(r.signature) : PTR_ERR(r.hints);
	else if (!r.elf)
		ret = -ENOMEM;
	else {
		mutex_lock(&iu_mutex);
		ext = check(a, &r);
		ret = PTR_ERR_OR_ZERO(ext);
		if (!ret) {
			__module_get(THIS_MODULE);
			ext->owner = file;
			ext->id = ++last_id;
			list_add_tail(&ext->node, &exts);
			iu_watch(true);
			a->id = ext->id;
			pr_info("iu: %s %s: loaded as %u from %s\n", ext->name, ext->version,
				ext->id, a->module);
		}
		mutex_unlock(&iu_mutex);
	}
	kvfree(r.elf);
	if (!IS_ERR(r.hints))
		kvfree(r.hints);
	if (!IS_ERR(r.signature))
		kvfree(r.signature);
	if (!IS_ERR(r.object))
		kvfree(r.object);
	return ret;
}

/*
 * Only maps whose values are plain bytes in one place per key (and CPU), and maps
 * that are not looked up: what a lookup in others returns is a kernel object, not
 * a value.
 */
static const char *map_differs(const struct bpf_map *map, const struct iu_abi_map *want)
{
	u32 entries = want->max_entries;
	u32 flags = map->map_flags;

	switch (map->map_type) {
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_ARRAY:
	case BPF_MAP_TYPE_PERCPU_HASH:
	case BPF_MAP_TYPE_PERCPU_ARRAY:
	case BPF_MAP_TYPE_LRU_HASH:
	case BPF_MAP_TYPE_LRU_PERCPU_HASH:
	case BPF_MAP_TYPE_LPM_TRIE:
	case BPF_MAP_TYPE_QUEUE:
	case BPF_MAP_TYPE_STACK:
	case BPF_MAP_TYPE_BLOOM_FILTER:
	case BPF_MAP_TYPE_RINGBUF:
	case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
	case BPF_MAP_TYPE_STACK_TRACE:
	case BPF_MAP_TYPE_CPUMAP:
		break;
	case BPF_MAP_TYPE_DEVMAP:
	case BPF_MAP_TYPE_DEVMAP_HASH:
		/* The kernel sets it by itself, for lookups by eBPF programs. */
		flags &= ~BPF_F_RDONLY_PROG;
		break;
	default:
		return "is of a type that programs cannot use";
	}
	if (map->map_type != want->type)
		return "is of another type";
	if (map->key_size != want->key_size || map->value_size != want->value_size)
		return "has keys or values of another size";
	if (flags != want->map_flags)
		return "has other flags";
	if (flags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG))
		return "may not be read or not be written by programs";
	/* The kernel rounds up per-CPU LRU lists. */
	if (map->map_flags & BPF_F_NO_COMMON_LRU)
		entries = roundup(entries, num_possible_cpus());
	/* User space makes these no larger than there are CPUs. */
	if ((map->map_type == BPF_MAP_TYPE_CPUMAP ||
	     map->map_type == BPF_MAP_TYPE_PERF_EVENT_ARRAY) && map->max_entries < entries)
		entries = map->max_entries;
	if (want->role == IU_MAP_ROLE_SIZED && map->max_entries && map->max_entries < entries)
		entries = map->max_entries;
	if (map->max_entries != entries)
		return "has another number of entries";
	if (iu_map_has_special_fields(map))
		return "has locks, timers or kernel pointers in its values";
	return NULL;
}

int iu_ext_bind(struct iu_bind *a)
{
	struct iu_abi_map *m;
	struct bpf_map *map;
	struct iu_ext *ext;
	const char *why;
	int ret = 0;

	memset(a->msg, 0, sizeof(a->msg));
	map = bpf_map_get(a->fd);
	if (IS_ERR(map))
		return PTR_ERR(map);
	mutex_lock(&iu_mutex);
	ext = iu_ext_find(a->id);
	if (!ext || a->map >= ext->nmaps) {
		ret = -ENOENT;
		goto out;
	}
	m = &ext->map[a->map];
	why = map_differs(map, m);
	if (ext->started || ext->bound[a->map]) {
		ret = -EBUSY;
	} else if (why) {
		iu_refuse(a->msg, "%s: map %.*s: the map %s", ext->name, IU_ABI_NAME_LEN, m->name,
			  why);
		ret = -EINVAL;
	} else {
		if (map->map_type == BPF_MAP_TYPE_ARRAY) {
			struct bpf_array *array = container_of(map, struct bpf_array, map);

			m->data = (unsigned long)array->value;
			m->stride = array->elem_size;
			if (m->role == IU_MAP_ROLE_SIZED)
				m->max_entries = map->max_entries;
			/* The map outlives every run: it is dropped once all have ended. */
			if (m->role == IU_MAP_ROLE_GAPS)
				ext->gaps = (atomic64_t *)array->value;
		}
		m->map = (unsigned long)map;
		ext->bound[a->map] = map;
		map = NULL;
	}
out:
	mutex_unlock(&iu_mutex);
	if (map)
		bpf_map_put(map);
	return ret;
}

int iu_ext_set_param(const struct iu_set_param *a)
{
	struct iu_ext *ext;
	int ret = 0;

	if (a->reserved)
		return -EINVAL;
	mutex_lock(&iu_mutex);
	ext = iu_ext_find(a->id);
	if (!ext || a->param >= ext->nparams)
		ret = -ENOENT;
	else if (ext->started)
		ret = -EBUSY;
	else if (!iu_abi_param_ok(&ext->param[a->param], a->value))
		ret = -ERANGE;
	else
		ext->param[a->param].value = a->value;
	mutex_unlock(&iu_mutex);
	return ret;
}

int iu_ext_complete(const struct iu_ext *ext)
{
	u32 i;

	for (i = 0; i < ext->nmaps; i++)
		if (!ext->bound[i])
			return -EINVAL;
	return bitmap_weight(ext->resolved, ext->nkrelocs) == ext->nkrelocs ? 0 : -EINVAL;
}

int iu_ext_unload(u32 id)
{
	struct iu_ext *ext;
	int ret = 0;

	mutex_lock(&iu_mutex);
	ext = iu_ext_find(id);
	if (!ext)
		ret = -ENOENT;
	else if (iu_slot_uses(ext))
		ret = -EBUSY;
	else
		unload(ext);
	mutex_unlock(&iu_mutex);
	return ret;
}

void iu_ext_commit(struct file *file)
{
	struct iu_ext *ext;

	list_for_each_entry(ext, &exts, node)
		if (ext->owner == file)
			ext->owner = NULL;
}

void iu_ext_close(struct file *file)
{
	struct iu_ext *ext, *next;

	list_for_each_entry_safe(ext, next, &exts, node) {
		if (ext->owner != file)
			continue;
		iu_slot_evict(ext);
		unload(ext);
	}
}

int iu_ext_info(struct iu_ext_info *a)
{
	struct iu_ext *ext;
	int ret = -ENOENT;

	if (a->reserved)
		return -EINVAL;
	mutex_lock(&iu_mutex);
	list_for_each_entry(ext, &exts, node) {
		if (ext->id < a->start)
			continue;
		a->id = ext->id;
		a->progs = ext->nprogs;
		a->maps = ext->nmaps;
		a->params = ext->nparams;
		a->committed = !ext->owner;
		memcpy(a->digest, ext->digest, sizeof(a->digest));
		strscpy_pad(a->name, ext->name, sizeof(a->name));
		strscpy_pad(a->version, ext->version, sizeof(a->version));
		strscpy_pad(a->module, ext->mod->name, sizeof(a->module));
		a->image_bytes = iu_image_bytes(ext->mod);
		strscpy_pad(a->signer, ext->signer, sizeof(a->signer));
		ret = 0;
		break;
	}
	mutex_unlock(&iu_mutex);
	return ret;
}

static void fill_prog(struct iu_prog *p, struct iu_prog_info *a)
{
	struct iu_last_fault last;
	unsigned long flags;
	int cpu, i;

	a->hook = p->hook;
	strscpy_pad(a->name, p->name, sizeof(a->name));
	a->flags = p->flags;
	a->stack = p->stack;
	a->on_fault = p->on_fault;
	a->slot = p->slot;
	a->disabled = !iu_prog_stopped(p) ? IU_RUNNING : READ_ONCE(p->dead) ? IU_DISABLED : IU_PAUSED;
	a->max_faults = p->max_faults;
	a->budget_ns = p->budget_ns;
	a->window_ns = p->window_ns;
	a->runs = a->skipped = a->ns = 0;
	for_each_possible_cpu(cpu) {
		const struct iu_prog_cpu *c = per_cpu_ptr(p->cpu, cpu);

		a->runs += READ_ONCE(c->runs);
		a->skipped += READ_ONCE(c->skipped);
		a->ns += READ_ONCE(c->ns);
	}
	a->timing = !!(READ_ONCE(p->mode) & IU_MODE_TIMED);
	for (i = 0; i < IU_CAUSES; i++)
		a->faults[i] = atomic64_read(&p->faults[i]);
	raw_spin_lock_irqsave(&p->last_lock, flags);
	last = p->last;
	raw_spin_unlock_irqrestore(&p->last_lock, flags);
	a->last_ns = last.ns;
	a->last_cause = last.cause;
	a->last_cpu = last.cpu;
	a->last_offset = last.offset;
	a->last_line = last.line;
	a->last_col = last.col;
	memcpy(a->last_file, last.file, sizeof(a->last_file));
	a->last_calls = last.nchain;
	memcpy(a->last_chain, last.chain, sizeof(a->last_chain));
}

int iu_prog_info(struct iu_prog_info *a)
{
	struct iu_ext *ext;
	int ret = -ENOENT;

	mutex_lock(&iu_mutex);
	ext = iu_ext_find(a->id);
	if (ext && a->prog < ext->nprogs) {
		fill_prog(&ext->prog[a->prog], a);
		ret = 0;
	}
	mutex_unlock(&iu_mutex);
	return ret;
}

int iu_ext_timing(const struct iu_timing *a)
{
	struct iu_ext *ext;
	int ret = 0;
	u32 i;

	if (a->on > 1 || a->reserved)
		return -EINVAL;
	mutex_lock(&iu_mutex);
	ext = iu_ext_find(a->id);
	if (!ext)
		ret = -ENOENT;
	for (i = 0; ext && i < ext->nprogs; i++) {
		struct iu_prog *p = &ext->prog[i];

		WRITE_ONCE(p->mode, a->on ? p->mode | IU_MODE_TIMED : p->mode & ~IU_MODE_TIMED);
	}
	mutex_unlock(&iu_mutex);
	return ret;
}
