// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use core::marker::PhantomData;

use crate::Errno;
use crate::sys::packet;

/// Verdict of a TC program (`TC_ACT_*` of `linux/pkt_cls.h`; TCX takes the same).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum TcAction {
    /// No verdict: the next program or filter decides.
    Unspec = -1,
    /// Accept; programs after this one are not asked.
    Ok = 0,
    /// Drop.
    Shot = 2,
}

/// A packet at the TC hook, ingress or egress.
///
/// Only the first part of a packet need be in linear memory: what the kernel
/// keeps in pages is reached by [`load`](Self::load) and [`store`](Self::store),
/// or made linear by [`pull`](Self::pull). Only the runtime makes a context, for
/// the time of one call. It stays on its CPU.
pub struct TcContext<'a> {
    raw: packet::Tc,
    _call: PhantomData<&'a mut ()>,
}

impl TcContext<'_> {
    pub(crate) fn new(raw: packet::Tc) -> Self {
        TcContext { raw, _call: PhantomData }
    }

    /// The linear part, from the Ethernet header on.
    #[inline(always)]
    pub fn linear(&self) -> &[u8] {
        self.raw.linear()
    }

    /// Bytes of the whole packet, from the Ethernet header on.
    #[inline(always)]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.raw.fields().len as usize
    }

    /// Index of the interface.
    #[inline(always)]
    pub fn ifindex(&self) -> u32 {
        self.raw.fields().ifindex
    }

    /// The packet's mark.
    #[inline(always)]
    pub fn mark(&self) -> u32 {
        self.raw.fields().mark
    }

    /// The EtherType, in host order (0x0800 is IPv4).
    #[inline(always)]
    pub fn protocol(&self) -> u16 {
        u16::from_be(self.raw.fields().protocol as u16)
    }

    /// Makes the first `n` bytes linear and writable and returns them.
    /// [`Errno::NOMEM`] if there is no memory or the packet is shorter.
    /// (`bpf_skb_pull_data`)
    #[inline]
    pub fn pull(&mut self, n: usize) -> Result<&mut [u8], Errno> {
        self.raw.pull(n)
    }

    /// Copies `to.len()` bytes at offset `off` of the whole packet into `to`.
    /// [`Errno::FAULT`] if they are not all inside. (`bpf_skb_load_bytes`)
    #[inline]
    pub fn load(&self, off: usize, to: &mut [u8]) -> Result<(), Errno> {
        self.raw.load(off, to)
    }

    /// Writes `from` at offset `off` of the whole packet. Checksums are the
    /// caller's. [`Errno::FAULT`] if it does not lie inside.
    /// (`bpf_skb_store_bytes`)
    #[inline]
    pub fn store(&mut self, off: usize, from: &[u8]) -> Result<(), Errno> {
        self.raw.store(off, from)
    }
}
