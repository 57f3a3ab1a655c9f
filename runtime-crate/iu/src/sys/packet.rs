// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Packets: slices over what the contexts point to.

use core::ptr::NonNull;
use core::slice;

use super::rt;
use crate::{Errno, abi};

/// The pointer that the runtime hands to an XDP program's C entry. Nobody else can
/// make one.
#[repr(transparent)]
pub struct XdpEntry(NonNull<abi::XdpBuff>);

/// The pointer that the runtime hands to a TC program's C entry.
#[repr(transparent)]
pub struct TcEntry(NonNull<abi::CtxTc>);

/// The pointer that the runtime hands to a cgroup_skb program's C entry.
#[repr(transparent)]
pub struct CgroupSkbEntry(NonNull<abi::CtxTc>);

/// The pointer that the runtime hands to a socket filter's C entry.
#[repr(transparent)]
pub struct SocketFilterEntry(NonNull<abi::CtxTc>);

/// An XDP packet, valid for one call of a program.
pub(crate) struct Xdp(NonNull<abi::XdpBuff>);

/// A TC packet, valid for one call of a program.
pub(crate) struct Tc(NonNull<abi::CtxTc>);

impl XdpEntry {
    /// # Safety
    /// `ctx` is valid as a context until the program has returned, and is
    /// reached by nothing else.
    #[cfg(not(target_os = "none"))]
    pub(crate) unsafe fn new(ctx: NonNull<abi::XdpBuff>) -> XdpEntry {
        XdpEntry(ctx)
    }

    /// Consumes the entry, so that a context is unique. The context made from it
    /// must not outlive the call; `private::run_xdp` lends it to a closure that
    /// accepts any lifetime.
    pub(crate) fn into_packet(self) -> Xdp {
        Xdp(self.0)
    }
}

impl TcEntry {
    /// # Safety
    /// As [`XdpEntry::new`].
    #[cfg(not(target_os = "none"))]
    pub(crate) unsafe fn new(ctx: NonNull<abi::CtxTc>) -> TcEntry {
        TcEntry(ctx)
    }

    pub(crate) fn into_packet(self) -> Tc {
        Tc(self.0)
    }
}

macro_rules! skb_entries {
    ($($entry:ident)*) => {$(
        impl $entry {
            /// # Safety
            /// As [`XdpEntry::new`].
            #[cfg(not(target_os = "none"))]
            pub(crate) unsafe fn new(ctx: NonNull<abi::CtxTc>) -> $entry {
                $entry(ctx)
            }

            pub(crate) fn into_packet(self) -> Tc {
                Tc(self.0)
            }
        }
    )*};
}

skb_entries! { CgroupSkbEntry SocketFilterEntry }

impl Xdp {
    #[inline(always)]
    fn range(&self) -> (*mut u8, usize) {
        // SAFETY: the context is valid for the call.
        let b = unsafe { self.0.as_ref() };
        (b.data, b.data_end as usize - b.data as usize)
    }

    #[inline(always)]
    pub(crate) fn bytes(&self) -> &[u8] {
        let (p, n) = self.range();
        // SAFETY: the runtime keeps data..data_end readable; what moves it needs &mut self.
        unsafe { slice::from_raw_parts(p, n) }
    }

    #[inline(always)]
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        let (p, n) = self.range();
        // SAFETY: as above; XDP owns the buffer for the time of the call, and &mut self is unique.
        unsafe { slice::from_raw_parts_mut(p, n) }
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        // SAFETY: the context is valid for the call.
        unsafe { rt::iu_rt_xdp_len(self.0.as_ptr()) as usize }
    }

    #[inline(always)]
    pub(crate) fn load(&self, off: usize, to: &mut [u8]) -> Result<(), Errno> {
        let (off, len) = span(off, to.len())?;
        // SAFETY: `to` holds len bytes; a load does not change the context.
        Errno::check(unsafe { rt::iu_rt_xdp_load(self.0.as_ptr(), off, to.as_mut_ptr(), len) })
    }

    #[inline(always)]
    pub(crate) fn store(&mut self, off: usize, from: &[u8]) -> Result<(), Errno> {
        let (off, len) = span(off, from.len())?;
        // SAFETY: `from` holds len bytes; no slice of the packet is alive.
        Errno::check(unsafe { rt::iu_rt_xdp_store(self.0.as_ptr(), off, from.as_ptr(), len) })
    }

    #[inline(always)]
    pub(crate) fn adjust_head(&mut self, delta: i32) -> Result<(), Errno> {
        // SAFETY: the context is valid for the call; no slice of it is alive.
        Errno::check(unsafe { rt::iu_rt_xdp_adjust_head(self.0.as_ptr(), delta) })
    }

    #[inline(always)]
    pub(crate) fn adjust_tail(&mut self, delta: i32) -> Result<(), Errno> {
        // SAFETY: the context is valid for the call; no slice of it is alive.
        Errno::check(unsafe { rt::iu_rt_xdp_adjust_tail(self.0.as_ptr(), delta) })
    }

    #[inline(always)]
    pub(crate) fn redirect(&self, ifindex: u32) -> u64 {
        // SAFETY: takes no pointer.
        unsafe { rt::iu_rt_xdp_redirect(ifindex) }
    }
}

