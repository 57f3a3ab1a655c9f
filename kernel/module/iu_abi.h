/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The object ABI: what an extension object (ELF ET_REL, little endian) must
 * contain, and which symbols of the runtime it may refer to.
 *
 * This header is the single source. The LLVM pass includes it; the crate `iu`
 * mirrors it in src/abi.rs and the Go tool in kernel/abi.go, and tests of both
 * compare sizes and offsets with it.
 *
 * Allocated sections of an object (anything else allocated is refused):
 *
 *   .text .text.*               code
 *   .rodata .rodata.*           constants; .data.rel.ro* is treated alike
 *   .data .data.* .bss .bss.*   the extension's own statics
 *   .iu.info                    one struct iu_abi_info, read-only
 *   .iu.prog                    struct iu_abi_prog[], read-only
 *   .iu.map                     struct iu_abi_map[], writable
 *   .iu.param                   struct iu_abi_param[], writable
 *   .iu.reloc                   struct iu_abi_kreloc[], writable
 *
 * Every multi-byte field is little endian. Every name is NUL-terminated inside
 * its array, and the rest of the array is zero. Reserved fields are zero.
 */
#ifndef IU_ABI_H
#define IU_ABI_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
#ifndef IU_ABI_NO_TYPES
typedef uint8_t __u8;
typedef uint16_t __u16;
typedef uint32_t __u32;
typedef int32_t __s32;
typedef uint64_t __u64;
#endif
#endif

#define IU_ABI_VERSION	1
#define IU_ABI_MAGIC	0x58455549u	/* "IUEX" */

#define IU_ABI_NAME_LEN		32	/* program, map and parameter names, with the NUL */
#define IU_ABI_PKG_LEN		64	/* package name, with the NUL */
#define IU_ABI_VER_LEN		64	/* package version, with the NUL */

#define IU_ABI_MAX_OBJECT	(4u << 20)	/* bytes of a whole object */
#define IU_ABI_MAX_SECTIONS	256
#define IU_ABI_MAX_SYMBOLS	65536
#define IU_ABI_MAX_RELOCS	262144
#define IU_ABI_MAX_PROGS	32
#define IU_ABI_MAX_MAPS		64
#define IU_ABI_MAX_PARAMS	64
#define IU_ABI_MAX_KRELOCS	256
#define IU_ABI_CNAME_LEN	64	/* of a type, tracepoint or member of the kernel, with the NUL */

#define IU_SEC_INFO	".iu.info"
#define IU_SEC_PROG	".iu.prog"
#define IU_SEC_MAP	".iu.map"
#define IU_SEC_PARAM	".iu.param"
#define IU_SEC_KRELOC	".iu.reloc"
/* Only in bitcode: made by the macros, consumed by the pass. */
#define IU_SEC_MARKER	".iu.marker"

/*
 * Hooks. The number is part of the ABI and never reused. A program runs only
 * where a stub of the same hook calls it.
 */
enum iu_hook {
	IU_HOOK_NONE		= 0,
	IU_HOOK_XDP		= 1,
	IU_HOOK_TC		= 2,
	IU_HOOK_KPROBE		= 3,
	IU_HOOK_TRACEPOINT	= 4,
	IU_HOOK_PERF_EVENT	= 5,
	IU_HOOK_FENTRY		= 6,
	IU_HOOK_FEXIT		= 7,
	IU_HOOK_TP_BTF		= 8,
	IU_HOOK_LSM		= 9,
	IU_HOOK_CGROUP_SKB	= 10,
	IU_HOOK_CGROUP_SOCK_ADDR = 11,
	IU_HOOK_SOCKET_FILTER	= 12,
	IU_HOOK_KRETPROBE	= 13,
	IU_HOOK_UPROBE		= 14,
	IU_HOOK_MAX
};

struct iu_abi_info {
	__u32 magic;			/* IU_ABI_MAGIC */
	__u16 abi;			/* IU_ABI_VERSION */
	__u16 machine;			/* ELF e_machine */
	char name[IU_ABI_PKG_LEN];
	char version[IU_ABI_VER_LEN];
	__u64 reserved[3];
};					/* 160 bytes */

