// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Frames with all their headers and right checksums, to run programs on.

use std::net::{IpAddr, SocketAddr};
use std::vec::Vec;

use zerocopy::IntoBytes;

use super::Packet;
use crate::net::checksum::Sum;
use crate::net::{ETH_IPV4, ETH_IPV6, ETH_VLAN, IPPROTO_TCP, IPPROTO_UDP, Ipv4, Ipv6, Tcp, Udp};

/// Makes frames from one end to another.
///
/// ```
/// use iu::host::Frames;
/// use iu::net;
/// let to = Frames::new("10.0.0.1:1000", "10.0.0.2:443").tag(7);
/// let packet = to.tcp(1, 0, net::TCP_ACK, b"hello");
/// let seen = net::layers(packet.bytes()).unwrap().tcp().unwrap();
/// assert_eq!((seen.tcp.dst_port.get(), seen.payload), (443, &b"hello"[..]));
/// ```
#[derive(Clone, Debug)]
pub struct Frames {
    from: SocketAddr,
    to: SocketAddr,
    tags: Vec<u16>,
}

impl Frames {
    /// Both ends as text, `10.0.0.1:80` or `[fd00::1]:80`, of one family.
    ///
    /// # Panics
    /// If they are not that.
    pub fn new(from: &str, to: &str) -> Frames {
        let parse = |s: &str| s.parse::<SocketAddr>().expect("an address and a port");
        let (from, to) = (parse(from), parse(to));
        assert_eq!(from.is_ipv4(), to.is_ipv4(), "addresses of one family");
        Frames { from, to, tags: Vec::new() }
    }

    /// Adds a VLAN tag behind those there are.
    pub fn tag(mut self, vlan: u16) -> Frames {
        self.tags.push(vlan);
        self
    }

    /// Frames the other way.
    pub fn reversed(&self) -> Frames {
        Frames { from: self.to, to: self.from, tags: self.tags.clone() }
    }

    /// From another port.
    pub fn from_port(mut self, port: u16) -> Frames {
        self.from.set_port(port);
        self
    }

    /// A TCP segment; `flags` are `net::TCP_SYN` and the like.
    pub fn tcp(&self, seq: u32, ack: u32, flags: u8, payload: &[u8]) -> Packet {
        let header = Tcp {
            src_port: self.from.port().into(),
            dst_port: self.to.port().into(),
            seq: seq.into(),
            ack: ack.into(),
            data_offset: 5 << 4,
            flags,
            window: 1000.into(),
            checksum: 0.into(),
            urgent: 0.into(),
        };
        self.frame(IPPROTO_TCP, [header.as_bytes(), payload].concat(), 16)
    }

    /// A UDP datagram.
    pub fn udp(&self, payload: &[u8]) -> Packet {
        let header = Udp {
            src_port: self.from.port().into(),
            dst_port: self.to.port().into(),
            len: (8 + payload.len() as u16).into(),
            checksum: 0.into(),
        };
        self.frame(IPPROTO_UDP, [header.as_bytes(), payload].concat(), 6)
    }

    fn frame(&self, protocol: u8, mut l4: Vec<u8>, checksum_at: usize) -> Packet {
        let len = l4.len() as u16;
        let (header, ethertype, sum) = match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let mut ip = Ipv4 {
                    version_ihl: 0x45,
                    tos: 0,
                    total_len: (20 + len).into(),
                    id: 0.into(),
                    flags_fragment: 0x4000.into(),
                    ttl: 64,
                    protocol,
                    checksum: 0.into(),
                    src: from.octets(),
                    dst: to.octets(),
                };
                ip.fill_checksum();
                (ip.as_bytes().to_vec(), ETH_IPV4, Sum::new().pseudo4(&ip, len))
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let ip = Ipv6 {
                    version_class_flow: (6 << 28).into(),
                    payload_len: len.into(),
                    next_header: protocol,
                    hop_limit: 64,
                    src: from.octets(),
                    dst: to.octets(),
                };
                let sum = Sum::new().pseudo6(&ip, protocol, len.into());
                (ip.as_bytes().to_vec(), ETH_IPV6, sum)
            }
            _ => unreachable!("addresses of one family"),
        };
        let sum = sum.bytes(&l4).finish_udp();
        l4[checksum_at..checksum_at + 2].copy_from_slice(&sum.to_be_bytes());
        let mut all = [[2; 6], [4; 6]].concat();
        for vlan in &self.tags {
            all.extend(ETH_VLAN.to_be_bytes());
            all.extend(vlan.to_be_bytes());
        }
        all.extend(ethertype.to_be_bytes());
        all.extend(header);
        all.extend(l4);
        Packet::new(&all)
    }
}
