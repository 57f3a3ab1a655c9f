// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! From the Ethernet header to the transport header, over either IP.

use core::net::IpAddr;

use zerocopy::FromBytes;

use super::{
    ETH_IPV4, ETH_IPV6, ETH_QINQ, ETH_VLAN, Ethernet, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP,
    IPPROTO_UDP, Icmp, Ipv4, Ipv6, Options, Tcp, Udp, Vlan,
};

/// Tags that are followed, as Linux does.
const TAGS: usize = 8;
/// Extension headers of IPv6 that are followed.
const EXTENSIONS: usize = 8;

/// An Ethernet header with its VLAN tags.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// Ethernet header.
    pub eth: &'a Ethernet,
    /// The outermost VLAN tag.
    pub outer: Option<&'a Vlan>,
    /// The innermost VLAN tag; the same if there is one.
    pub inner: Option<&'a Vlan>,
    /// What follows the tags.
    pub ethertype: u16,
    /// Where that begins, bytes from the start of the packet.
    pub at: usize,
}

/// The IP header of a packet.
#[derive(Clone, Copy, Debug)]
pub enum Ip<'a> {
    /// IPv4, without its options.
    V4(&'a Ipv4),
    /// IPv6, without its extension headers.
    V6(&'a Ipv6),
}

/// A packet down to where its transport header begins.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    /// Ethernet header and VLAN tags.
    pub link: Link<'a>,
    /// IP header.
    pub ip: Ip<'a>,
    /// What follows the IP header, options and extension headers.
    pub protocol: u8,
    /// Where that begins, bytes from the start of the packet.
    pub at: usize,
    /// Bytes from there on, by the IP header; the packet may hold fewer.
    pub len: usize,
    /// Whether this is a part of a larger packet.
    pub fragment: bool,
    packet: &'a [u8],
}

/// A packet with its UDP header.
#[derive(Clone, Copy, Debug)]
pub struct UdpView<'a> {
    /// What is in front.
    pub layers: Layers<'a>,
    /// UDP header.
    pub udp: &'a Udp,
    /// What the UDP header says is payload; it is all there.
    pub payload: &'a [u8],
}

/// A packet with its TCP header.
#[derive(Clone, Copy, Debug)]
pub struct TcpView<'a> {
    /// What is in front.
    pub layers: Layers<'a>,
    /// TCP header, without its options.
    pub tcp: &'a Tcp,
    /// Its options.
    pub options: &'a [u8],
    /// The payload there is: at TC, the linear part may end before the packet does.
    pub payload: &'a [u8],
}

/// A packet with its ICMP or ICMPv6 header.
#[derive(Clone, Copy, Debug)]
pub struct IcmpView<'a> {
    /// What is in front.
    pub layers: Layers<'a>,
    /// The header.
    pub icmp: &'a Icmp,
    /// What follows it.
    pub body: &'a [u8],
}

/// Ethernet header and up to eight VLAN tags.
#[inline]
pub fn link(packet: &[u8]) -> Option<Link<'_>> {
    let (eth, _) = Ethernet::ref_from_prefix(packet).ok()?;
    let mut l = Link {
        eth,
        outer: None,
        inner: None,
        ethertype: eth.ethertype.get(),
        at: size_of::<Ethernet>(),
    };
    for _ in 0..TAGS {
        if !matches!(l.ethertype, ETH_VLAN | ETH_QINQ) {
            break;
        }
        let (tag, _) = Vlan::ref_from_prefix(packet.get(l.at..)?).ok()?;
        l.outer = l.outer.or(Some(tag));
        l.inner = Some(tag);
        l.ethertype = tag.ethertype.get();
        l.at += size_of::<Vlan>();
    }
    Some(l)
}

/// Down to the transport header: IPv4 with options, IPv6 with up to eight extension
/// headers. `None` for anything else, cut short or of inconsistent length.
#[inline]
pub fn layers(packet: &[u8]) -> Option<Layers<'_>> {
    let link = link(packet)?;
    let rest = packet.get(link.at..)?;
    match link.ethertype {
        ETH_IPV4 => {
            let (ip, _) = Ipv4::ref_from_prefix(rest).ok()?;
            let (hlen, total) = (ip.header_len(), ip.total_len.get() as usize);
            if ip.version() != 4 || hlen < size_of::<Ipv4>() || total < hlen || rest.len() < hlen {
                return None;
            }
            Some(Layers {
                link,
                ip: Ip::V4(ip),
                protocol: ip.protocol,
                at: link.at + hlen,
                len: total - hlen,
                fragment: ip.is_fragment(),
                packet,
            })
        }
        ETH_IPV6 => {
            let (ip, rest) = Ipv6::ref_from_prefix(rest).ok()?;
            let (protocol, skip, fragment) = extensions(ip.next_header, rest)?;
            let len = (ip.payload_len.get() as usize).checked_sub(skip)?;
            let at = link.at + size_of::<Ipv6>() + skip;
            (ip.version() == 6).then_some(Layers {
                link,
                ip: Ip::V6(ip),
                protocol,
                at,
                len,
                fragment,
                packet,
            })
        }
        _ => None,
    }
}

