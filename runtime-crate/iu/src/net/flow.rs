// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Who talks to whom, and where in a TCP stream one is.

use core::net::IpAddr;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Layers, TcpView, UdpView};

/// Both ends of a flow, fit for a map's key. An IPv4 address is mapped into IPv6
/// (`::ffff:a.b.c.d`), so that the two never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Flow {
    /// Source address.
    pub src: [u8; 16],
    /// Destination address.
    pub dst: [u8; 16],
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// `IPPROTO_TCP` or `IPPROTO_UDP`.
    pub protocol: u32,
}

fn mapped(addr: IpAddr) -> [u8; 16] {
    match addr {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

impl Flow {
    fn new(l: &Layers<'_>, src_port: u16, dst_port: u16) -> Flow {
        let (src, dst) = (mapped(l.src()), mapped(l.dst()));
        Flow { src, dst, src_port, dst_port, protocol: l.protocol.into() }
    }

    /// Of a TCP segment.
    #[inline]
    pub fn of_tcp(v: &TcpView<'_>) -> Flow {
        Flow::new(&v.layers, v.tcp.src_port.get(), v.tcp.dst_port.get())
    }

    /// Of a UDP datagram.
    #[inline]
    pub fn of_udp(v: &UdpView<'_>) -> Flow {
        Flow::new(&v.layers, v.udp.src_port.get(), v.udp.dst_port.get())
    }

    /// The way back.
    #[inline]
    pub fn reversed(&self) -> Flow {
        Flow {
            src: self.dst,
            dst: self.src,
            src_port: self.dst_port,
            dst_port: self.src_port,
            protocol: self.protocol,
        }
    }

    /// 64 bits that depend on every bit of the flow and of `seed`. Not a secret: who knows the
    /// seed can make flows that collide.
    #[inline]
    pub fn hash(&self, seed: u64) -> u64 {
        let mut h = seed ^ 0x9e37_79b9_7f4a_7c15;
        for word in self.as_bytes().as_chunks::<8>().0 {
            h = mix(h ^ u64::from_ne_bytes(*word));
        }
        h
    }
}

/// The finaliser of MurmurHash3: a bijection in which every bit moves every other.
#[inline]
fn mix(mut h: u64) -> u64 {
    h = (h ^ (h >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    h = (h ^ (h >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^ (h >> 33)
}

/// How far one has got in one direction of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Cursor {
    /// Sequence number of the byte that comes next.
    pub next: u32,
}

/// What a segment is to a [`Cursor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The bytes that come next, without those that were there before.
    Next(&'a [u8]),
    /// Nothing that was not there before.
    Seen,
    /// It begins after a gap. The cursor has not moved.
    Gap,
}

impl Cursor {
    /// Behind a SYN with this sequence number.
    #[inline]
    pub const fn after_syn(seq: u32) -> Cursor {
        Cursor { next: seq.wrapping_add(1) }
    }

    /// Takes a segment.
    ///
    /// ```
    /// use iu::net::{Cursor, Piece};
    /// let mut at = Cursor::after_syn(u32::MAX);
    /// assert_eq!(at.take(0, b"abc"), Piece::Next(b"abc"));
    /// assert_eq!(at.take(1, b"bcd"), Piece::Next(b"d"));
    /// assert_eq!(at.take(0, b"abc"), Piece::Seen);
    /// assert_eq!(at.take(9, b"x"), Piece::Gap);
    /// ```
    #[inline]
    pub fn take<'a>(&mut self, seq: u32, payload: &'a [u8]) -> Piece<'a> {
        let ahead = self.next.wrapping_sub(seq);
        if ahead > u32::MAX / 2 {
            return Piece::Gap;
        }
        match payload.get(ahead as usize..) {
            Some(new) if !new.is_empty() => {
                self.next = self.next.wrapping_add(new.len() as u32);
                Piece::Next(new)
            }
            _ => Piece::Seen,
        }
    }
}
