// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! A packet that goes back where it came from.

use zerocopy::FromBytes;

use super::checksum::Sum;
use super::{Ethernet, Ip, Ipv4, Ipv6, Layers, layers};

const TTL: u8 = 64;

impl Layers<'_> {
    /// Whether nothing stands between the IP header and the transport header, and this is no
    /// fragment: what [`turn_around`] can make a reply of.
    #[inline]
    pub fn is_plain(&self) -> bool {
        let header = match self.ip {
            Ip::V4(_) => size_of::<Ipv4>(),
            Ip::V6(_) => size_of::<Ipv6>(),
        };
        self.at == self.link.at + header && !self.fragment
    }
}

/// Exchanges the addresses of both layers and fills the IP header in for `len` bytes of transport
/// header and payload, which are the caller's to write. Gives where they begin, and the sum of
/// their pseudo-header. `None`, and the packet is as it was, if it is not
/// [plain](Layers::is_plain).
pub fn turn_around(packet: &mut [u8], len: u16) -> Option<(usize, Sum)> {
    let l = layers(packet).filter(Layers::is_plain)?;
    let (l3, l4, protocol) = (l.link.at, l.at, l.protocol);
    let v6 = matches!(l.ip, Ip::V6(_));
    let total = len.checked_add((l4 - l3) as u16)?;
    let (link, rest) = packet.split_at_mut_checked(l3)?;
    let sum = if v6 {
        let (ip, _) = Ipv6::mut_from_prefix(rest).ok()?;
        core::mem::swap(&mut ip.src, &mut ip.dst);
        ip.hop_limit = TTL;
        ip.payload_len.set(len);
        Sum::new().pseudo6(ip, protocol, len.into())
    } else {
        let (ip, _) = Ipv4::mut_from_prefix(rest).ok()?;
        ip.swap();
        ip.ttl = TTL;
        ip.total_len.set(total);
        ip.fill_checksum();
        Sum::new().pseudo4(ip, len)
    };
    Ethernet::mut_from_prefix(link).ok()?.0.swap();
    Some((l4, sum))
}
