// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Headers, views and checksums, on made and on random packets.

use iu::net::checksum::{self, Sum};
use iu::net::{self, ETH_IPV4, ETH_VLAN, IPPROTO_TCP, IPPROTO_UDP};
use iu::zerocopy::FromBytes;

/// Ethernet, an optional VLAN tag, IPv4 with options, a transport header, payload.
fn packet(vlan: bool, options: usize, protocol: u8, l4: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut p = vec![2; 12];
    if vlan {
        p.extend(ETH_VLAN.to_be_bytes());
        p.extend([0x20, 0x05]);
    }
    p.extend(ETH_IPV4.to_be_bytes());
    let len = (20 + options + l4.len() + payload.len()) as u16;
    p.push(0x40 | (5 + options / 4) as u8);
    p.push(0);
    p.extend(len.to_be_bytes());
    p.extend([0, 0, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    p.extend(vec![1; options]);
    p.extend(l4);
    p.extend(payload);
    p
}

fn udp(len: u16) -> [u8; 8] {
    let [a, b] = len.to_be_bytes();
    [0x10, 0, 0x2b, 0xcb, a, b, 0, 0]
}

fn tcp(words: u8) -> Vec<u8> {
    let mut h = vec![0; usize::from(words) * 4];
    h[1] = 80;
    h[12] = words << 4;
    h
}

#[test]
fn views_of_udp() {
    for vlan in [false, true] {
        for options in [0, 4, 40] {
            let mut p = packet(vlan, options, IPPROTO_UDP, &udp(12), b"data");
            p.extend(b"padding");
            let v = net::udp4(&p).unwrap();
            assert_eq!((v.udp.dst_port.get(), v.payload), (11211, &b"data"[..]));
            assert_eq!(&p[v.payload_at..][..4], b"data");
            let m = net::udp4_mut(&mut p).unwrap();
            m.udp.swap();
            m.ip.swap();
            m.eth.swap();
            m.payload[0] = b'D';
            let v = net::udp4(&p).unwrap();
            assert_eq!((v.udp.src_port.get(), v.ip.src[3], v.payload), (11211, 2, &b"Data"[..]));
        }
    }
}

#[test]
fn views_of_tcp() {
    let mut p = packet(false, 0, IPPROTO_TCP, &tcp(8), b"GET");
    p.extend([0; 3]);
    let v = net::tcp4(&p).unwrap();
    assert_eq!((v.payload, v.payload_len, v.payload_at), (&b"GET"[..], 3, 14 + 20 + 32));
    // Of a segment whose rest is in pages, what is there.
    let v = net::tcp4(&p[..14 + 20 + 33]).unwrap();
    assert_eq!((v.payload, v.payload_len), (&b"G"[..], 3));
    net::tcp4_mut(&mut p).unwrap().payload[0] = b'S';
    assert_eq!(net::tcp4(&p).unwrap().payload, b"SET");
}

#[test]
fn odd_packets_have_no_view() {
    let good = packet(false, 0, IPPROTO_UDP, &udp(12), b"data");
    assert!(net::udp4(&good).is_some());
    for n in 0..good.len() {
        assert!(net::udp4(&good[..n]).is_none(), "{n} bytes");
    }
    for (what, at, value) in [
        ("EtherType", 12, 9),
        ("version", 14, 0x65),
        ("header length", 14, 0x44),
        ("total length", 17, 19),
        ("more fragments", 20, 0x20),
        ("fragment offset", 21, 1),
        ("protocol", 23, 6),
        ("UDP length beyond the packet", 39, 13),
        ("UDP length below its header", 39, 7),
    ] {
        let mut p = good.clone();
        p[at] = value;
        assert!(net::udp4(&p).is_none() && net::udp4_mut(&mut p).is_none(), "{what}");
    }
    let good = packet(false, 0, IPPROTO_TCP, &tcp(5), b"");
    assert!(net::tcp4(&good).is_some());
    for offset in [0x40, 0x60] {
        let mut p = good.clone();
        p[46] = offset;
        assert!(net::tcp4(&p).is_none());
    }
}

/// xorshift64
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn no_packet_panics_and_views_agree() {
    let mut r = Random(1);
    let mut seen = 0;
    for i in 0..200_000 {
        let protocol = if i % 2 == 0 { IPPROTO_UDP } else { IPPROTO_TCP };
        let l4 = if i % 2 == 0 {
            udp(8 + (r.next() % 8) as u16).to_vec()
        } else {
            tcp(5 + (r.next() % 4) as u8)
        };
        let mut p = packet(r.next() % 4 == 0, (r.next() % 4 * 4) as usize, protocol, &l4, &[3; 9]);
        for _ in 0..r.next() % 3 {
            let at = (r.next() as usize) % p.len();
            p[at] = r.next() as u8;
        }
        p.truncate((r.next() as usize) % (p.len() + 20));
        let udp = net::udp4(&p).map(|v| (v.payload_at, v.payload.len()));
        let tcp = net::tcp4(&p).map(|v| (v.payload_at, v.payload_len));
        assert!(udp.is_none() || tcp.is_none());
        seen += usize::from(udp.is_some()) + usize::from(tcp.is_some());
        if let Some((at, len)) = udp {
            assert!(at + len <= p.len());
        }
        let len = p.len();
        assert_eq!(net::udp4_mut(&mut p).map(|v| len - v.payload.len()), udp.map(|u| u.0));
        assert_eq!(net::tcp4_mut(&mut p).map(|v| len - v.payload.len()), tcp.map(|t| t.0));
    }
    assert!(seen > 20_000, "only {seen} packets had a view");
}

/// RFC 1071 as it is written down.
fn naive(b: &[u8]) -> u16 {
    let mut sum = 0u32;
    for w in b.chunks(2) {
        sum += u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[test]
fn checksums() {
    let mut r = Random(2);
    for _ in 0..2000 {
        let mut b: Vec<u8> = (0..r.next() % 64 + 4).map(|_| r.next() as u8).collect();
        let full = Sum::new().bytes(&b).finish();
        assert_eq!(full, naive(&b));
        let half = b.len() / 4 * 2;
        assert_eq!(Sum::new().bytes(&b[..half]).bytes(&b[half..]).finish(), full);
        let at = (r.next() as usize) % (b.len() / 2 - 1) * 2;
        let old = [b[at], b[at + 1], b[at + 2], b[at + 3]];
        let new = (r.next() as u32).to_be_bytes();
        b[at..at + 4].copy_from_slice(&new);
        if b.iter().all(|x| *x == 0) {
            continue; // The two zeros of one's complement: not in a header.
        }
        let want = naive(&b);
        let two = checksum::update32(full, u32::from_be_bytes(old), u32::from_be_bytes(new));
        assert_eq!(two, want);
        let one = checksum::update16(
            full,
            u16::from_be_bytes([old[0], old[1]]),
            u16::from_be_bytes([new[0], new[1]]),
        );
        let one = checksum::update16(
            one,
            u16::from_be_bytes([old[2], old[3]]),
            u16::from_be_bytes([new[2], new[3]]),
        );
        assert_eq!(one, want);
    }
    assert_eq!(Sum::new().bytes(&[0xff; 100_000]).finish(), 0);
    assert_eq!(Sum::new().bytes(&[0xff; 100_000]).finish_udp(), 0xffff);
}

#[test]
fn header_checksums() {
    let mut p = packet(false, 0, IPPROTO_UDP, &udp(12), b"data");
    let m = net::udp4_mut(&mut p).unwrap();
    m.ip.fill_checksum();
    assert_eq!(naive(&p[14..34]), 0);
    let m = net::udp4_mut(&mut p).unwrap();
    m.ip.set_total_len(1000);
    assert_eq!(m.ip.total_len.get(), 1000);
    assert_eq!(naive(&p[14..34]), 0);
}

/// Ethernet, tags, an IPv6 header with extension headers, and what follows.
fn v6(tags: &[[u8; 4]], extensions: &[&[u8]], protocol: u8, rest: &[u8]) -> Vec<u8> {
    let mut p = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for [a, b, c, d] in tags {
        p.extend([*a, *b, *c, *d]);
    }
    p.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
    let len = extensions.iter().map(|e| e.len()).sum::<usize>() + rest.len();
    p.extend((len as u16).to_be_bytes());
    let first = p.len();
    p.extend([protocol, 64]);
    p.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    p.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    // The first byte of each extension here is its own number, the next header goes there.
    let mut slot = first;
    for e in extensions {
        let at = p.len();
        p.extend(*e);
        p[slot] = e[0];
        p[at] = protocol;
        slot = at;
    }
    p.extend(rest);
    p
}

const DATAGRAM: [u8; 12] = [0, 80, 0x1f, 0x90, 0, 12, 0, 0, b'a', b'b', b'c', b'd'];

#[test]
fn layers_of_ipv6() {
    let hop = [0, 0, 5, 2, 0, 0, 1, 0];
    let routing = [43, 2, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1];
    let p = v6(&[[0x88, 0xa8, 0, 7], [0x81, 0, 0, 8]], &[&hop, &routing], 17, &DATAGRAM);
    let l = net::layers(&p).unwrap();
    assert_eq!((l.link.outer.unwrap().id(), l.link.inner.unwrap().id()), (7, 8));
    assert_eq!((l.protocol, l.at, l.len, l.fragment), (17, 22 + 40 + 32, 12, false));
    assert_eq!(l.src().to_string(), "fe80::1");
    let u = l.udp().unwrap();
    assert_eq!((u.udp.src_port.get(), u.payload), (80, &b"abcd"[..]));
    assert!(l.tcp().is_none() && l.icmp().is_none() && l.ip_options().next().is_none());
    // Cut anywhere it is nothing, and no panic.
    for n in 0..p.len() {
        assert!(net::layers(&p[..n]).and_then(|l| l.udp()).is_none(), "{n}");
    }
}

#[test]
fn fragments_and_long_chains_of_ipv6() {
    let first = [44, 0, 0, 1, 0, 0, 0, 1];
    let only = [44, 0, 0, 0, 0, 0, 0, 1];
    assert!(net::layers(&v6(&[], &[&first], 17, &DATAGRAM)).unwrap().udp().is_none());
    assert!(net::layers(&v6(&[], &[&only], 17, &DATAGRAM)).unwrap().udp().is_some());
    let hop: &[u8] = &[60, 0, 0, 0, 0, 0, 0, 0];
    assert!(net::layers(&v6(&[], &[hop; 7], 17, &DATAGRAM)).is_some());
    assert!(net::layers(&v6(&[], &[hop; 9], 17, &DATAGRAM)).is_none());
    let auth = [51, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert!(net::layers(&v6(&[], &[&auth], 17, &DATAGRAM)).unwrap().udp().is_some());
}

#[test]
fn layers_of_ipv4() {
    let ping = [8, 0, 0, 0, 0, 1, 0, 2, 9, 9];
    let mut p = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 5, 8, 0];
    p.extend([0x46, 0, 0, 34, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    p.extend([0x94, 4, 0, 0]);
    p.extend(ping);
    p.extend([0; 6]); // padding of the frame
    let l = net::layers(&p).unwrap();
    assert_eq!(l.ip_options().next(), Some(net::Opt { kind: 0x94, data: &[0, 0] }));
    let i = l.icmp().unwrap();
    assert_eq!((i.icmp.kind, i.body), (8, &[9, 9][..]));
    let mut icmp = *i.icmp;
    icmp.checksum.set(net::checksum::Sum::new().bytes(&ping).finish());
    icmp.set_kind(0);
    let mut reply = ping;
    reply[0] = 0;
    assert_eq!(icmp.checksum.get(), net::checksum::Sum::new().bytes(&reply).finish());

    let mut tcp = vec![0; 20];
    tcp[12] = 8 << 4;
    tcp.extend([2, 4, 5, 180, 1, 1, 4, 2, 0, 0, 0, 0, b'x']);
    p.truncate(18);
    p.extend([0x45, 0, 0, 53, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    p.extend(tcp);
    let t = net::layers(&p).unwrap().tcp().unwrap();
    let kinds: Vec<u8> = net::Options::new(t.options).map(|o| o.kind).collect();
    assert_eq!((kinds, t.payload), (vec![net::TCP_OPT_MSS, net::TCP_OPT_SACK_OK], &b"x"[..]));
}

#[test]
fn arp_answers() {
    let mut p = [0u8; 28];
    p[..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
    p[8..18].copy_from_slice(&[2, 0, 0, 0, 0, 1, 10, 0, 0, 1]);
    p[24..].copy_from_slice(&[10, 0, 0, 2]);
    let (arp, _) = net::Arp::mut_from_prefix(&mut p).unwrap();
    assert!(arp.is_ipv4());
    arp.answer([2, 0, 0, 0, 0, 2]);
    assert_eq!(p[7..], [2, 2, 0, 0, 0, 0, 2, 10, 0, 0, 2, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1]);
}

/// Every sum is that of the words added one by one, whatever the pieces.
#[test]
fn sums_by_the_definition() {
    let bytes: Vec<u8> = (0..200u32).map(|i| (i * 7919 >> 3) as u8).collect();
    for n in 0..bytes.len() {
        let mut want = 0u64;
        for w in bytes[..n].chunks(2) {
            want += u64::from(w[0]) << 8 | w.get(1).map_or(0, |b| u64::from(*b));
        }
        while want > 0xffff {
            want = (want & 0xffff) + (want >> 16);
        }
        for cut in (0..=n).step_by(2) {
            let sum = net::checksum::Sum::new().bytes(&bytes[..cut]).bytes(&bytes[cut..n]);
            assert_eq!(u64::from(sum.fold()), want, "{n} {cut}");
        }
    }
}

/// The layers of a frame whose transport checksum is right: over the pseudo-header and all
/// that follows it, it gives zero.
fn right(p: &iu::host::Packet) -> net::Layers<'_> {
    let l = net::layers(p.bytes()).unwrap();
    let sum = match l.ip {
        net::Ip::V4(ip) => Sum::new().pseudo4(ip, l.len as u16),
        net::Ip::V6(ip) => Sum::new().pseudo6(ip, l.protocol, l.len as u32),
    };
    assert_eq!(sum.bytes(l.transport()).finish(), 0);
    l
}

#[test]
fn flows_and_made_frames() {
    use iu::host::Frames;
    use iu::net::Flow;

    for (a, b) in [("10.0.0.1:1000", "10.0.0.2:53"), ("[fd00::1]:1000", "[fd00::2]:53")] {
        let (there, back) = (Frames::new(a, b), Frames::new(a, b).reversed().tag(3).tag(4));
        let p = there.tcp(1, 2, net::TCP_SYN, b"odd");
        let to = Flow::of_tcp(&right(&p).tcp().unwrap());
        let p = back.tcp(1, 2, net::TCP_SYN, b"");
        let from = Flow::of_tcp(&right(&p).tcp().unwrap());
        assert_eq!((to.reversed(), to.hash(1)), (from, from.reversed().hash(1)));
        let p = there.udp(b"x");
        let udp = Flow::of_udp(&right(&p).udp().unwrap());
        assert_eq!((udp.src_port, udp.dst_port, udp.protocol), (1000, 53, IPPROTO_UDP.into()));
        let mut hashes = vec![to.hash(1), to.hash(2), from.hash(1), udp.hash(1)];
        hashes.dedup();
        assert_eq!(hashes.len(), 4);
    }
}

#[test]
fn packets_that_go_back() {
    use iu::host::Frames;

    for (a, b) in [("10.0.0.1:1000", "10.0.0.2:53"), ("[fd00::1]:1000", "[fd00::2]:53")] {
        let p = Frames::new(a, b).tag(3).udp(b"a question");
        let mut bytes = p.bytes().to_vec();
        let (at, sum) = net::turn_around(&mut bytes, 8).unwrap();
        let back = Frames::new(a, b).reversed().tag(3).udp(b"");
        // The same but for the ports, which are the caller's, and the identification.
        assert_eq!(bytes[..at], [&[4; 6], &[2; 6], &back.bytes()[12..at]].concat());
        assert_eq!(sum.bytes(&back.bytes()[at..]).finish(), 0);
    }
    for bad in [packet(false, 4, IPPROTO_UDP, &udp(8), b""), vec![0; 60]] {
        let mut bytes = bad.clone();
        assert!(net::turn_around(&mut bytes, 8).is_none());
        assert_eq!(bytes, bad);
    }
    let mut p = Frames::new("10.0.0.1:1", "10.0.0.2:2").udp(b"").bytes().to_vec();
    assert!(net::turn_around(&mut p, u16::MAX).is_none(), "longer than a packet");
}
