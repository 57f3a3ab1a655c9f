// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! Where things stand in a packet, and a UDP reply made out of its request.

use iu::net::checksum::Sum;

const ETH: usize = 14;
const IPV4: usize = 20;
const UDP: usize = 8;

/// Headers in front of the payload of a datagram that [`UdpRequest`] accepts.
pub const HEADERS: usize = ETH + IPV4 + UDP;

const PROTO_TCP: u8 = 6;
const PROTO_UDP: u8 = 17;

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    match bytes.get(at..at.checked_add(2)?)? {
        [a, b] => Some(u16::from_be_bytes([*a, *b])),
        _ => None,
    }
}

/// What of a packet matters to the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A UDP datagram to `port`; the payload is what its header says it is.
    Udp {
        /// Destination port.
        port: u16,
        /// Payload.
        payload: &'a [u8],
    },
    /// A TCP segment to `port`, with data.
    Tcp {
        /// Destination port.
        port: u16,
        /// Payload, up to the end of what the IP header says.
        payload: &'a [u8],
    },
    /// May carry TCP data that cannot be seen from here: a fragment, or headers
    /// not followed.
    Opaque,
    /// Nothing to do with memcached.
    Other,
}

/// Finds the transport payload, behind VLAN tags, IPv4 options or none.
pub fn parse(frame: &[u8]) -> Packet<'_> {
    parse_l3(frame).unwrap_or(Packet::Other)
}

fn parse_l3(frame: &[u8]) -> Option<Packet<'_>> {
    let mut at = ETH;
    let mut ether_type = be16(frame, 12)?;
    // Two tags at most (802.1ad); more is nobody's memcached.
    for _ in 0..2 {
        if ether_type == 0x8100 || ether_type == 0x88a8 {
            ether_type = be16(frame, at + 2)?;
            at += 4;
        }
    }
    let packet = frame.get(at..)?;
    match ether_type {
        0x0800 => parse_ipv4(packet),
        0x86dd => parse_ipv6(packet),
        _ => None,
    }
}

fn parse_ipv4(packet: &[u8]) -> Option<Packet<'_>> {
    let header = usize::from(*packet.first()? & 0x0f) * 4;
    let packet = packet.get(..usize::from(be16(packet, 2)?))?;
    let proto = *packet.get(9)?;
    // More fragments, or not the first.
    if be16(packet, 6)? & 0x3fff != 0 {
        return Some(if proto == PROTO_TCP { Packet::Opaque } else { Packet::Other });
    }
    if header < IPV4 {
        return None;
    }
    parse_l4(proto, packet.get(header..)?)
}

fn parse_ipv6(packet: &[u8]) -> Option<Packet<'_>> {
    let payload = packet.get(40..)?;
    let payload = payload.get(..usize::from(be16(packet, 4)?))?;
    match *packet.get(6)? {
        proto @ (PROTO_TCP | PROTO_UDP) => parse_l4(proto, payload),
        // ICMPv6, or no next header.
        58 | 59 => None,
        _ => Some(Packet::Opaque),
    }
}

fn parse_l4(proto: u8, segment: &[u8]) -> Option<Packet<'_>> {
    match proto {
        PROTO_UDP => {
            let len = usize::from(be16(segment, 4)?);
            Some(Packet::Udp { port: be16(segment, 2)?, payload: segment.get(UDP..len)? })
        }
        PROTO_TCP => {
            let header = usize::from(*segment.get(12)? >> 4) * 4;
            let payload = segment.get(header..)?;
            if payload.is_empty() {
                return None;
            }
            Some(Packet::Tcp { port: be16(segment, 2)?, payload })
        }
        _ => None,
    }
}

/// Whether the frame is a UDP datagram over plain IPv4 from this port.
pub fn is_udp_from(frame: &[u8], port: u16) -> bool {
    is_plain_udp(frame).is_some() && be16(frame, ETH + IPV4) == Some(port)
}

/// Ethernet, IPv4 without options, not a fragment, UDP: the only shape answered.
fn is_plain_udp(frame: &[u8]) -> Option<()> {
    let plain = be16(frame, 12)? == 0x0800
        && *frame.get(ETH)? == 0x45
        && be16(frame, ETH + 6)? & 0x3fff == 0
        && *frame.get(ETH + 9)? == PROTO_UDP;
    plain.then_some(())
}

/// Who sent a UDP request: enough to know the reply to it again.
///
/// `None` for a frame that [`turn_around`] cannot answer.
pub fn udp_client(frame: &[u8], to_client: bool, request: u16) -> Option<u64> {
    is_plain_udp(frame)?;
    let (ip, port) = if to_client { (ETH + 16, ETH + IPV4 + 2) } else { (ETH + 12, ETH + IPV4) };
    let ip = u32::from(be16(frame, ip)?) << 16 | u32::from(be16(frame, ip + 2)?);
    let port = be16(frame, port)?;
    Some(u64::from(ip) << 32 | u64::from(port) << 16 | u64::from(request))
}

/// Turns the headers of a request into those of its reply with `payload` bytes.
/// `None`, and an undefined frame, if the frame is too short for that.
pub fn turn_around(frame: &mut [u8], payload: usize) -> Option<()> {
    let headers: &mut [u8; HEADERS] = frame.first_chunk_mut()?;
    let udp_len = u16::try_from(UDP + payload).ok()?;
    let ip_len = u16::try_from(IPV4 + UDP + payload).ok()?;
    for i in 0..6 {
        headers.swap(i, 6 + i);
    }
    for i in 0..4 {
        headers.swap(ETH + 12 + i, ETH + 16 + i);
    }
    for i in 0..2 {
        headers.swap(ETH + IPV4 + i, ETH + IPV4 + 2 + i);
    }
    let [_, _, ip @ ..] = headers.get_mut(ETH - 2..ETH + IPV4)? else {
        return None;
    };
    ip.get_mut(2..4)?.copy_from_slice(&ip_len.to_be_bytes());
    // Identification 0, do not fragment, 64 hops.
    ip.get_mut(4..9)?.copy_from_slice(&[0, 0, 0x40, 0, 64]);
    ip.get_mut(10..12)?.fill(0);
    let sum = Sum::new().bytes(ip).finish();
    ip.get_mut(10..12)?.copy_from_slice(&sum.to_be_bytes());
    let udp = headers.get_mut(ETH + IPV4..)?;
    udp.get_mut(4..6)?.copy_from_slice(&udp_len.to_be_bytes());
    // No checksum, as RFC 768 allows over IPv4: Ethernet's covers the frame.
    udp.get_mut(6..8)?.fill(0);
    Some(())
}
