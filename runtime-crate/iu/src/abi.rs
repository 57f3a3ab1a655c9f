// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Mirror of `kernel/module/iu_abi.h`, which is the law; `tests/abi_header.rs`
//! compares the two.

use core::ffi::c_void;
use core::mem::{align_of, offset_of, size_of};

/// Version of the object ABI.
pub const ABI_VERSION: u16 = 1;
/// Bytes of a program's, map's or parameter's name, with the NUL.
pub const NAME_LEN: usize = 32;

/// Hook numbers (`enum iu_hook`).
pub mod hook {
    /// XDP.
    pub const XDP: u32 = 1;
    /// TC (clsact or TCX).
    pub const TC: u32 = 2;
    /// Entry of a kernel function, or any instruction.
    pub const KPROBE: u32 = 3;
    /// A tracepoint, by its record.
    pub const TRACEPOINT: u32 = 4;
    /// A counter or clock of perf.
    pub const PERF_EVENT: u32 = 5;
    /// Entry of a kernel function, by its BTF.
    pub const FENTRY: u32 = 6;
    /// Return of a kernel function, by its BTF.
    pub const FEXIT: u32 = 7;
    /// A tracepoint, by its BTF.
    pub const TP_BTF: u32 = 8;
    /// A hook of the Linux security modules.
    pub const LSM: u32 = 9;
    /// Packets of a cgroup's sockets.
    pub const CGROUP_SKB: u32 = 10;
    /// Addresses that a cgroup's sockets bind or connect to.
    pub const CGROUP_SOCK_ADDR: u32 = 11;
    /// Packets of one socket.
    pub const SOCKET_FILTER: u32 = 12;
    /// Return of a kernel function.
    pub const KRETPROBE: u32 = 13;
    /// An instruction of a program in user space.
    pub const UPROBE: u32 = 14;
}

/// Map types (`enum bpf_map_type` of `linux/bpf.h`).
pub mod map_type {
    /// `BPF_MAP_TYPE_HASH`.
    pub const HASH: u32 = 1;
    /// `BPF_MAP_TYPE_ARRAY`.
    pub const ARRAY: u32 = 2;
    /// `BPF_MAP_TYPE_PERF_EVENT_ARRAY`.
    pub const PERF_EVENT_ARRAY: u32 = 4;
    /// `BPF_MAP_TYPE_PERCPU_HASH`.
    pub const PERCPU_HASH: u32 = 5;
    /// `BPF_MAP_TYPE_PERCPU_ARRAY`.
    pub const PERCPU_ARRAY: u32 = 6;
    /// `BPF_MAP_TYPE_STACK_TRACE`.
    pub const STACK_TRACE: u32 = 7;
    /// `BPF_MAP_TYPE_LRU_HASH`.
    pub const LRU_HASH: u32 = 9;
    /// `BPF_MAP_TYPE_LRU_PERCPU_HASH`.
    pub const LRU_PERCPU_HASH: u32 = 10;
    /// `BPF_MAP_TYPE_LPM_TRIE`.
    pub const LPM_TRIE: u32 = 11;
    /// `BPF_MAP_TYPE_DEVMAP`.
    pub const DEVMAP: u32 = 14;
    /// `BPF_MAP_TYPE_CPUMAP`.
    pub const CPUMAP: u32 = 16;
    /// `BPF_MAP_TYPE_QUEUE`.
    pub const QUEUE: u32 = 22;
    /// `BPF_MAP_TYPE_STACK`.
    pub const STACK: u32 = 23;
    /// `BPF_MAP_TYPE_DEVMAP_HASH`.
    pub const DEVMAP_HASH: u32 = 25;
    /// `BPF_MAP_TYPE_RINGBUF`.
    pub const RINGBUF: u32 = 27;
    /// `BPF_MAP_TYPE_BLOOM_FILTER`.
    pub const BLOOM_FILTER: u32 = 30;
}

/// Flags of maps of `linux/bpf.h`.
pub mod map_flags {
    /// Memory is taken for each element when it is made.
    pub const NO_PREALLOC: u32 = 1;
}

/// Flags of other calls of `linux/bpf.h`.
pub mod call {
    /// `BPF_F_CURRENT_CPU`.
    pub const CURRENT_CPU: u64 = 0xffff_ffff;
    /// `BPF_F_USER_STACK`.
    pub const USER_STACK: u64 = 1 << 8;
    /// `BPF_F_REUSE_STACKID`.
    pub const REUSE_STACKID: u64 = 1 << 10;
    /// `BPF_RB_NO_WAKEUP`.
    pub const NO_WAKEUP: u64 = 1;
    /// `BPF_RB_FORCE_WAKEUP`.
    pub const FORCE_WAKEUP: u64 = 2;
}

