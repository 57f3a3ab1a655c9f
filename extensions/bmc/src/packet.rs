// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! Where things stand in a packet, and a UDP reply made out of its request.
//!
//! Positions are bytes from the start of the frame, so that they stay good while
//! the packet is written.

use iu::net::checksum::Sum;

const ETH: usize = 14;
const IPV4: usize = 20;
const IPV6: usize = 40;
const UDP: usize = 8;
const TCP: usize = 20;

/// Bytes that hold every header this module follows, TCP's options aside.
pub const MAX_HEADERS: usize = 192;

/// Most bytes of headers in a reply: Ethernet with two tags, IPv6, UDP.
pub const MAX_REPLY_HEADERS: usize = ETH + 8 + IPV6 + UDP;

const PROTO_TCP: u8 = 6;
const PROTO_UDP: u8 = 17;

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    match bytes.get(at..at.checked_add(2)?)? {
        [a, b] => Some(u16::from_be_bytes([*a, *b])),
        _ => None,
    }
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from(be16(bytes, at)?) << 16 | u32::from(be16(bytes, at.checked_add(2)?)?))
}

/// An address; IPv4 stands in the first four bytes, the rest is zero.
pub type Ip = [u8; 16];

/// A UDP datagram or TCP segment in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Start of the IP header.
    pub l3: usize,
    /// Start of the UDP or TCP header.
    pub l4: usize,
    /// Start of the payload.
    pub start: usize,
    /// End of the payload, as the headers say; it may lie beyond the frame.
    pub end: usize,
    /// IPv6, not IPv4.
    pub v6: bool,
    /// Nothing in the headers keeps a reply from being made of this packet.
    pub plain: bool,
    /// The first of several fragments.
    pub fragment: bool,
    /// Source port.
    pub from: u16,
    /// Destination port.
    pub to: u16,
}

/// What of a packet matters to the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// A UDP datagram.
    Udp(Place),
    /// A TCP segment.
    Tcp(Place),
    /// Nothing to do with memcached. Fragments but the first are: what they
    /// belong to is known by its first.
    Other,
}

/// Finds the transport header, behind VLAN tags, IPv4 options, IPv6 extension
/// headers or none. Only the headers need be in `frame`; `whole` is the length of the packet.
pub fn parse(frame: &[u8], whole: usize) -> Packet {
    parse_l3(frame, whole).unwrap_or(Packet::Other)
}

#[inline(always)]
fn parse_l3(frame: &[u8], whole: usize) -> Option<Packet> {
    let mut at = ETH;
    let mut ether_type = be16(frame, 12)?;
    if ether_type != 0x0800 {
        // Two tags at most (802.1ad); more is nobody's memcached.
        for _ in 0..2 {
            if ether_type == 0x8100 || ether_type == 0x88a8 {
                ether_type = be16(frame, at + 2)?;
                at += 4;
            }
        }
    }
    match ether_type {
        0x0800 => parse_ipv4(frame, at, whole),
        0x86dd => parse_ipv6(frame, at, whole),
        _ => None,
    }
}

#[inline(always)]
fn parse_ipv4(frame: &[u8], l3: usize, whole: usize) -> Option<Packet> {
    let ip = frame.get(l3..l3 + IPV4)?;
    let header = usize::from(*ip.first()? & 0x0f) * 4;
    let end = l3 + usize::from(be16(ip, 2)?);
    let fragment = be16(ip, 6)?;
    if *ip.first()? >> 4 != 4 || header < IPV4 || end > whole || fragment & 0x1fff != 0 {
        return None;
    }
    let more = fragment & 0x2000 != 0;
    // A source route says that the way back is not the way here.
    let plain = !more && (header == IPV4 || harmless(frame.get(l3 + IPV4..l3 + header)?));
    let place = Place {
        l3,
        l4: l3 + header,
        start: 0,
        end,
        v6: false,
        plain,
        fragment: more,
        from: 0,
        to: 0,
    };
    parse_l4(frame, *ip.get(9)?, place)
}

/// Whether IPv4 options are but padding, router alert, record route and timestamp.
fn harmless(mut options: &[u8]) -> bool {
    loop {
        match *options {
            [] | [0, ..] => return true,
            [1, ref rest @ ..] => options = rest,
            [7 | 68 | 148, len, ..] if len >= 2 => match options.get(usize::from(len)..) {
                Some(rest) => options = rest,
                None => return false,
            },
            _ => return false,
        }
    }
}