/* iu_abi_prog.flags */
#define IU_PROG_F_POLL		(1u << 0)	/* the entry sets iu_rt_fuel; loops poll */
#define IU_PROG_F_STACK_CHECK	(1u << 1)	/* some function checks the stack: must run on a runtime stack */

struct iu_abi_prog {
	char name[IU_ABI_NAME_LEN];
	__u32 hook;			/* enum iu_hook */
	__u32 flags;			/* IU_PROG_F_* */
	__u64 entry;			/* relocated: u32 entry(void *ctx) */
	__u32 stack;			/* proven bound in bytes, entry's return address included; 0: not proven, F_STACK_CHECK set */
	__s32 on_fault;			/* what the hook returns after a fault */
	__u64 args;			/* IU_ARGS_*: what it takes for arguments */
};					/* 64 bytes */

/*
 * Typed arguments, of the hooks fentry, fexit, tp_btf and lsm; 0 elsewhere. Four
 * bits say what each is, the first in the lowest; none is missing in between. The
 * highest four bits are the return value, for fexit. Whoever attaches the program
 * compares them with the BTF of the target, which may have more arguments.
 */
enum iu_arg {
	IU_ARG_NONE	= 0,
	IU_ARG_U8	= 1,
	IU_ARG_U16	= 2,
	IU_ARG_U32	= 3,
	IU_ARG_U64	= 4,
	IU_ARG_I8	= 5,
	IU_ARG_I16	= 6,
	IU_ARG_I32	= 7,
	IU_ARG_I64	= 8,
	IU_ARG_PTR	= 9,
	IU_ARG_BOOL	= 10,
	IU_ARG_ANY	= 11,		/* 64 bits of whatever it is */
	IU_ARG_MAX
};

#define IU_ARGS_MAX		12	/* as many as a BPF trampoline passes on */
#define IU_ARGS_KIND(args, n)	((__u32)((args) >> (4 * (n))) & 15)
#define IU_ARGS_RET(args)	((__u32)((args) >> 60))

/* What the macros leave for the pass in IU_SEC_MARKER, one per program. */
struct iu_abi_marker {
	char name[IU_ABI_NAME_LEN];
	__u32 hook;
	__s32 on_fault;
	__u64 func;			/* u32 func(void *ctx), C ABI */
	__u64 args;			/* as in iu_abi_prog */
};					/* 56 bytes */

enum iu_map_role {
	IU_MAP_ROLE_NONE	= 0,
	/* An array whose size is chosen when it is made: max_entries is the most here, and what the bound one has after that. */
	IU_MAP_ROLE_SIZED	= 1,
	/*
	 * An array of one u64, to which the runtime adds whenever programs may have missed
	 * something: one faulted, was not run as it is stopped or had no room, or they were
	 * put into slots. It is added before locks that the run held are let go and before the
	 * hook gets a verdict.
	 */
	IU_MAP_ROLE_GAPS	= 2,
	IU_MAP_ROLES
};

/*
 * `map`, `data` and `stride` are zero in the object and are set by the runtime
 * when a BPF map is bound; the runtime refuses a map whose type, sizes or flags
 * differ from what stands here.
 */
struct iu_abi_map {
	char name[IU_ABI_NAME_LEN];
	__u32 type;			/* enum bpf_map_type */
	__u32 key_size;			/* bytes */
	__u32 value_size;		/* bytes */
	__u32 max_entries;
	__u32 map_flags;		/* BPF_F_* */
	__u32 stride;			/* bytes between values; BPF_MAP_TYPE_ARRAY only */
	__u64 map;			/* struct bpf_map * */
	__u64 data;			/* first value; BPF_MAP_TYPE_ARRAY only, else 0 */
	__u32 role;			/* enum iu_map_role */
	__u32 reserved;
};					/* 80 bytes */