/// What a program takes an argument for (`enum iu_arg`).
pub mod arg {
    /// `IU_ARG_U8` and so on.
    pub const U8: u64 = 1;
    #[allow(missing_docs)]
    pub const U16: u64 = 2;
    #[allow(missing_docs)]
    pub const U32: u64 = 3;
    #[allow(missing_docs)]
    pub const U64: u64 = 4;
    #[allow(missing_docs)]
    pub const I8: u64 = 5;
    #[allow(missing_docs)]
    pub const I16: u64 = 6;
    #[allow(missing_docs)]
    pub const I32: u64 = 7;
    #[allow(missing_docs)]
    pub const I64: u64 = 8;
    /// A pointer.
    pub const PTR: u64 = 9;
    #[allow(missing_docs)]
    pub const BOOL: u64 = 10;
    /// 64 bits of whatever it is.
    pub const ANY: u64 = 11;
    /// Most arguments of a program.
    pub const MAX: usize = 12;
}

/// Added to its verdict by a `cgroup_sock_addr` program that returns.
pub const SOCK_ADDR_RETURNED: u32 = 0x100;

/// Update flags of `linux/bpf.h`.
pub mod update {
    /// Create or replace.
    pub const ANY: u64 = 0;
    /// Create only.
    pub const NOEXIST: u64 = 1;
    /// Replace only.
    pub const EXIST: u64 = 2;
}

/// `struct iu_abi_marker`, one per program in `.iu.marker`; `F` is the C function
/// of the hook's context.
#[repr(C)]
pub struct Marker<F> {
    /// The program's name.
    pub name: [u8; NAME_LEN],
    /// The hook's number.
    pub hook: u32,
    /// What the hook returns after a fault.
    pub on_fault: i32,
    /// The C entry.
    pub func: F,
    /// Kinds of its arguments, [`arg`], four bits each; the return value's on top.
    pub args: u64,
}

/// `struct iu_abi_map`, one per map in `.iu.map`.
#[repr(C)]
pub struct Map {
    /// The map's name.
    pub name: [u8; NAME_LEN],
    /// One of [`map_type`].
    pub map_type: u32,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Number of elements.
    pub max_entries: u32,
    /// `BPF_F_*`.
    pub map_flags: u32,
    /// Bytes between values, set by the runtime for arrays.
    pub stride: u32,
    /// The kernel's map, set by the runtime.
    pub map: *mut c_void,
    /// First value, set by the runtime for arrays, else null.
    pub data: *mut u8,
    /// One of [`map_role`].
    pub role: u32,
    /// Zero.
    pub reserved: u32,
}

/// `enum iu_map_role`.
pub mod map_role {
    /// None: a map as it is declared.
    pub const NONE: u32 = 0;
    /// An array of at most as many values as declared; the runtime sets `max_entries`.
    pub const SIZED: u32 = 1;
    /// The runtime counts in it how often programs may have missed something.
    pub const GAPS: u32 = 2;
}

/// `enum iu_param_type`.
pub mod param_type {
    /// 0 or 1.
    pub const BOOL: u32 = 1;
    /// Unsigned, of any width: the range says so.
    pub const U64: u32 = 2;
    /// Signed.
    pub const I64: u32 = 3;
}

/// `struct iu_abi_param`, one per parameter in `.iu.param`.
#[repr(C)]
pub struct Param {
    /// The parameter's name.
    pub name: [u8; NAME_LEN],
    /// One of [`param_type`].
    pub param_type: u32,
    /// Zero.
    pub reserved: u32,
    /// Least value allowed.
    pub min: u64,
    /// Greatest value allowed.
    pub max: u64,
    /// The default in the object, set by the runtime before the program may run.
    pub value: u64,
}

/// Bytes of the name of a type or member of the kernel, with the NUL.
pub const CNAME_LEN: usize = 64;

/// `enum iu_kreloc_kind`.
pub mod kreloc_kind {
    /// Where a member lies.
    pub const FIELD: u32 = 1;
    /// Size of a type.
    pub const SIZE: u32 = 2;
    /// Value of an enumerator.
    pub const ENUM: u32 = 3;
    /// An option of the configuration.
    pub const CONFIG: u32 = 4;
    /// Where a field of a tracepoint's record lies.
    pub const TRACE: u32 = 5;
}

/// `IU_KRELOC_F_*`.
pub mod kreloc_flags {
    /// May be missing.
    pub const OPTIONAL: u32 = 1;
    /// An integer, or a bit field.
    pub const INT: u32 = 2;
    /// A pointer.
    pub const PTR: u32 = 4;
    /// Its address is taken.
    pub const INSIDE: u32 = 8;
}

/// `struct iu_abi_kreloc`, one per question in `.iu.reloc`.
#[repr(C)]
pub struct KReloc {
    /// The type, tracepoint or option.
    pub type_name: [u8; CNAME_LEN],
    /// The member, field or enumerator.
    pub field: [u8; CNAME_LEN],
    /// One of [`kreloc_kind`].
    pub kind: u32,
    /// Of [`kreloc_flags`].
    pub flags: u32,
    /// Bytes that there is room for.
    pub want: u32,
    /// Set by the runtime, as all below: 1 if the kernel has it.
    pub exists: u32,
    /// Bytes from the start of the type.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
    /// Of a bit field: first bit, and number of bits << 8.
    pub bits: u32,
    /// Zero.
    pub reserved: u32,
    /// A size, an enumerator's value or an option's.
    pub value: u64,
}