/// Most extension headers followed.
const EXTENSIONS: usize = 4;

fn parse_ipv6(frame: &[u8], l3: usize, whole: usize) -> Option<Packet> {
    let ip = frame.get(l3..l3 + IPV6)?;
    let end = l3 + IPV6 + usize::from(be16(ip, 4)?);
    if *ip.first()? >> 4 != 6 || end > whole {
        return None;
    }
    let mut next = *ip.get(6)?;
    let mut place = Place {
        l3,
        l4: l3 + IPV6,
        start: 0,
        end,
        v6: true,
        plain: true,
        fragment: false,
        from: 0,
        to: 0,
    };
    for _ in 0..EXTENSIONS {
        let header = frame.get(place.l4..place.l4 + 8);
        match next {
            // Hop by hop, routing, destination options.
            0 | 43 | 60 => {
                place.plain = false;
                next = *header?.first()?;
                place.l4 += 8 + 8 * usize::from(*header?.get(1)?);
            }
            44 => {
                place.plain = false;
                let offset = be16(header?, 2)?;
                if offset & 0xfff8 != 0 {
                    return None;
                }
                place.fragment = offset & 1 != 0;
                next = *header?.first()?;
                place.l4 += 8;
            }
            _ => break,
        }
    }
    parse_l4(frame, next, place)
}

#[inline(always)]
fn parse_l4(frame: &[u8], proto: u8, mut place: Place) -> Option<Packet> {
    place.from = be16(frame, place.l4)?;
    place.to = be16(frame, place.l4 + 2)?;
    match proto {
        PROTO_UDP => {
            let len = usize::from(be16(frame, place.l4 + 4)?);
            place.start = place.l4 + UDP;
            // Of a fragment the header tells the length of the whole.
            if !place.fragment {
                if place.l4 + len > place.end || len < UDP {
                    return None;
                }
                place.end = place.l4 + len;
            }
            Some(Packet::Udp(place))
        }
        PROTO_TCP => {
            // The first fragment may end in the header; where the data is does not matter then.
            let header = frame.get(place.l4 + 12).map_or(TCP, |b| usize::from(*b >> 4) * 4);
            place.start = place.l4 + header;
            if header < TCP || (place.start > place.end && !place.fragment) {
                return None;
            }
            Some(Packet::Tcp(place))
        }
        _ => None,
    }
}

/// What the TCP header of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Number of the first byte of data, or of SYN.
    pub seq: u32,
    /// Number of the byte that is expected from the other side, if `flags` has ACK.
    pub ack: u32,
    /// FIN, SYN, RST, PSH, ACK, … from bit 0 on.
    pub flags: u8,
}

/// Flag bits of [`Tcp`].
pub const FIN: u8 = 1;
/// Opens a connection.
pub const SYN: u8 = 2;
/// Breaks a connection.
pub const RST: u8 = 4;
/// `ack` counts.
pub const ACK: u8 = 16;
/// A byte is not part of the stream.
pub const URG: u8 = 32;

/// The TCP header at a place.
pub fn tcp(frame: &[u8], place: &Place) -> Option<Tcp> {
    let header = frame.get(place.l4..place.l4 + TCP)?;
    Some(Tcp { seq: be32(header, 4)?, ack: be32(header, 8)?, flags: *header.get(13)? })
}

/// Source and destination address.
pub fn addresses(frame: &[u8], place: &Place) -> Option<(Ip, Ip)> {
    let (at, len) = if place.v6 { (place.l3 + 8, 16) } else { (place.l3 + 12, 4) };
    let (mut from, mut to) = ([0; 16], [0; 16]);
    from.get_mut(..len)?.copy_from_slice(frame.get(at..at + len)?);
    to.get_mut(..len)?.copy_from_slice(frame.get(at + len..at + 2 * len)?);
    Some((from, to))
}

