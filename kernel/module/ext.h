/* SPDX-License-Identifier: GPL-2.0-only */
/* A loaded extension and its programs. */
#ifndef IU_EXT_H
#define IU_EXT_H

#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/spinlock.h>

#include "iu_abi.h"
#include "iu_uapi.h"

struct bpf_map;
struct file;
struct iu_ext;
struct module;

struct iu_last_fault {
	u64 ns;
	u32 cause, cpu, line, col;
	u64 offset;
	char file[64];
	u32 nchain, chain[IU_CHAIN_MAX];
};

/* How to run a program: iu_prog.mode. */
#define IU_MODE_PLAIN	0	/* where it is called, without a frame */
#define IU_MODE_FRAMED	1	/* it may fault */
#define IU_MODE_SWITCH	2	/* on a runtime stack */
#define IU_MODE_TIMED	4	/* taking the time, too */

struct iu_prog_cpu {
	u64 runs, skipped, ns;
};

struct iu_prog {
	/* Read by every run; written under iu_mutex while in no slot, but where said. */
	unsigned long entry;		/* first: enter.S; `code`, or what a stopped one does: fault.c */
	struct iu_prog_cpu __percpu *cpu;
	u32 mode;			/* IU_MODE_TIMED may come and go */
	u32 room;			/* bytes it may need on a runtime stack, at least */
	u32 hook;
	s32 on_fault;
	u64 budget_ns;

	unsigned long code;
	struct iu_ext *ext;
	char name[IU_ABI_NAME_LEN];
	u32 flags, stack;
	u32 slot;			/* ~0: in none; under iu_mutex */

	/* How many faults it may have; fault.c. */
	u32 max_faults;			/* 0: any number */
	u64 window_ns;			/* so many in so long: paused; 0: ever, disabled */
	atomic_t strikes;		/* faults since ATTACH, or in the window */
	atomic64_t window_start;	/* ns; 0: no fault yet */
	u64 resume;			/* ns; not 0: paused until then */
	bool dead;			/* disabled */

	atomic64_t faults[IU_CAUSES];
	raw_spinlock_t last_lock;	/* guards last; only tried in fault paths, which may be NMI */
	struct iu_last_fault last;
};

struct iu_ext {
	struct list_head node;		/* in iu_exts, by rising id */
	u32 id;
	struct file *owner;		/* the open /dev/iu that made it; NULL: committed */
	struct module *mod;		/* pinned */
	bool started;			/* was attached once: bindings and parameters are final */
	char name[IU_ABI_PKG_LEN];
	char version[IU_ABI_VER_LEN];
	u8 digest[32];
	unsigned long text, text_size;	/* .text */
	char signer[IU_SIGNER_LEN];	/* the certificate whose key signed it */
	struct iu_abi_map *map;		/* in the image */
	struct iu_abi_param *param;	/* in the image */
	struct iu_abi_kreloc *kreloc;	/* in the image */
	DECLARE_BITMAP(resolved, IU_ABI_MAX_KRELOCS);	/* set by SET_KRELOC */
	struct bpf_map *bound[IU_ABI_MAX_MAPS];	/* referenced; NULL: not bound yet */
	atomic64_t *gaps;		/* value of the map of that role, NULL: it has none */
	u32 nmaps, nparams, nkrelocs, nprogs;
	struct iu_prog prog[];
};

/*
 * Guards the list of extensions, everything of an extension that a run does not
 * read, the slots and the keyring's seal. Never held around a run.
 */
extern struct mutex iu_mutex;

/* Programs of it may have missed something. Any context. */
static inline void iu_ext_gap(const struct iu_ext *ext)
{
	if (ext->gaps)
		atomic64_inc(ext->gaps);
}

int iu_ext_init(void);
void iu_ext_exit(void);

int iu_ext_load(struct file *file, struct iu_load *a);
int iu_ext_bind(struct iu_bind *a);
int iu_ext_set_param(const struct iu_set_param *a);
int iu_ext_set_kreloc(const struct iu_set_kreloc *a);
int iu_ext_unload(u32 id);
int iu_ext_info(struct iu_ext_info *a);
int iu_prog_info(struct iu_prog_info *a);
int iu_ext_timing(const struct iu_timing *a);

/* With iu_mutex held. */
struct iu_ext *iu_ext_find(u32 id);
int iu_ext_complete(const struct iu_ext *ext);	/* -EINVAL: a map is not bound, or a kernel relocation not set */
void iu_ext_commit(struct file *file);
void iu_ext_close(struct file *file);

/* Logs one line and leaves it in msg[IU_MSG_LEN]. */
__printf(2, 3) void iu_refuse(char *msg, const char *fmt, ...);

#endif
