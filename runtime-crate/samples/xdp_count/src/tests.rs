// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use iu::host::{self, Packet};
use iu::prelude::*;
use iu::zerocopy::IntoBytes;

use super::{DROP_PORT, LAST, PROTOCOLS, SOURCES, TOTALS, VERBOSE, count, sent};

/// Ethernet, IPv4, and what `l4` has.
fn ip4(protocol: u8, l4: &[u8]) -> Packet {
    let mut ip = net::Ipv4 {
        version_ihl: 0x45,
        tos: 0,
        total_len: (20 + l4.len() as u16).into(),
        id: 0.into(),
        flags_fragment: 0.into(),
        ttl: 64,
        protocol,
        checksum: 0.into(),
        src: [10, 0, 0, 1],
        dst: [10, 0, 0, 2],
    };
    ip.fill_checksum();
    let eth = net::Ethernet { dst: [2; 6], src: [4; 6], ethertype: net::ETH_IPV4.into() };
    let mut bytes = [0; 34 + 64];
    bytes[..14].copy_from_slice(eth.as_bytes());
    bytes[14..34].copy_from_slice(ip.as_bytes());
    bytes[34..34 + l4.len()].copy_from_slice(l4);
    Packet::new(&bytes[..34 + l4.len()])
}

fn udp(port: u16) -> Packet {
    let h = net::Udp {
        src_port: 1000.into(),
        dst_port: port.into(),
        len: 8.into(),
        checksum: 0.into(),
    };
    ip4(net::IPPROTO_UDP, h.as_bytes())
}

#[test]
fn drops_the_port_and_counts() {
    host::set_param(&DROP_PORT, 9);
    host::set_param(&VERBOSE, true);
    host::set_ktime_ns(7);
    assert_eq!(udp(9).xdp(count), XdpAction::Drop);
    assert_eq!(udp(10).xdp(count), XdpAction::Pass);
    assert_eq!(TOTALS.get(super::DROPPED), Some(1));
    assert_eq!(PROTOCOLS.get(17), Some(2));
    let s = SOURCES.get(&[10, 0, 0, 1]).unwrap();
    assert_eq!((s.packets, s.bytes, s.last_ns), (2, 84, 7));
    let log = host::log();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].1, "drop 0 bytes from 10.0.0.1");
}

#[test]
fn drops_nothing_by_default() {
    assert_eq!(udp(0).xdp(count), XdpAction::Pass);
    assert_eq!(TOTALS.get(super::DROPPED), Some(0));
}

#[test]
fn remembers_the_last_segment_even_if_paged() {
    let mut l4 = [0u8; 40];
    let h = net::Tcp {
        src_port: 80.into(),
        dst_port: 1234.into(),
        seq: 0.into(),
        ack: 0.into(),
        data_offset: 5 << 4,
        flags: net::TCP_ACK,
        window: 0.into(),
        checksum: 0.into(),
        urgent: 0.into(),
    };
    l4[..20].copy_from_slice(h.as_bytes());
    l4[20..].copy_from_slice(b"HTTP/1.1 200 OK.....");
    assert_eq!(ip4(net::IPPROTO_TCP, &l4).linear(54).tc(sent), TcAction::Unspec);
    let last = LAST.lock(0).unwrap();
    assert_eq!((last.bytes, last.src_port, last.dst_port), (20, 80, 1234));
    assert_eq!(&last.head, b"HTTP/1.1 200 OK.");
}

#[test]
fn short_and_odd_packets_pass() {
    for n in 0..60 {
        assert_eq!(Packet::new(&[0x45; 60][..n]).xdp(count), XdpAction::Pass);
        assert_eq!(Packet::new(&[0x45; 60][..n]).tc(sent), TcAction::Unspec);
    }
}
