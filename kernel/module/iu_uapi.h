/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * /dev/iu: how user space drives the runtime. Opening it needs CAP_SYS_ADMIN in
 * the initial user namespace.
 *
 * Life of an extension. LOAD makes one from a wrapper that the kernel's module
 * loader has mapped; its programs are callable by nobody. BIND, SET_PARAM
 * and SET_KRELOC complete it. SLOT_NEW makes a slot of a hook, whose number the stub carries.
 * ATTACH puts programs into slots, replacing what is there between two runs.
 * What a file made and did not COMMIT goes away with the file: a loader that
 * dies leaves nothing. DETACH, UNLOAD and SLOT_FREE undo.
 *
 * Every structure starts with its size as the caller knows it. A kernel that
 * knows a longer one reads zeros for the rest; one that knows a shorter one
 * refuses (-E2BIG) unless the rest is zero. Reserved fields must be zero
 * (-EINVAL). Pointers are user addresses in a __u64.
 *
 * Errors, beside what each command names: -EFAULT a bad pointer, -EINVAL a
 * malformed argument, -ENOENT no such extension, program, map or slot, -EBUSY in
 * use, -ENOMEM. Each refusal of LOAD, BIND and KEY_ADD logs one line that names the
 * check that failed, and the same line can be read back in `msg`.
 */
#ifndef IU_UAPI_H
#define IU_UAPI_H

#include <linux/types.h>
#include <linux/ioctl.h>

#define IU_UAPI_VERSION		1
#define IU_NAME_LEN		32
#define IU_PKG_LEN		64
#define IU_MODNAME_LEN		56	/* MODULE_NAME_LEN, with the NUL */
#define IU_MSG_LEN		256
#define IU_SIGNER_LEN		96
#define IU_CHAIN_MAX		8
#define IU_MAX_SLOTS		1024
#define IU_MAX_SIG		(64u << 10)
#define IU_MAX_CERT		(16u << 10)

/* Causes of a fault. */
enum iu_cause {
	IU_CAUSE_PANIC		= 0,	/* Rust panic: failed bounds check, unwrap, overflow, ... */
	IU_CAUSE_STACK		= 1,	/* stack limit */
	IU_CAUSE_BUDGET		= 2,	/* ran longer than its budget */
	IU_CAUSE_LOCK		= 3,	/* second lock, or a lock taken below an NMI */
	IU_CAUSE_NESTING	= 4,	/* no stack left for a nested run: not started */
	IU_CAUSE_LEAK		= 5,	/* returned with something held, which was given back */
	IU_CAUSES		= 8,	/* room in the arrays below */
};

enum iu_stopped {
	IU_RUNNING		= 0,
	IU_DISABLED		= 1,	/* until the next ATTACH */
	IU_PAUSED		= 2,	/* for some time */
};

struct iu_version {
	__u32 size;
	__u32 uapi;			/* out: IU_UAPI_VERSION */
	__u32 abi;			/* out: IU_ABI_VERSION */
	__u32 sealed;			/* out: 1 after KEY_SEAL */
	__u32 keys;			/* out: certificates in the keyring */
	__u32 harvested;		/* out: bit per enum iu_hook whose helpers are known */
	__u64 stack_bytes;		/* out: vmapped stacks, all CPUs */
	__u32 hooks;			/* out: bit per enum iu_hook that this kernel lets a stub call */
	__u32 reserved0;
	__u64 reserved;
};

/* X.509 certificate, DER. -EPERM after KEY_SEAL, -EKEYREJECTED not a certificate, -E2BIG. */
struct iu_key {
	__u32 size;
	__u32 len;
	__u64 data;
	char msg[IU_MSG_LEN];		/* out */
};

/* Where the module loader put one section of the object. */
struct iu_section {
	__u32 index;			/* section header index in the object */
	__u32 reserved;
	__u64 addr;
};

/*
 * The caller's section addresses are hints: each is checked to lie in the
 * module's memory of the right kind, and the bytes there to be the object's.
 * -EKEYREJECTED the signature is not by a key in the keyring or not over these
 * bytes; -EBADMSG the image is not the object; -ENOEXEC the object breaks the
 * ABI; -E2BIG a limit; -ENOENT no such module; -EEXIST loaded already.
 */
struct iu_load {
	__u32 size;
	__u32 id;			/* out: the extension */
	char module[IU_MODNAME_LEN];	/* the wrapper's module name */
	__u64 object;
	__u64 signature;		/* PKCS#7, DER, detached over the object */
	__u64 sections;			/* struct iu_section[nsections] */
	__u32 object_len;
	__u32 signature_len;
	__u32 nsections;
	__u32 reserved;
	char msg[IU_MSG_LEN];		/* out: why it was refused */
};

/* -EINVAL: the map is not what the object declares. Only before the first ATTACH. */
struct iu_bind {
	__u32 size;
	__u32 id;
	__u32 map;			/* index in .iu.map */
	__s32 fd;			/* BPF map */
	char msg[IU_MSG_LEN];		/* out */
};

/* -ERANGE: outside min..max. Only before the first ATTACH. */
struct iu_set_param {
	__u32 size;
	__u32 id;
	__u32 param;			/* index in .iu.param */
	__u32 reserved;
	__u64 value;
};

/*
 * -ERANGE: outside what iu_abi.h allows for the entry, or it is missing and may not be.
 * Only before the first ATTACH, which wants every entry set.
 */