impl Tc {
    #[inline(always)]
    pub(crate) fn fields(&self) -> &abi::CtxTc {
        // SAFETY: the context is valid for the call.
        unsafe { self.0.as_ref() }
    }

    #[inline(always)]
    pub(crate) fn linear(&self) -> &[u8] {
        let c = self.fields();
        // SAFETY: the runtime keeps data..data_end readable; what moves it needs &mut self.
        unsafe { slice::from_raw_parts(c.data, c.data_end as usize - c.data as usize) }
    }

    #[inline(always)]
    pub(crate) fn pull(&mut self, n: usize) -> Result<&mut [u8], Errno> {
        let len = u32::try_from(n).map_err(|_| Errno::INVAL)?;
        // SAFETY: the context is valid for the call; no slice of it is alive.
        Errno::check(unsafe { rt::iu_rt_tc_pull(self.0.as_ptr(), len) })?;
        let c = self.fields();
        if n > c.data_end as usize - c.data as usize {
            return Err(Errno::NOMEM);
        }
        // SAFETY: n bytes are linear (just checked), and writable by the runtime's promise.
        Ok(unsafe { slice::from_raw_parts_mut(c.data, n) })
    }

    #[inline(always)]
    pub(crate) fn load(&self, off: usize, to: &mut [u8]) -> Result<(), Errno> {
        let (off, len) = span(off, to.len())?;
        // SAFETY: `to` holds len bytes; a load does not change the context.
        Errno::check(unsafe { rt::iu_rt_tc_load(self.0.as_ptr(), off, to.as_mut_ptr(), len) })
    }

    #[inline(always)]
    pub(crate) fn store(&mut self, off: usize, from: &[u8]) -> Result<(), Errno> {
        let (off, len) = span(off, from.len())?;
        // SAFETY: `from` holds len bytes; no slice of the packet is alive.
        Errno::check(unsafe { rt::iu_rt_tc_store(self.0.as_ptr(), off, from.as_ptr(), len) })
    }

    #[inline(always)]
    pub(crate) fn change_head(&mut self, room: u32) -> Result<(), Errno> {
        // SAFETY: the context is valid for the call; no slice of it is alive.
        Errno::check(unsafe { rt::iu_rt_tc_change_head(self.0.as_ptr(), room) })
    }

    #[inline(always)]
    pub(crate) fn change_tail(&mut self, len: u32) -> Result<(), Errno> {
        // SAFETY: the context is valid for the call; no slice of it is alive.
        Errno::check(unsafe { rt::iu_rt_tc_change_tail(self.0.as_ptr(), len) })
    }

    #[inline(always)]
    pub(crate) fn adjust_room(&mut self, delta: i32, mode: u32, flags: u64) -> Result<(), Errno> {
        // SAFETY: the context is valid for the call; no slice of it is alive.
        Errno::check(unsafe { rt::iu_rt_tc_adjust_room(self.0.as_ptr(), delta, mode, flags) })
    }

    #[inline(always)]
    pub(crate) fn vlan_push(&mut self, proto: u16, tci: u16) -> Result<(), Errno> {
        let proto = u32::from(proto.to_be());
        // SAFETY: the context is valid for the call; no slice of it is alive.
        Errno::check(unsafe { rt::iu_rt_tc_vlan_push(self.0.as_ptr(), proto, tci.into()) })
    }

    #[inline(always)]
    pub(crate) fn vlan_pop(&mut self) -> Result<(), Errno> {
        // SAFETY: the context is valid for the call; no slice of it is alive.
        Errno::check(unsafe { rt::iu_rt_tc_vlan_pop(self.0.as_ptr()) })
    }

    #[inline(always)]
    pub(crate) fn csum_l3(&mut self, off: u32, from: u64, to: u64, f: u64) -> Result<(), Errno> {
        // SAFETY: the context is valid for the call; no slice of it is alive.
        Errno::check(unsafe { rt::iu_rt_tc_csum_l3(self.0.as_ptr(), off, from, to, f) })
    }

    #[inline(always)]
    pub(crate) fn csum_l4(&mut self, off: u32, from: u64, to: u64, f: u64) -> Result<(), Errno> {
        // SAFETY: the context is valid for the call; no slice of it is alive.
        Errno::check(unsafe { rt::iu_rt_tc_csum_l4(self.0.as_ptr(), off, from, to, f) })
    }

    #[inline(always)]
    pub(crate) fn redirect(&self, ifindex: u32, flags: u64) -> u64 {
        // SAFETY: takes no pointer.
        unsafe { rt::iu_rt_tc_redirect(ifindex, flags) }
    }

    #[inline(always)]
    pub(crate) fn send_copy(&mut self, ifindex: u32, flags: u64) -> u64 {
        // SAFETY: the context is valid for the call; no slice of it is alive.
        unsafe { rt::iu_rt_tc_clone(self.0.as_ptr(), ifindex, flags) }
    }
}

fn span(off: usize, len: usize) -> Result<(u32, u32), Errno> {
    match (u32::try_from(off), u32::try_from(len)) {
        (Ok(off), Ok(len)) => Ok((off, len)),
        _ => Err(Errno::FAULT),
    }
}