/// Whether the IPv4 header's checksum is right. IPv6 has none.
#[inline(always)]
pub fn header_is_intact(frame: &[u8], place: &Place) -> bool {
    if place.v6 {
        return true;
    }
    let Some((header, options)) =
        frame.get(place.l3..place.l4).and_then(|h| h.split_first_chunk::<IPV4>())
    else {
        return false;
    };
    // Four bytes at a time and in the machine's order: a sum that is all ones is so in any order.
    let mut sum: u64 = 0;
    for word in header.as_chunks::<4>().0 {
        sum += u64::from(u32::from_ne_bytes(*word));
    }
    for word in options.as_chunks::<4>().0 {
        sum += u64::from(u32::from_ne_bytes(*word));
    }
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum == 0xffff
}

/// Bytes of headers in front of a reply's payload.
#[inline(always)]
pub fn reply_headers(place: &Place) -> usize {
    place.l3 + if place.v6 { IPV6 + UDP } else { IPV4 + UDP }
}

/// Turns the headers of a request into those of its reply with `payload` bytes,
/// which stand at [`reply_headers`] already and of which `frame` holds all.
/// `None`, and an undefined frame, if the frame is too short for that.
#[inline(always)]
pub fn turn_around(frame: &mut [u8], place: &Place, payload: usize) -> Option<()> {
    let macs: &mut [u8; 12] = frame.first_chunk_mut()?;
    let [a0, a1, a2, a3, a4, a5, b0, b1, b2, b3, b4, b5] = *macs;
    *macs = [b0, b1, b2, b3, b4, b5, a0, a1, a2, a3, a4, a5];
    let udp_len = u16::try_from(UDP + payload).ok()?;
    let (from, to) = (place.to.to_be_bytes(), place.from.to_be_bytes());
    let len = udp_len.to_be_bytes();
    let udp: [u8; UDP] = [from[0], from[1], to[0], to[1], len[0], len[1], 0, 0];
    if place.v6 {
        return turn_around6(frame, place, udp);
    }
    let headers: &mut [u8; IPV4 + UDP] = frame.get_mut(place.l3..)?.first_chunk_mut()?;
    let total = u16::try_from(IPV4 + UDP + payload).ok()?;
    let [t0, t1] = total.to_be_bytes();
    let [_, tos, _, _, _, _, _, _, _, _, _, _, s0, s1, s2, s3, d0, d1, d2, d3, ..] = *headers;
    let src = u32::from_be_bytes([d0, d1, d2, d3]);
    let dst = u32::from_be_bytes([s0, s1, s2, s3]);
    // Version and length, class, do not fragment, 64 hops, UDP.
    let sum = Sum::new()
        .word(0x4500 | u16::from(tos))
        .word(total)
        .word(0x4000)
        .word(0x4011)
        .word32(src)
        .word32(dst)
        .finish();
    let [c0, c1] = sum.to_be_bytes();
    let ip =
        [0x45, tos, t0, t1, 0, 0, 0x40, 0, 64, PROTO_UDP, c0, c1, d0, d1, d2, d3, s0, s1, s2, s3];
    let (to_ip, to_udp) = headers.split_first_chunk_mut::<IPV4>()?;
    *to_ip = ip;
    // No UDP checksum, as RFC 768 allows over IPv4: Ethernet's covers the frame.
    to_udp.first_chunk_mut().map(|to| *to = udp)
}

fn turn_around6(frame: &mut [u8], place: &Place, udp: [u8; UDP]) -> Option<()> {
    let (ip, rest) = frame.get_mut(place.l3..)?.split_first_chunk_mut::<IPV6>()?;
    let [_, _, len @ ..] = udp;
    let [_, _, l0, l1, ..] = len;
    let mut header = *ip;
    let (src, dst) = (ip.get(8..24)?, ip.get(24..40)?);
    header.get_mut(8..24)?.copy_from_slice(dst);
    header.get_mut(24..40)?.copy_from_slice(src);
    header.get_mut(4..8)?.copy_from_slice(&[l0, l1, PROTO_UDP, 64]);
    *ip = header;
    let len = u16::from_be_bytes([l0, l1]);
    let datagram = rest.get_mut(..usize::from(len))?;
    *datagram.first_chunk_mut()? = udp;
    let sum =
        Sum::new().bytes(header.get(8..40)?).word(u16::from(PROTO_UDP)).word(len).bytes(datagram);
    datagram.get_mut(6..8)?.copy_from_slice(&sum.finish_udp().to_be_bytes());
    Some(())
}