/// What follows the extension headers, how many bytes they have, and whether one says
/// that this is a fragment (RFC 8200, section 4; RFC 4302 for authentication headers).
#[inline]
fn extensions(mut next: u8, headers: &[u8]) -> Option<(u8, usize, bool)> {
    let (mut at, mut fragment) = (0, false);
    for _ in 0..EXTENSIONS {
        let units = match next {
            0 | 43 | 60 | 135 | 139 | 140 => 8,
            51 => 4,
            44 => 0,
            _ => return Some((next, at, fragment)),
        };
        let (&[following, len, c, d], _) = headers.get(at..)?.split_first_chunk()?;
        at += match units {
            0 => {
                // Offset, and whether more follow; an only fragment has neither.
                fragment |= u16::from_be_bytes([c, d]) & 0xfff9 != 0;
                8
            }
            4 => (len as usize + 2) * 4,
            _ => (len as usize + 1) * 8,
        };
        next = following;
    }
    headers.get(at..).and(None)
}

impl<'a> Layers<'a> {
    /// Source address.
    pub fn src(&self) -> IpAddr {
        match self.ip {
            Ip::V4(ip) => ip.src_addr().into(),
            Ip::V6(ip) => ip.src_addr().into(),
        }
    }

    /// Destination address.
    pub fn dst(&self) -> IpAddr {
        match self.ip {
            Ip::V4(ip) => ip.dst_addr().into(),
            Ip::V6(ip) => ip.dst_addr().into(),
        }
    }

    /// Options of the IPv4 header; none of IPv6.
    pub fn ip_options(&self) -> Options<'a> {
        let from = match self.ip {
            Ip::V4(_) => self.link.at + size_of::<Ipv4>(),
            Ip::V6(_) => self.at,
        };
        Options::new(self.packet.get(from..self.at).unwrap_or(&[]))
    }

    /// What is there from the transport header on, without what pads the frame.
    #[inline]
    pub fn transport(&self) -> &'a [u8] {
        let rest = self.packet.get(self.at..).unwrap_or(&[]);
        rest.get(..self.len).unwrap_or(rest)
    }

    /// The UDP header and payload, if it is that and no fragment.
    #[inline]
    pub fn udp(self) -> Option<UdpView<'a>> {
        if self.protocol != IPPROTO_UDP || self.fragment {
            return None;
        }
        let datagram = self.transport();
        let (udp, _) = Udp::ref_from_prefix(datagram).ok()?;
        let payload = datagram.get(size_of::<Udp>()..udp.len.get() as usize)?;
        Some(UdpView { layers: self, udp, payload })
    }

    /// The TCP header and payload, if it is that and no fragment.
    #[inline]
    pub fn tcp(self) -> Option<TcpView<'a>> {
        if self.protocol != IPPROTO_TCP || self.fragment {
            return None;
        }
        let segment = self.transport();
        let (tcp, _) = Tcp::ref_from_prefix(segment).ok()?;
        let (header, payload) = segment.split_at_checked(tcp.header_len())?;
        let options = header.get(size_of::<Tcp>()..)?;
        Some(TcpView { layers: self, tcp, options, payload })
    }

    /// The ICMP header of IPv4 or the ICMPv6 header of IPv6, if it is that and no fragment.
    #[inline]
    pub fn icmp(self) -> Option<IcmpView<'a>> {
        let protocol = match self.ip {
            Ip::V4(_) => IPPROTO_ICMP,
            Ip::V6(_) => IPPROTO_ICMPV6,
        };
        if self.protocol != protocol || self.fragment {
            return None;
        }
        let (icmp, body) = Icmp::ref_from_prefix(self.transport()).ok()?;
        Some(IcmpView { layers: self, icmp, body })
    }
}
