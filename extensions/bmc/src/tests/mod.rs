// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! Programs run in user space, packet in and packet out.

mod changes;
mod fuzz;
mod history;
mod hostile;
mod real;
mod serve;
mod streams;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use iu::host::{self, Packet};
use iu::net::checksum::Sum;

use super::*;

const SECOND: u64 = clock::SECOND;
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const CLIENT6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1));
const SERVER6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2));
const CLIENT_PORT: u16 = 40000;

/// A stream of numbers that is the same in every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

/// What stands around a UDP or TCP packet.
#[derive(Clone, Debug, Default)]
struct Shape {
    /// VLAN tags.
    tags: usize,
    /// IPv4 options, a multiple of four bytes.
    options: Vec<u8>,
}

const MACS: [u8; 12] = [2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4];

fn frame(shape: &Shape, proto: u8, from: IpAddr, to: IpAddr, l4: &[u8]) -> Vec<u8> {
    let mut out = MACS.to_vec();
    for _ in 0..shape.tags {
        out.extend([0x81, 0, 0, 7]);
    }
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            out.extend([8, 0]);
            let header = 20 + shape.options.len();
            let mut ip = vec![0x40 | (header / 4) as u8, 0, 0, 0, 0, 0, 0, 0, 64, proto, 0, 0];
            ip.extend(from.octets());
            ip.extend(to.octets());
            ip.extend(&shape.options);
            ip[2..4].copy_from_slice(&((header + l4.len()) as u16).to_be_bytes());
            let sum = Sum::new().bytes(&ip).finish();
            ip[10..12].copy_from_slice(&sum.to_be_bytes());
            out.extend(ip);
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            out.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            out.extend((l4.len() as u16).to_be_bytes());
            out.extend([proto, 64]);
            out.extend(from.octets());
            out.extend(to.octets());
        }
        _ => unreachable!("addresses of one kind"),
    }
    out.extend(l4);
    out
}

fn datagram(shape: &Shape, from: (IpAddr, u16), to: (IpAddr, u16), payload: &[u8]) -> Vec<u8> {
    let mut udp = [from.1, to.1, (8 + payload.len()) as u16, 0].map(u16::to_be_bytes).concat();
    udp.extend(payload);
    frame(shape, 17, from.0, to.0, &udp)
}

fn message(id: u16, text: &[u8]) -> Vec<u8> {
    [&id.to_be_bytes()[..], &[0, 0, 0, 1, 0, 0], text].concat()
}

fn request(id: u16, text: &[u8]) -> Packet {
    Packet::new(&datagram(
        &Shape::default(),
        (CLIENT, CLIENT_PORT),
        (SERVER, 11211),
        &message(id, text),
    ))
}

fn reply(id: u16, text: &[u8]) -> Packet {
    let bytes =
        datagram(&Shape::default(), (SERVER, 11211), (CLIENT, CLIENT_PORT), &message(id, text));
    // The kernel keeps what a program has sent in pages.
    Packet::new(&bytes).linear(42)
}

fn segment_bytes(
    from: (IpAddr, u16),
    to: (IpAddr, u16),
    tcp: packet::Tcp,
    payload: &[u8],
) -> Vec<u8> {
    let mut l4 = [from.1.to_be_bytes(), to.1.to_be_bytes()].concat();
    l4.extend(tcp.seq.to_be_bytes());
    l4.extend(tcp.ack.to_be_bytes());
    l4.extend([0x50, tcp.flags, 1, 0, 0, 0, 0, 0]);
    l4.extend(payload);
    frame(&Shape::default(), 6, from.0, to.0, &l4)
}

/// Runs `rx` on a packet that is for the stack, which must get it as it was.
fn passes(mut packet: Packet) {
    let before = packet.bytes().to_vec();
    assert_eq!(packet.xdp(rx), XdpAction::Pass);
    assert_eq!(packet.bytes(), before, "a packet for the stack was changed");
}

/// Lets a packet of memcached's leave, which it must do as it was.
fn leaves(mut packet: Packet) {
    let before = packet.bytes().to_vec();
    assert_eq!(packet.tc(tx), TcAction::Unspec);
    assert_eq!(packet.bytes(), before);
}

