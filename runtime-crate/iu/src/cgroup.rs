// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Hooks of cgroups and sockets.

use core::marker::PhantomData;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Errno;
use crate::sys::{packet, trace};

/// Verdict of programs at cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum CgroupAction {
    /// Drop the packet, or fail the call with `EPERM`.
    Deny = 0,
    /// Go on.
    Allow = 1,
}

/// Verdict of a socket filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketFilterAction {
    /// The socket does not get the packet.
    Drop,
    /// The socket gets it whole.
    Keep,
    /// The socket gets so many bytes of it.
    Truncate(u32),
}

impl SocketFilterAction {
    pub(crate) const fn number(self) -> u32 {
        match self {
            SocketFilterAction::Drop => 0,
            SocketFilterAction::Keep => u32::MAX,
            SocketFilterAction::Truncate(n) => n,
        }
    }
}

macro_rules! packets {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// It is read only. Only its first part need be in linear memory: the rest is
        /// reached by [`load`](Self::load). Only the runtime makes a context, for the
        /// time of one call. It stays on its CPU.
        pub struct $name<'a> {
            raw: packet::Tc,
            _call: PhantomData<&'a mut ()>,
        }

        impl $name<'_> {
            pub(crate) fn new(raw: packet::Tc) -> Self {
                $name { raw, _call: PhantomData }
            }

            /// The linear part.
            #[inline(always)]
            pub fn linear(&self) -> &[u8] {
                self.raw.linear()
            }

            /// Bytes of the whole packet.
            #[inline(always)]
            #[allow(clippy::len_without_is_empty)]
            pub fn len(&self) -> usize {
                self.raw.fields().len as usize
            }

            /// Index of the interface, 0 if there is none.
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

            /// Copies `to.len()` bytes at offset `off` of the whole packet into `to`.
            /// [`Errno::FAULT`] if they are not all inside. (`bpf_skb_load_bytes`)
            #[inline]
            pub fn load(&self, off: usize, to: &mut [u8]) -> Result<(), Errno> {
                self.raw.load(off, to)
            }
        }
    )*};
}

packets! {
    /// A packet that a socket of the cgroup receives or sends, from its IP header on.
    CgroupSkbContext;
    /// A packet that a socket with this filter may get, from what the socket sees first
    /// (the Ethernet header for a raw packet socket, the UDP header for a UDP socket).
    SocketFilterContext;
}

/// The address that a socket of the cgroup binds, connects or sends to, or that it is
/// told (`recvmsg`, `getpeername`, `getsockname`): which of them is said at attach.
///
/// Changes take effect if the program returns, not if it faults. Only the runtime makes
/// a context, for the time of one call.
pub struct SockAddrContext<'a> {
    raw: trace::SockAddr,
    _call: PhantomData<&'a mut ()>,
}

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

impl SockAddrContext<'_> {
    pub(crate) fn new(raw: trace::SockAddr) -> Self {
        SockAddrContext { raw, _call: PhantomData }
    }

    /// The address, `None` if it is neither IPv4 nor IPv6.
    #[inline(always)]
    pub fn ip(&self) -> Option<IpAddr> {
        let c = self.raw.get();
        match c.family {
            AF_INET => {
                let [a, b, d, e, ..] = c.addr;
                Some(Ipv4Addr::new(a, b, d, e).into())
            }
            AF_INET6 => Some(Ipv6Addr::from(c.addr).into()),
            _ => None,
        }
    }

    /// The port.
    #[inline(always)]
    pub fn port(&self) -> u16 {
        u16::from_be(self.raw.get().port)
    }

    /// The socket's type: 1 is a stream, 2 are datagrams.
    #[inline(always)]
    pub fn socket_type(&self) -> u16 {
        self.raw.get().socket_type
    }

    /// The socket's protocol: 6 is TCP, 17 is UDP.
    #[inline(always)]
    pub fn protocol(&self) -> u16 {
        self.raw.get().protocol
    }

    /// Sets the address. [`Errno::INVAL`] if the socket's is of the other family.
    #[inline(always)]
    pub fn set_ip(&mut self, ip: IpAddr) -> Result<(), Errno> {
        let c = self.raw.get_mut();
        match (ip, c.family) {
            (IpAddr::V4(ip), AF_INET) => c.addr[..4].copy_from_slice(&ip.octets()),
            (IpAddr::V6(ip), AF_INET6) => c.addr = ip.octets(),
            _ => return Err(Errno::INVAL),
        }
        c.changed = 1;
        Ok(())
    }

    /// Sets the port. [`Errno::INVAL`] if the address has none.
    #[inline(always)]
    pub fn set_port(&mut self, port: u16) -> Result<(), Errno> {
        let c = self.raw.get_mut();
        if c.family != AF_INET && c.family != AF_INET6 {
            return Err(Errno::INVAL);
        }
        c.port = port.to_be();
        c.changed = 1;
        Ok(())
    }
}
