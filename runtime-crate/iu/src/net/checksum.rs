// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Internet checksums: in full (RFC 1071) and by difference (RFC 1624).

use super::{Ipv4, Ipv6};

/// A one's complement sum of 16-bit words in network order.
///
/// ```
/// use iu::net::checksum::Sum;
/// // RFC 1071, section 3.
/// let sum = Sum::new().bytes(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
/// assert_eq!(sum.finish(), !0xddf2);
/// ```
// Kept as the machine reads the words, and in pieces of 32 bits: the sum is the same but
// for the order of its two bytes (RFC 1071, section 2).
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// An empty sum.
    #[inline]
    pub const fn new() -> Sum {
        Sum(0)
    }

    /// Adds bytes, an odd last one as if a zero followed: so all but the last piece
    /// have an even length.
    #[inline]
    pub fn bytes(self, b: &[u8]) -> Sum {
        let mut sum = self.0;
        let (words, rest) = b.as_chunks::<4>();
        for w in words {
            sum += u64::from(u32::from_ne_bytes(*w));
        }
        sum += match *rest {
            [a] => u64::from(u16::from_ne_bytes([a, 0])),
            [a, b] => u64::from(u16::from_ne_bytes([a, b])),
            [a, b, c] => u64::from(u32::from_ne_bytes([a, b, c, 0])),
            _ => 0,
        };
        Sum(sum)
    }

    /// Adds a 16-bit word.
    #[inline]
    pub const fn word(self, w: u16) -> Sum {
        Sum(self.0 + w.to_be() as u64)
    }

    /// Adds a 32-bit word.
    #[inline]
    pub const fn word32(self, w: u32) -> Sum {
        Sum(self.0 + w.to_be() as u64)
    }

    /// Adds the pseudo-header of UDP and TCP over IPv4; `len` is the bytes of
    /// header and payload.
    #[inline]
    pub fn pseudo4(self, ip: &Ipv4, len: u16) -> Sum {
        self.bytes(&ip.src).bytes(&ip.dst).word(ip.protocol as u16).word(len)
    }

    /// Adds the pseudo-header of UDP, TCP and ICMPv6 over IPv6; `protocol` is that of the
    /// last header, `len` the bytes of header and payload.
    #[inline]
    pub fn pseudo6(self, ip: &Ipv6, protocol: u8, len: u32) -> Sum {
        self.bytes(&ip.src).bytes(&ip.dst).word(protocol as u16).word32(len)
    }

    /// The sum folded to 16 bits.
    #[inline]
    pub const fn fold(self) -> u16 {
        let s = (self.0 & 0xffff_ffff) + (self.0 >> 32);
        // At most 33 bits, then 18, then 17, then 16.
        let s = (s & 0xffff) + (s >> 16);
        let s = (s & 0xffff) + (s >> 16);
        let s = (s & 0xffff) + (s >> 16);
        u16::from_be(s as u16)
    }

    /// The checksum: the complement of the sum.
    #[inline]
    pub const fn finish(self) -> u16 {
        !self.fold()
    }

    /// The checksum of UDP, where 0 stands for "none" and is sent as 0xffff.
    #[inline]
    pub const fn finish_udp(self) -> u16 {
        match self.finish() {
            0 => 0xffff,
            n => n,
        }
    }
}

/// The checksum after one 16-bit word was changed (RFC 1624, equation 3).
#[inline]
pub const fn update16(checksum: u16, old: u16, new: u16) -> u16 {
    Sum(0).word(!checksum).word(!old).word(new).finish()
}

/// The checksum after one 32-bit word was changed.
#[inline]
pub const fn update32(checksum: u16, old: u32, new: u32) -> u16 {
    Sum(0).word(!checksum).word32(!old).word32(new).finish()
}