enum iu_param_type {
	IU_PARAM_BOOL = 1,		/* 0 or 1 */
	IU_PARAM_U64  = 2,		/* u8, u16, u32 too: the range says so */
	IU_PARAM_I64  = 3,		/* min, max and value are signed */
};

struct iu_abi_param {
	char name[IU_ABI_NAME_LEN];
	__u32 type;			/* enum iu_param_type */
	__u32 reserved;
	__u64 min, max;			/* inclusive */
	__u64 value;			/* the default in the object; set before enable */
};					/* 64 bytes */

/*
 * What is not known of the kernel until an extension is loaded: where a member lies, a
 * size, a number, an option. User space works it out from BTF, from a tracepoint's format or
 * from the configuration, and the runtime takes it within the bounds below, before a
 * program may run; after that it does not change. Memory is reached by it through
 * iu_rt_read_kernel alone, so that what is wrong here gives wrong data and nothing worse.
 */
enum iu_kreloc_kind {
	IU_KRELOC_FIELD	 = 1,	/* member `field` ("a.b.c") of `type` ("struct sk_buff") */
	IU_KRELOC_SIZE	 = 2,	/* bytes of `type`; no field */
	IU_KRELOC_ENUM	 = 3,	/* value of enumerator `field` of `type` ("enum e") */
	IU_KRELOC_CONFIG = 4,	/* Kconfig symbol `type`, without CONFIG_; no field */
	IU_KRELOC_TRACE	 = 5,	/* field `field` of the records of tracepoint `type` ("sched/sched_switch") */
};

/* iu_abi_kreloc.flags; the last three exclude each other, none means plain data of `want` bytes */
#define IU_KRELOC_F_OPTIONAL	(1u << 0)	/* may be missing: `exists` stays 0 */
#define IU_KRELOC_F_INT		(1u << 1)	/* an integer of at most `want` bytes, or a bit field */
#define IU_KRELOC_F_PTR		(1u << 2)	/* a pointer: 8 bytes */
#define IU_KRELOC_F_INSIDE	(1u << 3)	/* a struct, union or array whose address is taken, of any size */

#define IU_KRELOC_MAX_BYTES	(1u << 20)	/* of offset plus size, and of IU_KRELOC_SIZE */

struct iu_abi_kreloc {
	char type[IU_ABI_CNAME_LEN];	/* these may have spaces, not at the ends */
	char field[IU_ABI_CNAME_LEN];
	__u32 kind;			/* enum iu_kreloc_kind */
	__u32 flags;			/* IU_KRELOC_F_* */
	__u32 want;			/* bytes that the extension has room for; FIELD and TRACE only */
	/* Zero in the object, set before enable: */
	__u32 exists;			/* 0 or 1 */
	__u32 offset;			/* bytes from the start of `type` */
	__u32 size;			/* bytes */
	__u32 bits;			/* of a bit field: first bit (little endian) | number of bits << 8; else 0 */
	__u32 reserved;
	__u64 value;			/* SIZE, ENUM; CONFIG: the number, 1 for y, 2 for m, 0 for unset */
};					/* 168 bytes */

/*
 * Contexts. XDP: the kernel's struct xdp_buff, of which an extension reads only
 * `data` (offset 0) and `data_end` (offset 8); the module asserts both offsets.
 *
 * TC, cgroup_skb and socket_filter: the struct below, on the dispatcher's stack.
 * Helpers that move the packet refresh it. At TC `data` is the MAC header, at
 * cgroup_skb the network header, at a socket filter what the socket sees first;
 * the packet is written to at TC only.
 */
struct iu_ctx_tc {
	__u8 *data;			/* where the hook's packet starts */
	__u8 *data_end;			/* end of the linear part */
	void *skb;			/* opaque: handed back to helpers */
	__u32 len;			/* whole packet, paged part included, bytes */
	__u32 ifindex;
	__u32 mark;
	__u32 protocol;			/* EtherType, network order in the low 16 bits */
};					/* 40 bytes */

/* kprobe, kretprobe, uprobe: the kernel's struct pt_regs; the module asserts the layout. */
struct iu_regs_x86_64 {
	__u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax;
	__u64 ip, cs, flags, sp, ss;
};					/* 168 bytes */

