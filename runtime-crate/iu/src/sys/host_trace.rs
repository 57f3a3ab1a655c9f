// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! The runtime in user space: tasks, and hooks that watch.

use std::ptr::NonNull;

use super::host::{lock, world};
use super::host_held::Release;
use super::packet::{CgroupSkbEntry, SocketFilterEntry};
use super::trace::*;
use crate::args::{Args, Ret};
use crate::{
    CgroupAction, CgroupSkbContext, FentryContext, FexitContext, KprobeContext, KretprobeContext,
    LsmAction, LsmContext, PerfEventContext, SockAddrContext, SocketFilterAction,
    SocketFilterContext, TpBtfContext, TracepointContext, UprobeContext, abi, host,
};

macro_rules! runners {
    ($($name:ident$(<$a:ident: $bound:ident $(, $r:ident: $rbound:ident)?>)?($ctx:ty, $entry:ident, $into:ident, $context:ident) -> $ret:ty;)*) => {$(
        /// Runs a program as the dispatcher does.
        pub(crate) fn $name$(<$a: $bound $(, $r: $rbound)?>)?(
            ctx: &mut $ctx,
            program: impl FnOnce($context<'_ $(, $a $(, $r)?)?>) -> $ret,
        ) -> $ret {
            let _release = Release::new();
            // SAFETY: the context outlives the call, and nothing else reaches it meanwhile.
            let entry = unsafe { $entry::new(NonNull::from(ctx).cast()) };
            program($context::new(entry.$into()))
        }
    )*};
}

runners! {
    run_kprobe(abi::Regs, KprobeEntry, into_raw, KprobeContext) -> ();
    run_kretprobe(abi::Regs, KretprobeEntry, into_raw, KretprobeContext) -> ();
    run_uprobe(abi::Regs, UprobeEntry, into_raw, UprobeContext) -> ();
    run_perf_event(abi::CtxPerfEvent, PerfEventEntry, into_raw, PerfEventContext) -> ();
    run_tracepoint(abi::CtxRecord, TracepointEntry, into_raw, TracepointContext) -> ();
    run_fentry<A: Args>(abi::CtxArgs, FentryEntry, into_raw, FentryContext) -> ();
    run_fexit<A: Args, R: Ret>(abi::CtxArgs, FexitEntry, into_raw, FexitContext) -> ();
    run_tp_btf<A: Args>(abi::CtxArgs, TpBtfEntry, into_raw, TpBtfContext) -> ();
    run_lsm<A: Args>(abi::CtxArgs, LsmEntry, into_raw, LsmContext) -> LsmAction;
    run_sock_addr(abi::CtxSockAddr, CgroupSockAddrEntry, into_raw, SockAddrContext) -> CgroupAction;
    run_cgroup_skb(host::TcFrame, CgroupSkbEntry, into_packet, CgroupSkbContext) -> CgroupAction;
    run_socket_filter(host::TcFrame, SocketFilterEntry, into_packet, SocketFilterContext) -> SocketFilterAction;
}

pub(crate) unsafe fn iu_rt_task_id() -> u64 {
    let w = world();
    let t = lock(&w.task);
    u64::from(t.pid) << 32 | u64::from(t.tid)
}

pub(crate) unsafe fn iu_rt_task_user() -> u64 {
    let w = world();
    let t = lock(&w.task);
    u64::from(t.gid) << 32 | u64::from(t.uid)
}

pub(crate) unsafe fn iu_rt_task_comm(to: *mut u8) {
    let w = world();
    let t = lock(&w.task);
    let n = t.comm.len().min(15);
    let mut b = [0; 16];
    b[..n].copy_from_slice(&t.comm.as_bytes()[..n]);
    // SAFETY: the caller has 16 bytes.
    unsafe { to.copy_from_nonoverlapping(b.as_ptr(), b.len()) }
}