/// What is read of the kernel's `struct xdp_buff`.
#[repr(C)]
pub struct XdpBuff {
    /// First byte of the packet.
    pub data: *mut u8,
    /// One past the last byte.
    pub data_end: *mut u8,
}

/// `struct iu_ctx_tc`.
#[repr(C)]
pub struct CtxTc {
    /// MAC header.
    pub data: *mut u8,
    /// End of the linear part.
    pub data_end: *mut u8,
    /// The kernel's packet.
    pub skb: *mut c_void,
    /// Whole packet, bytes.
    pub len: u32,
    /// Interface.
    pub ifindex: u32,
    /// Mark.
    pub mark: u32,
    /// EtherType, network order in the low 16 bits.
    pub protocol: u32,
}

/// Registers of x86-64, as the kernel's `struct pt_regs` has them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Regs {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub bp: u64,
    pub bx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub ax: u64,
    pub cx: u64,
    pub dx: u64,
    pub si: u64,
    pub di: u64,
    pub orig_ax: u64,
    pub ip: u64,
    pub cs: u64,
    pub flags: u64,
    pub sp: u64,
    pub ss: u64,
}

/// `struct iu_ctx_perf_event`.
#[repr(C)]
pub struct CtxPerfEvent {
    /// Of what the event interrupted.
    pub regs: *const Regs,
    /// Of the sample.
    pub period: u64,
    /// Of the sample's data, or 0.
    pub addr: u64,
    /// 1 if user space was interrupted.
    pub user: u32,
    /// Zero.
    pub reserved: u32,
}

/// `struct iu_ctx_record`.
#[repr(C)]
pub struct CtxRecord {
    /// The record, its address in the first eight bytes.
    pub data: *const u8,
    /// Bytes of the copy, at least 8.
    pub len: u32,
    /// Zero.
    pub reserved: u32,
}

/// `struct iu_ctx_args`.
#[repr(C)]
pub struct CtxArgs {
    /// One word each.
    pub args: *const u64,
    /// Words.
    pub count: u32,
    /// Zero.
    pub reserved: u32,
    /// The return value.
    pub ret: u64,
}

/// `struct iu_ctx_sock_addr`.
#[repr(C)]
pub struct CtxSockAddr {
    /// `AF_INET`, `AF_INET6`, or another.
    pub family: u16,
    /// `SOCK_*`.
    pub socket_type: u16,
    /// `IPPROTO_*`.
    pub protocol: u16,
    /// Network order.
    pub port: u16,
    /// The first four for IPv4.
    pub addr: [u8; 16],
    /// Whether port or addr were written.
    pub changed: u32,
}

const _: () = {
    assert!(size_of::<Regs>() == 168 && offset_of!(Regs, di) == 112);
    assert!(size_of::<CtxPerfEvent>() == 32 && offset_of!(CtxPerfEvent, user) == 24);
    assert!(size_of::<CtxRecord>() == 16 && offset_of!(CtxRecord, len) == 8);
    assert!(size_of::<CtxArgs>() == 24 && offset_of!(CtxArgs, ret) == 16);
    assert!(size_of::<CtxSockAddr>() == 28 && offset_of!(CtxSockAddr, changed) == 24);
    assert!(size_of::<Marker<extern "C" fn()>>() == 56);
    assert!(offset_of!(Marker<extern "C" fn()>, func) == 40);
    assert!(size_of::<Map>() == 80 && align_of::<Map>() == 8);
    assert!(offset_of!(Map, map) == 56 && offset_of!(Map, data) == 64);
    assert!(size_of::<Param>() == 64 && align_of::<Param>() == 8);
    assert!(offset_of!(Param, min) == 40 && offset_of!(Param, value) == 56);
    assert!(size_of::<KReloc>() == 168 && offset_of!(KReloc, value) == 160);
    assert!(size_of::<CtxTc>() == 40 && offset_of!(CtxTc, len) == 24);
    assert!(offset_of!(XdpBuff, data) == 0 && offset_of!(XdpBuff, data_end) == 8);
};

/// A name as the ABI has it: NUL-terminated, the rest zero.
pub(crate) const fn name(s: &str) -> [u8; NAME_LEN] {
    let b = s.as_bytes();
    assert!(!b.is_empty() && b.len() < NAME_LEN, "a name has 1 to 31 bytes");
    let mut out = [0; NAME_LEN];
    let mut i = 0;
    while i < b.len() {
        assert!(b[i] != 0, "a name has no NUL");
        out[i] = b[i];
        i += 1;
    }
    out
}

/// As [`name`], for names of the kernel, which may be empty.
pub(crate) const fn cname(s: &str) -> [u8; CNAME_LEN] {
    let b = s.as_bytes();
    assert!(b.len() < CNAME_LEN, "the name has more than 63 bytes");
    let mut out = [0; CNAME_LEN];
    let mut i = 0;
    while i < b.len() {
        out[i] = b[i];
        i += 1;
    }
    out
}
