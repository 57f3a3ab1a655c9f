// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Linux kernel extensions in safe Rust.
//!
//! An extension is a `no_std` library whose functions, marked with [`macro@xdp`],
//! [`macro@kprobe`] or another of the hooks, run natively in the kernel at an eBPF hook. `iupkg build` turns the
//! crate into an object; the runtime module `iu.ko` runs it. What the compiler
//! cannot prove (that a program ends, that its stack suffices, that a panic
//! leaves nothing behind) the toolchain and the runtime see to.
//!
//! ```
//! // #![no_std] stands first in an extension.
//! use iu::prelude::*;
//!
//! /// Drop packets to this UDP port.
//! #[param(default = 9, min = 1, max = 65535)]
//! static PORT: Param<u16>;
//!
//! #[map]
//! static DROPPED: PerCpuArray<u64, 1> = PerCpuArray::new();
//!
//! #[xdp(on_fault = pass)]
//! fn drop_udp(ctx: XdpContext) -> XdpAction {
//!     match net::udp4(ctx.packet()) {
//!         Some(p) if p.udp.dst_port.get() == PORT.get() => {
//!             DROPPED.update(0, |n| n + 1);
//!             XdpAction::Drop
//!         }
//!         _ => XdpAction::Pass,
//!     }
//! }
//!
//! # let mut p = iu::host::Packet::new(&[0; 60]);
//! # assert_eq!(p.xdp(drop_udp), XdpAction::Pass);
//! ```
//!
//! # Two backends
//!
//! For the kernel (`target_os = "none"`) calls go to the runtime's symbols. For
//! any other target the same API works in user space, so that an extension is
//! tested with a plain `cargo test`: see `host`.
//!
//! # Safety
//!
//! Safe code cannot break the kernel's memory: packets are bounds-checked slices
//! whose borrow ends before anything may move the packet, map values are copied
//! in and out or reached under a lock, and contexts are made by the runtime
//! alone. All `unsafe` of the crate is in the modules `abi` and `sys`.

#![no_std]
#![deny(missing_docs, unsafe_op_in_unsafe_fn, unsafe_code)]
#![warn(clippy::undocumented_unsafe_blocks)]

#[cfg(not(target_os = "none"))]
extern crate std;

// The macros name this crate `::iu`, in its own modules and tests too.
extern crate self as iu;

pub mod abi;
pub mod arena;
pub mod args;
mod cgroup;
pub mod cpu;
mod errno;
pub mod guard;
pub mod kernel;
pub mod log;
pub mod map;
pub mod mem;
pub mod net;
mod param;
mod probe;
pub mod random;
pub mod read;
#[allow(unsafe_code)]
mod sys;
pub mod task;
mod tc;
pub mod text;
pub mod time;
mod tracepoint;
mod tracing;
mod xdp;

#[cfg(not(target_os = "none"))]
pub mod host;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

pub use cgroup::{
    CgroupAction, CgroupSkbContext, SockAddrContext, SocketFilterAction, SocketFilterContext,
};
pub use errno::Errno;
pub use iu_macros::{
    cgroup_skb, cgroup_sock_addr, debug, error, fentry, fexit, info, kprobe, kretprobe, lsm, map,
    param, perf_event, plain, socket_filter, tc, tp_btf, tracepoint, uprobe, warn, xdp,
};
pub use iu_macros::{kconfig, kernel_enum, kernel_size, kernel_struct};
pub use param::{Param, ParamValue};
pub use probe::{KprobeContext, KretprobeContext, PerfEventContext, Regs, UprobeContext};
pub use tc::{Behind, Change, TcAction, TcContext, Way};
pub use tracepoint::TracepointContext;
pub use tracing::{FentryContext, FexitContext, LsmAction, LsmContext, TpBtfContext};
pub use xdp::{XdpAction, XdpContext};
pub use zerocopy;

/// What an extension usually needs: `use iu::prelude::*;`
pub mod prelude {
    pub use crate::map::{
        Array, Bloom, CpuMap, DevMap, DevMapHash, Gaps, Guard, HashMap, LockedArray, LpmTrie,
        LruHash, LruPerCpuHash, PerCpuArray, PerCpuHash, PerfEventArray, Plain, Queue, RingBuf,
        SizedLockedArray, Stack, StackTrace,
    };
    pub use crate::mem::{KernelPtr, UserPtr};
    pub use crate::{
        CgroupAction, CgroupSkbContext, Errno, FentryContext, FexitContext, KprobeContext,
        KretprobeContext, LsmAction, LsmContext, Param, PerfEventContext, SockAddrContext,
        SocketFilterAction, SocketFilterContext, TcAction, TcContext, TpBtfContext,
        TracepointContext, UprobeContext, XdpAction, XdpContext, cpu, net, random, task, time,
    };
    pub use crate::{
        cgroup_skb, cgroup_sock_addr, debug, error, fentry, fexit, info, kprobe, kretprobe, lsm,
        map, param, perf_event, plain, socket_filter, tc, tp_btf, tracepoint, uprobe, warn, xdp,
    };
}
