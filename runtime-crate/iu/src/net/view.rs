// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! From the Ethernet header to the payload in one step.

use zerocopy::FromBytes;

use super::{ETH_IPV4, ETH_VLAN, Ethernet, IPPROTO_TCP, IPPROTO_UDP, Ipv4, Tcp, Udp, Vlan};

/// A UDP packet over IPv4.
#[derive(Clone, Copy, Debug)]
pub struct Udp4<'a> {
    /// Ethernet header.
    pub eth: &'a Ethernet,
    /// IPv4 header, without its options.
    pub ip: &'a Ipv4,
    /// UDP header.
    pub udp: &'a Udp,
    /// What the UDP header says is payload.
    pub payload: &'a [u8],
    /// Where the payload begins, bytes from the start of the packet.
    pub payload_at: usize,
}

/// A TCP packet over IPv4.
#[derive(Clone, Copy, Debug)]
pub struct Tcp4<'a> {
    /// Ethernet header.
    pub eth: &'a Ethernet,
    /// IPv4 header, without its options.
    pub ip: &'a Ipv4,
    /// TCP header, without its options.
    pub tcp: &'a Tcp,
    /// The payload there is: at TC, the linear part may end before the packet does.
    pub payload: &'a [u8],
    /// Where the payload begins, bytes from the start of the packet.
    pub payload_at: usize,
    /// Bytes of payload by the IPv4 header.
    pub payload_len: usize,
}

/// A UDP packet over IPv4, writable.
#[derive(Debug)]
pub struct Udp4Mut<'a> {
    /// Ethernet header.
    pub eth: &'a mut Ethernet,
    /// IPv4 header, without its options.
    pub ip: &'a mut Ipv4,
    /// UDP header.
    pub udp: &'a mut Udp,
    /// Everything after the UDP header.
    pub payload: &'a mut [u8],
}

/// A TCP packet over IPv4, writable.
#[derive(Debug)]
pub struct Tcp4Mut<'a> {
    /// Ethernet header.
    pub eth: &'a mut Ethernet,
    /// IPv4 header, without its options.
    pub ip: &'a mut Ipv4,
    /// TCP header, without its options.
    pub tcp: &'a mut Tcp,
    /// Everything after the TCP header and its options.
    pub payload: &'a mut [u8],
}

/// Ethernet and IPv4 headers, and where the next header begins.
#[inline]
fn ipv4(packet: &[u8], protocol: u8) -> Option<(&Ethernet, &Ipv4, usize)> {
    let (eth, rest) = Ethernet::ref_from_prefix(packet).ok()?;
    let mut at = size_of::<Ethernet>();
    let mut ethertype = eth.ethertype.get();
    if ethertype == ETH_VLAN {
        let (vlan, _) = Vlan::ref_from_prefix(rest).ok()?;
        ethertype = vlan.ethertype.get();
        at += size_of::<Vlan>();
    }
    if ethertype != ETH_IPV4 {
        return None;
    }
    let (ip, _) = Ipv4::ref_from_prefix(packet.get(at..)?).ok()?;
    let hlen = ip.header_len();
    if ip.version() != 4
        || hlen < size_of::<Ipv4>()
        || (ip.total_len.get() as usize) < hlen
        || ip.protocol != protocol
        || ip.is_fragment()
    {
        return None;
    }
    Some((eth, ip, at + hlen))
}

/// Ethernet header, IPv4 header and what follows, writable.
#[inline]
fn ipv4_mut(packet: &mut [u8], next: usize) -> Option<(&mut Ethernet, &mut Ipv4, &mut [u8])> {
    let (headers, rest) = packet.split_at_mut_checked(next)?;
    let (eth, headers) = Ethernet::mut_from_prefix(headers).ok()?;
    let tag = if eth.ethertype.get() == ETH_VLAN { size_of::<Vlan>() } else { 0 };
    let (ip, _) = Ipv4::mut_from_prefix(headers.get_mut(tag..)?).ok()?;
    Some((eth, ip, rest))
}

/// Views a packet as UDP over IPv4. The payload has the length that the UDP header
/// says, and is all there.
#[inline]
pub fn udp4(packet: &[u8]) -> Option<Udp4<'_>> {
    let (eth, ip, at) = ipv4(packet, IPPROTO_UDP)?;
    let (udp, rest) = Udp::ref_from_prefix(packet.get(at..)?).ok()?;
    let len = udp.len.get() as usize;
    if len > ip.total_len.get() as usize - ip.header_len() {
        return None;
    }
    let payload = rest.get(..len.checked_sub(size_of::<Udp>())?)?;
    Some(Udp4 { eth, ip, udp, payload, payload_at: at + size_of::<Udp>() })
}

/// As [`udp4`], writable; the payload reaches to the end of the packet.
#[inline]
pub fn udp4_mut(packet: &mut [u8]) -> Option<Udp4Mut<'_>> {
    let (eth, rest) = Ethernet::mut_from_prefix(packet).ok()?;
    let rest = match eth.ethertype.get() {
        ETH_IPV4 => rest,
        ETH_VLAN => {
            let (vlan, rest) = Vlan::mut_from_prefix(rest).ok()?;
            if vlan.ethertype.get() != ETH_IPV4 {
                return None;
            }
            rest
        }
        _ => return None,
    };
    let (ip, rest) = Ipv4::mut_from_prefix(rest).ok()?;
    let hlen = ip.header_len();
    let total = ip.total_len.get() as usize;
    if ip.version() != 4
        || hlen < size_of::<Ipv4>()
        || total < hlen
        || ip.protocol != IPPROTO_UDP
        || ip.is_fragment()
    {
        return None;
    }
    let rest = rest.get_mut(hlen - size_of::<Ipv4>()..)?;
    let there = rest.len();
    let (udp, payload) = Udp::mut_from_prefix(rest).ok()?;
    let len = udp.len.get() as usize;
    if len < size_of::<Udp>() || len > total - hlen || len > there {
        return None;
    }
    Some(Udp4Mut { eth, ip, udp, payload })
}

/// Views a packet as TCP over IPv4.
#[inline]
pub fn tcp4(packet: &[u8]) -> Option<Tcp4<'_>> {
    let (eth, ip, at) = ipv4(packet, IPPROTO_TCP)?;
    let (tcp, _) = Tcp::ref_from_prefix(packet.get(at..)?).ok()?;
    let hlen = tcp.header_len();
    let len = ip.total_len.get() as usize - ip.header_len();
    if hlen < size_of::<Tcp>() || hlen > len {
        return None;
    }
    let payload_at = at + hlen;
    let payload_len = len - hlen;
    let payload = packet.get(payload_at..)?;
    let payload = payload.get(..payload_len).unwrap_or(payload);
    Some(Tcp4 { eth, ip, tcp, payload, payload_at, payload_len })
}

/// As [`tcp4`], writable; the payload reaches to the end of the packet.
#[inline]
pub fn tcp4_mut(packet: &mut [u8]) -> Option<Tcp4Mut<'_>> {
    let v = tcp4(packet)?;
    let hlen = v.tcp.header_len();
    let at = v.payload_at - hlen;
    let (eth, ip, rest) = ipv4_mut(packet, at)?;
    let (header, payload) = rest.split_at_mut_checked(hlen)?;
    let (tcp, _) = Tcp::mut_from_prefix(header).ok()?;
    Some(Tcp4Mut { eth, ip, tcp, payload })
}
