// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use core::marker::PhantomData;

use crate::Errno;
use crate::sys::packet;

/// Verdict of an XDP program (`enum xdp_action`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum XdpAction {
    /// Drop, and raise the tracepoint `xdp:xdp_exception`.
    Aborted = 0,
    /// Drop.
    Drop = 1,
    /// Hand to the network stack.
    Pass = 2,
    /// Send back out of the interface it came from.
    Tx = 3,
    /// Send to where [`XdpContext::redirect`], [`DevMap::redirect`](crate::map::DevMap::redirect) or
    /// its kin said.
    Redirect = 4,
}

/// A packet at the XDP hook, before the network stack has seen it.
///
/// With `frags = "yes"` in the program's `attach`, a packet may be of several buffers, as
/// jumbo frames and what a driver has put together are; without it, the kernel lets no such
/// packet come here and may refuse interfaces that have them.
///
/// Only the runtime makes one, for the time of one call. It stays on its CPU.
/// Its slices are borrowed from it, so what moves the packet also ends them:
///
/// ```compile_fail,E0502
/// # use iu::prelude::*;
/// fn f(mut ctx: XdpContext) {
///     let old = ctx.packet();
///     let _ = ctx.adjust_tail(-4);
///     let _ = old[0];
/// }
/// ```
pub struct XdpContext<'a> {
    raw: packet::Xdp,
    _call: PhantomData<&'a mut ()>,
}

impl XdpContext<'_> {
    pub(crate) fn new(raw: packet::Xdp) -> Self {
        XdpContext { raw, _call: PhantomData }
    }

    /// The packet from the Ethernet header on. Of a multi-buffer packet it is the
    /// first buffer: [`load`](Self::load) and [`store`](Self::store) reach the others.
    #[inline(always)]
    pub fn packet(&self) -> &[u8] {
        self.raw.bytes()
    }

    /// The packet from the Ethernet header on, writable.
    #[inline(always)]
    pub fn packet_mut(&mut self) -> &mut [u8] {
        self.raw.bytes_mut()
    }

    /// Bytes of the whole packet, from the Ethernet header on, all buffers.
    /// (`bpf_xdp_get_buff_len`)
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// Copies `to.len()` bytes at offset `off` of the whole packet, all buffers, into
    /// `to`. [`Errno::INVAL`] if they are not all inside. (`bpf_xdp_load_bytes`)
    #[inline]
    pub fn load(&self, off: usize, to: &mut [u8]) -> Result<(), Errno> {
        self.raw.load(off, to)
    }

    /// Writes `from` at offset `off` of the whole packet, all buffers.
    /// [`Errno::INVAL`] if it does not lie inside. (`bpf_xdp_store_bytes`)
    #[inline]
    pub fn store(&mut self, off: usize, from: &[u8]) -> Result<(), Errno> {
        self.raw.store(off, from)
    }

    /// Moves the start of the packet by `delta` bytes: negative makes room in
    /// front (its content is not defined), positive cuts. [`Errno::INVAL`] if
    /// there is no room or less than an Ethernet header would be left.
    /// (`bpf_xdp_adjust_head`)
    #[inline]
    pub fn adjust_head(&mut self, delta: i32) -> Result<(), Errno> {
        self.raw.adjust_head(delta)
    }

    /// Moves the end of the packet by `delta` bytes: positive appends zeros,
    /// negative cuts. [`Errno::INVAL`] if there is no room or less than an
    /// Ethernet header would be left. (`bpf_xdp_adjust_tail`)
    #[inline]
    pub fn adjust_tail(&mut self, delta: i32) -> Result<(), Errno> {
        self.raw.adjust_tail(delta)
    }

    /// The verdict that sends the packet out of the interface with this index. An index
    /// that there is not, or a driver that cannot, drops the packet after the program has
    /// returned. (`bpf_redirect`)
    #[inline]
    pub fn redirect(&self, ifindex: u32) -> XdpAction {
        match self.raw.redirect(ifindex) {
            4 => XdpAction::Redirect,
            _ => XdpAction::Aborted,
        }
    }
}