struct iu_ctx_perf_event {
	const struct iu_regs_x86_64 *regs;	/* of what the event interrupted */
	__u64 period;			/* of the sample, in what the event counts */
	__u64 addr;			/* of the sample's data, 0 if the event has none */
	__u32 user;			/* 1: user space was interrupted */
	__u32 reserved;
};					/* 32 bytes */

/*
 * tracepoint: the record as the tracepoint's format file lays it out. The bytes are
 * a copy, except that in the place of the first eight, which a program cannot read,
 * is the kernel address of the record itself: dynamic fields lie beyond the copy.
 * The memory may be another's who changes it meanwhile.
 */
struct iu_ctx_record {
	const __u8 *data;
	__u32 len;			/* at least 8 */
	__u32 reserved;
};					/* 16 bytes */

/*
 * fentry, fexit, tp_btf, lsm: arguments as the verifier let the stub read them, one
 * to a word, bits above its size undefined. The memory may be another's who changes
 * it meanwhile.
 */
struct iu_ctx_args {
	const __u64 *args;
	__u32 count;
	__u32 reserved;
	__u64 ret;			/* fexit: the return value */
};					/* 24 bytes */

/* cgroup_sock_addr: a copy, which the runtime writes back if the program changed it and ended well. */
struct iu_ctx_sock_addr {
	__u16 family;			/* AF_INET, AF_INET6, or another: then addr and port are 0 */
	__u16 type;			/* SOCK_* of the socket */
	__u16 protocol;			/* IPPROTO_* of the socket */
	__u16 port;			/* network order */
	__u8 addr[16];			/* AF_INET: the first four */
	__u32 changed;			/* set by the program */
};					/* 28 bytes */

/* A cgroup_sock_addr program that returns, rather than faults, adds this to its verdict. */
#define IU_SOCK_ADDR_RETURNED	0x100u

/*
 * Stacks. A runtime stack is IU_STACK_SIZE bytes, aligned to its size, with a
 * guard page below. A stack check is `(sp & (IU_STACK_SIZE - 1)) < IU_STACK_RESERVE`:
 * the reserve is kept for one frame (at most IU_FRAME_MAX), helpers and whatever
 * runs on this stack on behalf of an exception. An entry finds the stack aligned to
 * 8, as the kernel's own functions do.
 */
#define IU_STACK_SIZE		32768u
#define IU_STACK_RESERVE	12288u
#define IU_FRAME_MAX		4096u

/*
 * Units of work between two looks at the clock: a turn of a loop or a call of a
 * function is one, and one more for each 16 instructions of LLVM's; a call of the
 * runtime is 8, and more where rt.c says so. What a poll pays for, see llvm/README.md.
 */
#define IU_FUEL			4096

/*
 * The runtime's symbols. `X(ret, name, args)`; an object that refers to anything
 * else is refused. Offsets and lengths are bytes; errors are negative errno.
 */
