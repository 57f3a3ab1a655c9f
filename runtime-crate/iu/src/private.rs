// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! What the macros refer to. Not an API: it changes with the macros. It is all
//! safe to call, since only the runtime has an entry pointer.

pub use crate::abi::Marker;
use crate::abi::SOCK_ADDR_RETURNED;
use crate::abi::{hook, name};
use crate::args::{Args, Ret};
pub use crate::kernel::KernelReloc;
pub use crate::map::IsMap;
pub use crate::param::{IsParam, ParamValue};
pub use crate::sys::packet::{CgroupSkbEntry, SocketFilterEntry, TcEntry, XdpEntry};
pub use crate::sys::trace::{
    CgroupSockAddrEntry, FentryEntry, FexitEntry, KprobeEntry, KretprobeEntry, LsmEntry,
    PerfEventEntry, TpBtfEntry, TracepointEntry, UprobeEntry,
};
use crate::{
    CgroupAction, CgroupSkbContext, FentryContext, FexitContext, KprobeContext, KretprobeContext,
    LsmAction, LsmContext, PerfEventContext, SockAddrContext, SocketFilterAction,
    SocketFilterContext, TcAction, TcContext, TpBtfContext, TracepointContext, UprobeContext,
    XdpAction, XdpContext,
};

/// C entry of an XDP program.
pub type XdpFn = extern "C" fn(XdpEntry) -> u32;
/// C entry of a TC program.
pub type TcFn = extern "C" fn(TcEntry) -> u32;

