// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use core::marker::PhantomData;

use crate::sys::packet;
use crate::{Errno, kernel};

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
    /// The filter's next action decides (`cls_bpf` with actions; TCX takes it as [`Unspec`](Self::Unspec)).
    Pipe = 3,
    /// Send to where [`TcContext::redirect`] said.
    Redirect = 7,
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

    /// The packet's `struct sk_buff`, of a type made by [`kernel_struct!`](crate::kernel_struct).
    #[inline(always)]
    pub fn kernel<T: kernel::Type>(&self) -> T {
        const { assert!(kernel::same(T::NAME, "struct sk_buff"), "the packet is a `struct sk_buff`") };
        T::at(kernel::Ptr::new(self.raw.fields().skb as u64))
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

    /// Puts `n` bytes in front of the packet; what they hold is the caller's to write.
    /// (`bpf_skb_change_head`)
    #[inline]
    pub fn change_head(&mut self, n: u32) -> Result<(), Errno> {
        self.raw.change_head(n)
    }

    /// Cuts the packet to `n` bytes or appends zeros. (`bpf_skb_change_tail`)
    #[inline]
    pub fn change_tail(&mut self, n: u32) -> Result<(), Errno> {
        self.raw.change_tail(n)
    }

    /// Makes room (`delta` above 0) or cuts bytes behind a header. IPv4 and IPv6 only.
    /// (`bpf_skb_adjust_room`)
    #[inline]
    pub fn adjust_room(&mut self, delta: i32, behind: Behind) -> Result<(), Errno> {
        self.raw.adjust_room(delta, behind as u32, 0)
    }

    /// Adds an outer VLAN tag; `proto` is [`net::ETH_VLAN`](crate::net::ETH_VLAN) or
    /// [`net::ETH_QINQ`](crate::net::ETH_QINQ). The outermost tag is kept beside the
    /// packet, so it does not show in its bytes. (`bpf_skb_vlan_push`)
    #[inline]
    pub fn vlan_push(&mut self, proto: u16, tci: u16) -> Result<(), Errno> {
        self.raw.vlan_push(proto, tci)
    }

    /// Removes the outer VLAN tag, if there is one. (`bpf_skb_vlan_pop`)
    #[inline]
    pub fn vlan_pop(&mut self) -> Result<(), Errno> {
        self.raw.vlan_pop()
    }

    /// Corrects the checksum of the network header, at offset `off`, for a field of 2 or 4
    /// bytes that changed. (`bpf_l3_csum_replace`)
    #[inline]
    pub fn replace_l3_checksum(&mut self, off: u32, change: Change) -> Result<(), Errno> {
        let (from, to, size) = change.parts();
        self.raw.csum_l3(off, from, to, size)
    }

    /// As above for the checksum of TCP or UDP; `pseudo` says that the field is of the
    /// pseudo-header, too (an address). A UDP checksum of 0 stays. (`bpf_l4_csum_replace`)
    #[inline]
    pub fn replace_l4_checksum(
        &mut self,
        off: u32,
        change: Change,
        pseudo: bool,
    ) -> Result<(), Errno> {
        /// `BPF_F_PSEUDO_HDR`
        const PSEUDO: u64 = 1 << 4;
        /// `BPF_F_MARK_MANGLED_0`: what is none stays none.
        const MANGLED_0: u64 = 1 << 5;
        let (from, to, size) = change.parts();
        let flags = size | MANGLED_0 | if pseudo { PSEUDO } else { 0 };
        self.raw.csum_l4(off, from, to, flags)
    }

    /// The verdict that sends the packet to the interface with this index. One that there
    /// is not drops it. (`bpf_redirect`)
    #[inline]
    pub fn redirect(&self, ifindex: u32, way: Way) -> TcAction {
        match self.raw.redirect(ifindex, way as u64) {
            7 => TcAction::Redirect,
            _ => TcAction::Shot,
        }
    }

    /// Sends a copy of the packet, as it is now, to the interface with this index, at once;
    /// the program goes on with its own. [`Errno::INVAL`] if there is no such interface.
    /// What the copy meets on its way, other programs included, runs before this returns.
    /// (`bpf_clone_redirect`)
    ///
    /// ```compile_fail,E0502
    /// # use iu::prelude::*;
    /// fn f(mut ctx: TcContext) {
    ///     let old = ctx.linear();
    ///     let _ = ctx.send_copy(1, iu::Way::Out);
    ///     let _ = old[0];
    /// }
    /// ```
    #[inline]
    pub fn send_copy(&mut self, ifindex: u32, way: Way) -> Result<(), Errno> {
        match self.raw.send_copy(ifindex, way as u64) {
            // A device may say that it is congested (NET_XMIT_*), above 0.
            n if n as i32 > 0 => Err(Errno::BUSY),
            n => Errno::check(n),
        }
    }
}

/// Which way a packet goes through another interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Way {
    /// Out of it.
    Out = 0,
    /// Into it, as if it had come from there (`BPF_F_INGRESS`).
    In = 1,
}

/// Where [`TcContext::adjust_room`] makes room (`enum bpf_adj_room_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Behind {
    /// Behind the network header.
    Network = 0,
    /// Behind the link header.
    Link = 1,
}

/// A field that changed, as the packet has it and as it had it.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// Two bytes.
    Two([u8; 2], [u8; 2]),
    /// Four bytes.
    Four([u8; 4], [u8; 4]),
}

impl Change {
    fn parts(self) -> (u64, u64, u64) {
        match self {
            Change::Two(from, to) => {
                (u16::from_ne_bytes(from).into(), u16::from_ne_bytes(to).into(), 2)
            }
            Change::Four(from, to) => {
                (u32::from_ne_bytes(from).into(), u32::from_ne_bytes(to).into(), 4)
            }
        }
    }
}