struct iu_set_kreloc {
	__u32 size;
	__u32 id;
	__u32 kreloc;			/* index in .iu.reloc */
	__u32 exists;			/* this and below: as in struct iu_abi_kreloc */
	__u32 offset;
	__u32 bytes;			/* its `size` */
	__u32 bits;
	__u32 reserved;
	__u64 value;
};

struct iu_slot_new {
	__u32 size;
	__u32 hook;			/* enum iu_hook */
	__u32 slot;			/* out */
	__u32 reserved;
};

struct iu_attach_one {
	__u32 slot;
	__u32 id;
	__u32 prog;			/* index in .iu.prog */
	__u32 max_faults;		/* how many faults it may have; 0: any number, at most 2^31 - 1 */
	__u64 budget_ns;		/* 0: the default, 10 ms; 1000 to 1,000,000,000 */
	/*
	 * 0: the program is disabled after max_faults. Else, 1,000,000 to
	 * 3,600,000,000,000: when it had so many within so long it is paused for the
	 * rest of that time; a run over its budget counts as one for each 10 us of that.
	 * Disabled or paused, it answers as after a fault.
	 */
	__u64 window_ns;
};

/* All or none. -EINVAL hook of slot and program differ, a map is not bound. */
struct iu_attach {
	__u32 size;
	__u32 count;			/* at most 64 */
	__u64 items;			/* struct iu_attach_one[count] */
};

/* UNLOAD: -EBUSY while in a slot. DETACH and SLOT_FREE: the slot's default verdict from now on. */
struct iu_id {
	__u32 size;
	__u32 id;			/* extension, or slot */
};

/* The smallest id >= start; -ENOENT after the last. */
struct iu_ext_info {
	__u32 size;
	__u32 start;
	__u32 id;			/* out, as all below */
	__u32 progs, maps, params;
	__u32 committed;
	__u32 reserved;
	__u8 digest[32];		/* SHA-256 of the object */
	char name[IU_PKG_LEN];
	char version[IU_PKG_LEN];
	char module[IU_MODNAME_LEN];
	__u64 image_bytes;		/* memory of the mapped wrapper */
	char signer[IU_SIGNER_LEN];	/* "SUBJECT: SERIAL" of the certificate whose key signed it */
};

struct iu_prog_info {
	__u32 size;
	__u32 id;
	__u32 prog;
	__u32 hook;			/* out, as all below */
	char name[IU_NAME_LEN];
	__u32 flags;
	__u32 stack;			/* proven bound in bytes, 0 if checked at run time */
	__s32 on_fault;
	__u32 slot;			/* ~0: in none */
	__u32 disabled;			/* enum iu_stopped */
	__u32 max_faults;
	__u64 budget_ns;
	__u64 runs;
	__u64 faults[IU_CAUSES];	/* by enum iu_cause */
	__u64 last_ns;			/* CLOCK_MONOTONIC of the last fault, 0 if none */
	__u32 last_cause;
	__u32 last_cpu;
	__u64 last_offset;		/* of the faulting return address, from the start of .text */
	__u32 last_line;		/* of the panic; 0 if not a panic */
	__u32 last_col;
	char last_file[64];
	__u64 window_ns;
	__u64 skipped;			/* times it was called while disabled or paused; not in runs */
	__u64 ns;			/* time in runs while timing was on */
	__u32 timing;			/* 1: on */
	__u32 last_calls;		/* entries of last_chain */
	/* Return addresses of the program's own calls on its stack at the last fault, innermost first; as last_offset. */
	__u32 last_chain[IU_CHAIN_MAX];
};

/* Timing costs two looks at the clock per run, so it is off until asked for. */
struct iu_timing {
	__u32 size;
	__u32 id;			/* extension */
	__u32 on;			/* 0 or 1 */
	__u32 reserved;
};

/*
 * Addresses of eBPF helpers, read from a verified program whose instructions the
 * runtime knows by their tag (kernel/stubs/harvest.bpf.c). -EINVAL: another program.
 */
struct iu_harvest {
	__u32 size;
	__u32 hook;
	__s32 fd;			/* BPF program */
	__u32 reserved;
};

#define IU_IOC_VERSION		_IOWR('U', 0x00, struct iu_version)
#define IU_IOC_KEY_ADD		_IOWR('U', 0x01, struct iu_key)
#define IU_IOC_KEY_SEAL		_IO('U', 0x02)
#define IU_IOC_HARVEST		_IOWR('U', 0x03, struct iu_harvest)
#define IU_IOC_LOAD		_IOWR('U', 0x10, struct iu_load)
#define IU_IOC_BIND		_IOWR('U', 0x11, struct iu_bind)
#define IU_IOC_SET_PARAM	_IOWR('U', 0x12, struct iu_set_param)
#define IU_IOC_UNLOAD		_IOWR('U', 0x13, struct iu_id)
#define IU_IOC_SET_KRELOC	_IOWR('U', 0x15, struct iu_set_kreloc)
#define IU_IOC_COMMIT		_IO('U', 0x14)	/* keep all that this file made */
#define IU_IOC_SLOT_NEW		_IOWR('U', 0x20, struct iu_slot_new)
#define IU_IOC_SLOT_FREE	_IOWR('U', 0x21, struct iu_id)
#define IU_IOC_ATTACH		_IOWR('U', 0x22, struct iu_attach)
#define IU_IOC_DETACH		_IOWR('U', 0x23, struct iu_id)
#define IU_IOC_EXT_INFO		_IOWR('U', 0x30, struct iu_ext_info)
#define IU_IOC_PROG_INFO	_IOWR('U', 0x31, struct iu_prog_info)
#define IU_IOC_TIMING		_IOWR('U', 0x32, struct iu_timing)

#endif
