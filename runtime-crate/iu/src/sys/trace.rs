// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Contexts of the hooks that watch, and the current task.
//!
//! Arguments and records may stand in memory that another changes meanwhile, so
//! they are read by volatile copies only and never lent out.

use core::ptr::NonNull;

use super::rt;
use crate::abi;

macro_rules! entries {
    ($($(#[$doc:meta])* $entry:ident($ctx:ty) => $raw:ident;)*) => {$(
        $(#[$doc])*
        /// The runtime hands it to a program's C entry. Nobody else can make one.
        #[repr(transparent)]
        pub struct $entry(NonNull<$ctx>);

        impl $entry {
            /// # Safety
            /// `ctx` is valid as a context until the program has returned.
            #[cfg(not(target_os = "none"))]
            pub(crate) unsafe fn new(ctx: NonNull<$ctx>) -> $entry {
                $entry(ctx)
            }

            /// Consumes the entry, so that a context is unique and does not outlive
            /// the call: `private` lends it to a closure that accepts any lifetime.
            #[inline(always)]
            pub(crate) fn into_raw(self) -> $raw {
                $raw(self.0)
            }
        }
    )*};
}

entries! {
    /// Context of a kprobe.
    KprobeEntry(abi::Regs) => Registers;
    /// Context of a kretprobe.
    KretprobeEntry(abi::Regs) => Registers;
    /// Context of a uprobe.
    UprobeEntry(abi::Regs) => Registers;
    /// Context of a perf event.
    PerfEventEntry(abi::CtxPerfEvent) => Sample;
    /// Context of a tracepoint.
    TracepointEntry(abi::CtxRecord) => Record;
    /// Context of an fentry program.
    FentryEntry(abi::CtxArgs) => Words;
    /// Context of an fexit program.
    FexitEntry(abi::CtxArgs) => Words;
    /// Context of a tp_btf program.
    TpBtfEntry(abi::CtxArgs) => Words;
    /// Context of an lsm program.
    LsmEntry(abi::CtxArgs) => Words;
    /// Context of a cgroup_sock_addr program.
    CgroupSockAddrEntry(abi::CtxSockAddr) => SockAddr;
}

/// Registers, valid for one call. Neither these nor the others are Send: they hold
/// a NonNull.
pub(crate) struct Registers(NonNull<abi::Regs>);

impl Registers {
    #[inline(always)]
    pub(crate) fn get(&self) -> &abi::Regs {
        // SAFETY: valid for the call, and what they were saved from stands still.
        unsafe { self.0.as_ref() }
    }
}

pub(crate) struct Sample(NonNull<abi::CtxPerfEvent>);

impl Sample {
    #[inline(always)]
    pub(crate) fn get(&self) -> &abi::CtxPerfEvent {
        // SAFETY: valid for the call.
        unsafe { self.0.as_ref() }
    }

    #[inline(always)]
    pub(crate) fn regs(&self) -> &abi::Regs {
        // SAFETY: the runtime's pointer is to registers that stay for the call.
        unsafe { &*self.get().regs }
    }
}

pub(crate) struct Record(NonNull<abi::CtxRecord>);

impl Record {
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        // SAFETY: valid for the call.
        unsafe { self.0.as_ref() }.len as usize
    }

    /// Copies the bytes at `off`; false if they are not all inside.
    #[inline(always)]
    pub(crate) fn copy(&self, off: usize, to: &mut [u8]) -> bool {
        // SAFETY: valid for the call.
        let r = unsafe { self.0.as_ref() };
        match off.checked_add(to.len()) {
            Some(end) if end <= r.len as usize => (),
            _ => return false,
        }
        for (i, b) in to.iter_mut().enumerate() {
            // SAFETY: below `end`, so within the record's `len` bytes.
            *b = unsafe { r.data.add(off + i).read_volatile() };
        }
        true
    }
}

pub(crate) struct Words(NonNull<abi::CtxArgs>);

impl Words {
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        // SAFETY: valid for the call.
        unsafe { self.0.as_ref() }.count as usize
    }

    #[inline(always)]
    pub(crate) fn ret(&self) -> u64 {
        // SAFETY: valid for the call.
        unsafe { self.0.as_ref() }.ret
    }

    #[inline(always)]
    pub(crate) fn get(&self, n: usize) -> Option<u64> {
        // SAFETY: valid for the call.
        let c = unsafe { self.0.as_ref() };
        // SAFETY: one of `count` words, which the runtime has checked to be aligned.
        (n < c.count as usize).then(|| unsafe { c.args.add(n).read_volatile() })
    }
}

pub(crate) struct SockAddr(NonNull<abi::CtxSockAddr>);

impl SockAddr {
    #[inline(always)]
    pub(crate) fn get(&self) -> &abi::CtxSockAddr {
        // SAFETY: the runtime's own copy, valid for the call.
        unsafe { self.0.as_ref() }
    }

    #[inline(always)]
    pub(crate) fn get_mut(&mut self) -> &mut abi::CtxSockAddr {
        // SAFETY: as above, and &mut self is unique.
        unsafe { self.0.as_mut() }
    }
}

#[inline(always)]
pub(crate) fn task_id() -> u64 {
    // SAFETY: no arguments, callable in any context.
    unsafe { rt::iu_rt_task_id() }
}

#[inline(always)]
pub(crate) fn task_user() -> u64 {
    // SAFETY: no arguments, callable in any context.
    unsafe { rt::iu_rt_task_user() }
}

#[inline(always)]
pub(crate) fn task_comm() -> [u8; 16] {
    let mut b = [0; 16];
    // SAFETY: 16 bytes are what it writes.
    unsafe { rt::iu_rt_task_comm(b.as_mut_ptr()) };
    b
}