/// Calls the program with the context of this call. The closure takes any
/// lifetime, so the context cannot be kept.
#[inline(always)]
pub fn run_xdp(entry: XdpEntry, f: impl FnOnce(XdpContext<'_>) -> XdpAction) -> u32 {
    f(XdpContext::new(entry.into_packet())) as u32
}

/// As [`run_xdp`].
#[inline(always)]
pub fn run_tc(entry: TcEntry, f: impl FnOnce(TcContext<'_>) -> TcAction) -> u32 {
    f(TcContext::new(entry.into_packet())) as i32 as u32
}

/// Marker of an XDP program.
pub const fn xdp_marker(n: &str, on_fault: XdpAction, func: XdpFn) -> Marker<XdpFn> {
    Marker { name: name(n), hook: hook::XDP, on_fault: on_fault as i32, func, args: 0 }
}

/// Marker of a TC program.
pub const fn tc_marker(n: &str, on_fault: TcAction, func: TcFn) -> Marker<TcFn> {
    Marker { name: name(n), hook: hook::TC, on_fault: on_fault as i32, func, args: 0 }
}

// A closure that takes any lifetime cannot keep the context: see run_xdp.
macro_rules! watching {
    ($($hook:ident $context:ident: $entry:ident $fn:ident $run:ident $marker:ident;)*) => {$(
        /// C entry of a program of this hook.
        pub type $fn = extern "C" fn($entry) -> u32;

        /// Calls the program with the context of this call.
        #[inline(always)]
        pub fn $run(entry: $entry, f: impl FnOnce($context<'_>)) -> u32 {
            f($context::new(entry.into_raw()));
            0
        }

        /// Marker of a program.
        pub const fn $marker(n: &str, func: $fn) -> Marker<$fn> {
            Marker { name: name(n), hook: hook::$hook, on_fault: 0, func, args: 0 }
        }
    )*};
}

watching! {
    KPROBE KprobeContext: KprobeEntry KprobeFn run_kprobe kprobe_marker;
    KRETPROBE KretprobeContext: KretprobeEntry KretprobeFn run_kretprobe kretprobe_marker;
    UPROBE UprobeContext: UprobeEntry UprobeFn run_uprobe uprobe_marker;
    TRACEPOINT TracepointContext: TracepointEntry TracepointFn run_tracepoint tracepoint_marker;
    PERF_EVENT PerfEventContext: PerfEventEntry PerfEventFn run_perf_event perf_event_marker;
}

macro_rules! watching_args {
    ($($hook:ident $context:ident: $entry:ident $fn:ident $run:ident $args:ident $marker:ident;)*) => {$(
        /// C entry of a program of this hook.
        pub type $fn = extern "C" fn($entry) -> u32;

        /// Calls the program with the context of this call.
        #[inline(always)]
        pub fn $run<A: Args>(entry: $entry, f: impl FnOnce($context<'_, A>)) -> u32 {
            f($context::new(entry.into_raw()));
            0
        }

        /// What a program takes for arguments.
        pub const fn $args<A: Args>(_: fn($context<'_, A>)) -> u64 {
            A::KINDS
        }

        /// Marker of a program.
        pub const fn $marker(n: &str, func: $fn, args: u64) -> Marker<$fn> {
            Marker { name: name(n), hook: hook::$hook, on_fault: 0, func, args }
        }
    )*};
}

watching_args! {
    FENTRY FentryContext: FentryEntry FentryFn run_fentry fentry_args fentry_marker;
    TP_BTF TpBtfContext: TpBtfEntry TpBtfFn run_tp_btf tp_btf_args tp_btf_marker;
}

/// C entry of an fexit program.
pub type FexitFn = extern "C" fn(FexitEntry) -> u32;

/// As [`run_fentry`].
#[inline(always)]
pub fn run_fexit<A: Args, R: Ret>(
    entry: FexitEntry,
    f: impl FnOnce(FexitContext<'_, A, R>),
) -> u32 {
    f(FexitContext::new(entry.into_raw()));
    0
}

/// What a program takes for arguments and return value.
pub const fn fexit_args<A: Args, R: Ret>(_: fn(FexitContext<'_, A, R>)) -> u64 {
    A::KINDS | R::KIND << 60
}

/// Marker of an fexit program.
pub const fn fexit_marker(n: &str, func: FexitFn, args: u64) -> Marker<FexitFn> {
    Marker { name: name(n), hook: hook::FEXIT, on_fault: 0, func, args }
}

/// C entry of an lsm program.
pub type LsmFn = extern "C" fn(LsmEntry) -> u32;

/// As [`run_fentry`].
#[inline(always)]
pub fn run_lsm<A: Args>(entry: LsmEntry, f: impl FnOnce(LsmContext<'_, A>) -> LsmAction) -> u32 {
    f(LsmContext::new(entry.into_raw())).number() as u32
}

/// As [`fentry_args`].
pub const fn lsm_args<A: Args>(_: fn(LsmContext<'_, A>) -> LsmAction) -> u64 {
    A::KINDS
}

/// Marker of an lsm program.
pub const fn lsm_marker(n: &str, on_fault: LsmAction, func: LsmFn, args: u64) -> Marker<LsmFn> {
    Marker { name: name(n), hook: hook::LSM, on_fault: on_fault.number(), func, args }
}

/// C entry of a cgroup_skb program.
pub type CgroupSkbFn = extern "C" fn(CgroupSkbEntry) -> u32;
/// C entry of a cgroup_sock_addr program.
pub type CgroupSockAddrFn = extern "C" fn(CgroupSockAddrEntry) -> u32;
/// C entry of a socket filter.
pub type SocketFilterFn = extern "C" fn(SocketFilterEntry) -> u32;

/// As [`run_xdp`].
#[inline(always)]
pub fn run_cgroup_skb(
    entry: CgroupSkbEntry,
    f: impl FnOnce(CgroupSkbContext<'_>) -> CgroupAction,
) -> u32 {
    f(CgroupSkbContext::new(entry.into_packet())) as u32
}

/// As [`run_xdp`].
#[inline(always)]
pub fn run_cgroup_sock_addr(
    entry: CgroupSockAddrEntry,
    f: impl FnOnce(SockAddrContext<'_>) -> CgroupAction,
) -> u32 {
    f(SockAddrContext::new(entry.into_raw())) as u32 | SOCK_ADDR_RETURNED
}

/// As [`run_xdp`].
#[inline(always)]
pub fn run_socket_filter(
    entry: SocketFilterEntry,
    f: impl FnOnce(SocketFilterContext<'_>) -> SocketFilterAction,
) -> u32 {
    f(SocketFilterContext::new(entry.into_packet())).number()
}

/// Marker of a cgroup_skb program.
pub const fn cgroup_skb_marker(
    n: &str,
    on_fault: CgroupAction,
    func: CgroupSkbFn,
) -> Marker<CgroupSkbFn> {
    Marker { name: name(n), hook: hook::CGROUP_SKB, on_fault: on_fault as i32, func, args: 0 }
}

/// Marker of a cgroup_sock_addr program.
pub const fn cgroup_sock_addr_marker(
    n: &str,
    on_fault: CgroupAction,
    func: CgroupSockAddrFn,
) -> Marker<CgroupSockAddrFn> {
    Marker { name: name(n), hook: hook::CGROUP_SOCK_ADDR, on_fault: on_fault as i32, func, args: 0 }
}

/// Marker of a socket filter.
pub const fn socket_filter_marker(
    n: &str,
    on_fault: SocketFilterAction,
    func: SocketFilterFn,
) -> Marker<SocketFilterFn> {
    let on_fault = on_fault.number() as i32;
    Marker { name: name(n), hook: hook::SOCKET_FILTER, on_fault, func, args: 0 }
}