#define IU_RT_FUNCTIONS(X) \
	/* The fuel ran out: returns with new fuel, or ends the program. Preserves all registers but r11. */ \
	X(void, iu_rt_poll, (void)) \
	/* A stack check failed. Does not return. */ \
	X(void, iu_rt_stack_overflow, (void)) \
	/* A Rust panic; file need not be NUL-terminated. Does not return. */ \
	X(void, iu_rt_panic, (const char *file, __u64 file_len, __u32 line, __u32 col)) \
	/* Value of a key, or NULL. Per-CPU maps: this CPU's value. */ \
	X(void *, iu_rt_map_lookup, (struct iu_abi_map *map, const void *key)) \
	/* flags: BPF_ANY, BPF_NOEXIST, BPF_EXIST. 0 or -errno. */ \
	X(__u64, iu_rt_map_update, (struct iu_abi_map *map, const void *key, const void *value, __u64 flags)) \
	X(__u64, iu_rt_map_delete, (struct iu_abi_map *map, const void *key)) \
	/* One lock at a time; a second lock, or a lock in NMI that is taken, is a fault. Interrupts are off between. */ \
	X(void, iu_rt_lock, (__u32 *lock)) \
	X(void, iu_rt_unlock, (__u32 *lock)) \
	/* Queue, stack, Bloom filter: 0 or -errno. peek of a Bloom filter: 0 if the value may be in it. */ \
	X(__u64, iu_rt_map_push, (struct iu_abi_map *map, const void *value, __u64 flags)) \
	X(__u64, iu_rt_map_pop, (struct iu_abi_map *map, void *value)) \
	X(__u64, iu_rt_map_peek, (struct iu_abi_map *map, void *value)) \
	/* DEVMAP, DEVMAP_HASH, CPUMAP, of an XDP program: the verdict to return; flags: the verdict if there is no such key. */ \
	X(__u64, iu_rt_map_redirect, (struct iu_abi_map *map, __u32 key, __u64 flags)) \
	/* Room for size bytes, aligned to 8, or NULL. Discarded unless submitted. flags of both ends: BPF_RB_*_WAKEUP. */ \
	X(void *, iu_rt_ringbuf_reserve, (struct iu_abi_map *map, __u64 size)) \
	X(void, iu_rt_ringbuf_submit, (void *sample, __u64 flags)) \
	X(void, iu_rt_ringbuf_discard, (void *sample, __u64 flags)) \
	X(__u64, iu_rt_ringbuf_output, (struct iu_abi_map *map, const void *data, __u64 size, __u64 flags)) \
	/* flags: BPF_F_CURRENT_CPU or a CPU. 0 or -errno. */ \
	X(__u64, iu_rt_perf_output, (struct iu_abi_map *map, __u64 flags, const void *data, __u64 size)) \
	/* Of the stack below the hook. flags: BPF_F_SKIP_FIELD_MASK, BPF_F_USER_STACK, ...; an id, or -errno. */ \
	X(__u64, iu_rt_stack_id, (struct iu_abi_map *map, __u64 flags)) \
	/* Interrupts off until the last _on; nests. */ \
	X(void, iu_rt_irq_off, (void)) \
	X(void, iu_rt_irq_on, (void)) \
	X(void, iu_rt_rcu_lock, (void)) \
	X(void, iu_rt_rcu_unlock, (void)) \
	/* Of n words that are 0 or 1 makes one 1 that was 0; its index, or -errno. Made 0 by give, or when the run ends early. */ \
	X(__u64, iu_rt_pool_take, (__u32 *words, __u32 n)) \
	X(void, iu_rt_pool_give, (__u32 *word)) \
	/* Copy from an address of the kernel, or of the current task. 0 or -errno, and then zeros. */ \
	X(__u64, iu_rt_read_kernel, (void *to, __u64 from, __u32 len)) \
	X(__u64, iu_rt_read_user, (void *to, __u64 from, __u32 len)) \
	/* CLOCK_MONOTONIC, nanoseconds. */ \
	X(__u64, iu_rt_ktime_ns, (void)) \
	X(__u32, iu_rt_cpu, (void)) \
	X(__u32, iu_rt_random, (void)) \
	/* One line in the kernel log, rate-limited; level as in KERN_*. At most 256 bytes are kept. */ \
	X(void, iu_rt_log, (__u32 level, const char *msg, __u64 len)) \
	/* bpf_xdp_adjust_head/tail: 0 or -errno; the old slice is dead after either. */ \
	X(__u64, iu_rt_xdp_adjust_head, (void *ctx, __s32 delta)) \
	X(__u64, iu_rt_xdp_adjust_tail, (void *ctx, __s32 delta)) \
	/* Bytes of a packet and its fragments; copies out of and into them. 0 or -errno. */ \
	X(__u64, iu_rt_xdp_len, (void *ctx)) \
	X(__u64, iu_rt_xdp_load, (void *ctx, __u32 off, void *to, __u32 len)) \
	X(__u64, iu_rt_xdp_store, (void *ctx, __u32 off, const void *from, __u32 len)) \
	/* Make the first len bytes linear and writable, refresh ctx. 0 or -errno. */ \
	X(__u64, iu_rt_tc_pull, (struct iu_ctx_tc *ctx, __u32 len)) \
	/* Copy out of the packet, paged part included. 0 or -errno. */ \
	X(__u64, iu_rt_tc_load, (struct iu_ctx_tc *ctx, __u32 off, void *to, __u32 len)) \
	/* Write into the packet (made writable first), refresh ctx. 0 or -errno. */ \
	X(__u64, iu_rt_tc_store, (struct iu_ctx_tc *ctx, __u32 off, const void *from, __u32 len)) \
	/* bpf_skb_change_head, _change_tail, _adjust_room, _vlan_push, _vlan_pop; refresh ctx. 0 or -errno. */ \
	X(__u64, iu_rt_tc_change_head, (struct iu_ctx_tc *ctx, __u32 room)) \
	X(__u64, iu_rt_tc_change_tail, (struct iu_ctx_tc *ctx, __u32 len)) \
	X(__u64, iu_rt_tc_adjust_room, (struct iu_ctx_tc *ctx, __s32 delta, __u32 mode, __u64 flags)) \
	X(__u64, iu_rt_tc_vlan_push, (struct iu_ctx_tc *ctx, __u32 proto, __u32 tci)) \
	X(__u64, iu_rt_tc_vlan_pop, (struct iu_ctx_tc *ctx)) \
	/* bpf_l3_csum_replace, bpf_l4_csum_replace: the checksum at off, by difference. from and to in network order. */ \
	X(__u64, iu_rt_tc_csum_l3, (struct iu_ctx_tc *ctx, __u32 off, __u64 from, __u64 to, __u64 flags)) \
	X(__u64, iu_rt_tc_csum_l4, (struct iu_ctx_tc *ctx, __u32 off, __u64 from, __u64 to, __u64 flags)) \
	/* bpf_redirect: the verdict to return, which sends the packet out of an interface. XDP; TC with flags: BPF_F_INGRESS. */ \
	X(__u64, iu_rt_xdp_redirect, (__u32 ifindex)) \
	X(__u64, iu_rt_tc_redirect, (__u32 ifindex, __u64 flags)) \
	/* bpf_clone_redirect: sends a copy, refreshes ctx. 0 or -errno, or what the device said. */ \
	X(__u64, iu_rt_tc_clone, (struct iu_ctx_tc *ctx, __u32 ifindex, __u64 flags)) \
	/* Of the task this CPU runs or, in an interrupt, has interrupted: tgid << 32 | pid. */ \
	X(__u64, iu_rt_task_id, (void)) \
	/* gid << 32 | uid, in the initial user namespace. */ \
	X(__u64, iu_rt_task_user, (void)) \
	/* Its name: 16 bytes, NUL-padded. */ \
	X(void, iu_rt_task_comm, (__u8 *to))

/* Per-CPU, int: counted down by polls, reached as %gs:iu_rt_fuel. */
#define IU_RT_FUEL	"iu_rt_fuel"

/*
 * Symbols of the kernel itself that an object may refer to beside the above:
 * what LLVM emits by itself.
 */
#define IU_KERNEL_SYMBOLS(X) \
	X(memcpy) X(memmove) X(memset) X(memcmp) X(bcmp) X(__x86_return_thunk) \
	X(__x86_indirect_thunk_rax) X(__x86_indirect_thunk_rbx) X(__x86_indirect_thunk_rcx) \
	X(__x86_indirect_thunk_rdx) X(__x86_indirect_thunk_rsi) X(__x86_indirect_thunk_rdi) \
	X(__x86_indirect_thunk_rbp) X(__x86_indirect_thunk_r8) X(__x86_indirect_thunk_r9) \
	X(__x86_indirect_thunk_r10) X(__x86_indirect_thunk_r11) X(__x86_indirect_thunk_r12) \
	X(__x86_indirect_thunk_r13) X(__x86_indirect_thunk_r14) X(__x86_indirect_thunk_r15)

#endif