/// What comes back to a request in a frame of this shape, checked down to the
/// checksums; `None` if the packet went to the stack.
fn ask_in(shape: &Shape, from: IpAddr, to: IpAddr, id: u16, text: &[u8]) -> Option<Vec<u8>> {
    let mut packet =
        Packet::new(&datagram(shape, (from, CLIENT_PORT), (to, 11211), &message(id, text)));
    let before = packet.bytes().to_vec();
    match packet.xdp(rx) {
        XdpAction::Pass => {
            assert_eq!(packet.bytes(), before, "a packet for the stack was changed");
            None
        }
        XdpAction::Tx => {
            let b = packet.bytes();
            let plain = Shape { tags: shape.tags, ..Shape::default() };
            let headers = 14 + 4 * shape.tags + if from.is_ipv6() { 40 } else { 20 };
            let payload = &b[headers + 8..];
            let mut want = datagram(&plain, (to, 11211), (from, CLIENT_PORT), payload);
            want[..12].copy_from_slice(&[&MACS[6..], &MACS[..6]].concat());
            if from.is_ipv4() {
                // Do not fragment, and the checksum for it.
                let ip = headers - 20;
                want[ip + 6] = 0x40;
                want[ip + 10..ip + 12].fill(0);
                let sum = Sum::new().bytes(&want[ip..headers]).finish();
                want[ip + 10..ip + 12].copy_from_slice(&sum.to_be_bytes());
            } else {
                let len = (b.len() - headers) as u16;
                let sum = Sum::new().bytes(&b[headers - 32..]).word(17).word(len);
                assert_eq!(sum.finish(), 0, "UDP checksum");
                want[headers + 6..headers + 8].copy_from_slice(&b[headers + 6..headers + 8]);
            }
            assert_eq!(b, want);
            assert_eq!(payload[..8], message(id, b""));
            Some(payload[8..].to_vec())
        }
        other => panic!("verdict {other:?}"),
    }
}

fn ask(id: u16, text: &[u8]) -> Option<Vec<u8>> {
    ask_in(&Shape::default(), CLIENT, SERVER, id, text)
}

fn memcached_says(id: u16, text: &[u8]) {
    leaves(reply(id, text));
}

/// A TCP connection, and the server's side of it.
struct Client {
    port: u16,
    seq: u32,
    server_seq: u32,
}

impl Client {
    /// A connection seen from its start.
    fn connect(port: u16) -> Client {
        let mut c = Client { port, seq: 0xffff_ff00, server_seq: 0xffff_fff0 };
        c.from_client(packet::SYN, b"");
        c.from_server(packet::SYN | packet::ACK, b"");
        c
    }

    fn bytes(&self, at: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        let tcp = packet::Tcp { seq: at, ack: self.server_seq, flags };
        segment_bytes((CLIENT, self.port), (SERVER, 11211), tcp, payload)
    }

    /// Lets a segment arrive that begins at `at`.
    fn arrives(&self, at: u32, payload: &[u8]) {
        passes(Packet::new(&self.bytes(at, packet::ACK, payload)));
    }

    fn from_client(&mut self, flags: u8, payload: &[u8]) {
        passes(Packet::new(&self.bytes(self.seq, flags, payload)));
        self.seq = self.seq.wrapping_add(payload.len() as u32 + u32::from(flags & 3 != 0));
    }

    fn from_server(&mut self, flags: u8, payload: &[u8]) {
        let tcp = packet::Tcp { seq: self.server_seq, ack: self.seq, flags };
        let bytes = segment_bytes((SERVER, 11211), (CLIENT, self.port), tcp, payload);
        leaves(Packet::new(&bytes).linear(54));
        self.server_seq =
            self.server_seq.wrapping_add(payload.len() as u32 + u32::from(flags & 3 != 0));
    }

    fn says(&mut self, text: &[u8]) {
        self.from_client(packet::ACK, text);
    }

    fn hears(&mut self, text: &[u8]) {
        self.from_server(packet::ACK, text);
    }

    /// Sets a key that never expires, and gets the reply.
    fn sets(&mut self, key: &str) {
        self.says(format!("set {key} 0 0 1\r\nx\r\n").as_bytes());
        self.hears(b"STORED\r\n");
    }
}

fn text_of(key: &str, value: &str) -> Vec<u8> {
    format!("VALUE {key} 3 {}\r\n{value}\r\nEND\r\n", value.len()).into_bytes()
}

/// Asks for a key that is not in the cache, and lets memcached answer.
fn refill(id: u16, key: &str, value: &str) -> Vec<u8> {
    assert_eq!(ask(id, format!("get {key}\r\n").as_bytes()), None);
    let text = text_of(key, value);
    memcached_says(id, &text);
    text
}

/// Brings an item into the cache: it is set, asked for, answered.
fn fill(id: u16, key: &str, value: &str) -> Vec<u8> {
    Client::connect(60000).sets(key);
    refill(id, key, value)
}

fn counted(what: Count) -> u64 {
    STATS.get(what as u32).unwrap_or(0)
}
