// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use iu::host::{self, Frames, Packet};
use iu::net::checksum::Sum;

use super::*;
use crate::names::{BLOCKED, KEY};

/// A ClientHello as a handshake message; `before` stands in front of the name's extension.
fn message(name: Option<&str>, before: usize) -> Vec<u8> {
    let number = |n: usize| (n as u16).to_be_bytes();
    let mut extensions = Vec::new();
    // supported_groups, made long, and an extension as large as keys that resist quantum computers.
    for (kind, len) in [(10u16, 8), (51, before)] {
        extensions.extend(kind.to_be_bytes());
        extensions.extend(number(len));
        extensions.extend(vec![0x16; len]);
    }
    if let Some(name) = name {
        extensions.extend([0, 0]);
        extensions.extend(number(name.len() + 5));
        extensions.extend(number(name.len() + 3));
        extensions.push(0);
        extensions.extend(number(name.len()));
        extensions.extend(name.as_bytes());
    }
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([&[32][..], &[9; 32], &[0, 4, 0x13, 1, 0x13, 2, 1, 0]].concat());
    body.extend(number(extensions.len()));
    body.extend(extensions);
    let mut all = vec![1];
    all.extend(&(body.len() as u32).to_be_bytes()[1..]);
    all.extend(body);
    all
}

/// A message in records of at most `size` bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    message
        .chunks(size)
        .flat_map(|c| [&[22, 3, 1][..], &(c.len() as u16).to_be_bytes(), c].concat())
        .collect()
}

fn hello(name: &str) -> Vec<u8> {
    records(&message(Some(name), 1200), 16384)
}

/// A client's connection from its SYN on.
struct Client {
    frames: Frames,
    seq: u32,
}

impl Client {
    fn new(from: &str, to: &str) -> Client {
        let mut c = Client { frames: Frames::new(from, to), seq: u32::MAX - 100 };
        assert_eq!(c.run(c.seq, net::TCP_SYN, b""), XdpAction::Pass);
        c.seq = c.seq.wrapping_add(1);
        c
    }

    fn run(&self, seq: u32, flags: u8, payload: &[u8]) -> XdpAction {
        let mut packet = self.frames.tcp(seq, 77, flags, payload);
        let before = packet.bytes().to_vec();
        let verdict = packet.xdp(filter);
        assert!(verdict == XdpAction::Tx || packet.bytes() == before, "the packet was changed");
        verdict
    }

    /// The stream's bytes from `at` on.
    fn at(&self, at: usize, payload: &[u8]) -> XdpAction {
        self.run(self.seq.wrapping_add(at as u32), net::TCP_ACK, payload)
    }

    fn send(&self, stream: &[u8], size: usize) -> Vec<XdpAction> {
        stream.chunks(size).enumerate().map(|(i, c)| self.at(i * size, c)).collect()
    }
}

fn client(port: u16) -> Client {
    Client::new(&format!("10.0.0.1:{port}"), "10.0.0.2:443")
}

fn counts() -> Vec<u64> {
    (0..7).map(|i| STATS.get(i).unwrap()).collect()
}

#[test]
fn names_are_found_however_the_stream_is_cut() {
    let mut port = 1000;
    for record in [1, 5, 600, 16384] {
        for size in [1, 7, 100, 1400] {
            for (name, blocked) in [
                ("blocked.example", true),
                ("A.b.Blocked.Example.", true),
                ("notblocked.example", false),
                ("blocked.example.org", false),
                ("example", false),
            ] {
                port += 1;
                let c = client(port);
                let verdicts = c.send(&records(&message(Some(name), 1200), record), size);
                let last = if blocked { XdpAction::Drop } else { XdpAction::Pass };
                assert_eq!(verdicts.last(), Some(&last), "{name} {record} {size}");
                // What leads up to the name passes.
                assert!(verdicts[..verdicts.len() - 1].iter().all(|v| *v == XdpAction::Pass));
            }
        }
    }
}

#[test]
fn both_families_and_tags() {
    let six = Client::new("[fd00::1]:1000", "[fd00::2]:443");
    assert_eq!(six.at(0, &hello("blocked.example")), XdpAction::Drop);
    let mut tagged = client(1);
    tagged.frames = tagged.frames.tag(5).tag(6);
    assert_eq!(tagged.at(0, &hello("blocked.example")), XdpAction::Drop);
    // Another port is not looked at.
    let other = Client::new("10.0.0.1:1", "10.0.0.2:444");
    assert_eq!(other.at(0, &hello("blocked.example")), XdpAction::Pass);
}

#[test]
fn no_order_hides_a_name() {
    let stream = hello("blocked.example");
    let c = client(1);
    let (a, b) = stream.split_at(700);
    // The second half first: it is dropped, and again, until the first was there.
    assert_eq!(c.at(700, b), XdpAction::Drop);
    assert_eq!(c.at(700, b), XdpAction::Drop);
    assert_eq!(c.at(0, a), XdpAction::Pass);
    assert_eq!(c.at(0, a), XdpAction::Pass, "repeated");
    // Overlapping: only what is new counts.
    let overlapping = [&a[600..], b].concat();
    assert_eq!(c.at(600, &overlapping), XdpAction::Drop);
    assert_eq!(c.at(0, a), XdpAction::Drop, "blocked stays blocked");
    assert_eq!(counts(), [1, 1, 0, 2, 2, 0, 0]);
    // A new connection of the same ends starts anew.
    assert_eq!(client(1).at(0, &hello("fine.example")), XdpAction::Pass);
}

#[test]
fn connections_not_seen_from_the_start() {
    let stream = hello("blocked.example");
    let c = Client { frames: Frames::new("10.0.0.1:5", "10.0.0.2:443"), seq: 9 };
    assert_eq!(c.at(0, &[23, 3, 3, 0, 1, 0]), XdpAction::Pass);
    assert_eq!(c.at(0, &stream[..500]), XdpAction::Pass);
    assert_eq!(c.at(500, &stream[500..]), XdpAction::Drop);
    // Data on the SYN.
    let c = Client { frames: Frames::new("10.0.0.1:6", "10.0.0.2:443"), seq: 9 };
    assert_eq!(c.run(8, net::TCP_SYN, &stream), XdpAction::Drop);
}

#[test]
fn names_of_the_map() {
    let mut key = [0; KEY];
    key[..8].copy_from_slice(b"evil.org");
    BLOCKED.insert(&key, &0).unwrap();
    assert_eq!(client(1).at(0, &hello("www.evil.org")), XdpAction::Drop);
    assert_eq!(client(2).at(0, &hello("evil.org")), XdpAction::Drop);
    assert_eq!(client(3).at(0, &hello("devil.org")), XdpAction::Pass);
    assert_eq!(BLOCKED.get(&key), Some(2));
    // Names that are longer than a key, and as long as they may be.
    let long = format!("{}.evil.org", "x".repeat(246));
    assert_eq!(client(4).at(0, &hello(&long)), XdpAction::Drop);
    assert_eq!(client(5).at(0, &hello(&"x".repeat(255))), XdpAction::Pass);
}

#[test]
fn resets() {
    host::set_param(&RESET, true);
    for (from, to, head) in
        [("10.0.0.1:9", "10.0.0.2:443", 34), ("[fd00::1]:9", "[fd00::2]:443", 54)]
    {
        let c = Client::new(from, to);
        let mut p = c.frames.tcp(c.seq, 77, net::TCP_ACK, &hello("blocked.example"));
        assert_eq!(p.xdp(filter), XdpAction::Tx);
        assert_eq!(p.bytes().len(), head + 20);
        let l = net::layers(p.bytes()).unwrap();
        let t = l.tcp().unwrap();
        assert_eq!((t.tcp.flags, t.tcp.seq.get()), (net::TCP_RST, 77));
        assert_eq!((t.tcp.src_port.get(), t.tcp.dst_port.get()), (443, 9));
        assert_eq!(
            (l.src().to_string(), l.dst().to_string()),
            match head {
                34 => ("10.0.0.2".into(), "10.0.0.1".into()),
                _ => ("fd00::2".into(), "fd00::1".into()),
            }
        );
        let sum = match l.ip {
            net::Ip::V4(ip) => Sum::new().pseudo4(ip, 20),
            net::Ip::V6(ip) => Sum::new().pseudo6(ip, 6, 20),
        };
        assert_eq!(sum.bytes(l.transport()).finish(), 0);
    }
}

#[test]
fn malformed_hellos_pass() {
    let good = message(Some("blocked.example"), 10);
    let body = 4 + 2 + 32;
    let mut bad = Vec::new();
    for (at, byte) in [
        (0, 2),           // ServerHello
        (1, 9),           // longer than any
        (3, 0),           // the message ends within the fields
        (body, 33),       // session longer than it may be
        (body + 33, 255), // suites beyond the end
        (body + 41, 255), // extensions of another length
    ] {
        let mut m = good.clone();
        m[at] = byte;
        bad.push(records(&m, 16384));
    }
    let mut empty_record = records(&good, 16384);
    empty_record.splice(0..0, [22, 3, 1, 0, 0]);
    bad.push(empty_record);
    bad.push(b"GET / HTTP/1.1\r\n\r\n".to_vec());
    bad.push(vec![22, 3, 1, 0xff, 0xff, 1]);
    for (i, stream) in bad.iter().enumerate() {
        let c = client(100 + i as u16);
        assert!(c.send(stream, 50).iter().all(|v| *v == XdpAction::Pass), "case {i}");
    }
    assert_eq!(counts()[6], bad.len() as u64);
    assert_eq!(client(1).at(0, &records(&message(None, 10), 100)), XdpAction::Pass);
    assert_eq!(counts()[5], 1);
}

/// A stream of numbers that is the same in every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % n
    }
}

#[test]
fn damaged_packets_neither_panic_nor_change() {
    let mut n = Numbers(0x9e37_79b9_7f4a_7c15);
    let c = client(1);
    let seeds: Vec<Vec<u8>> = [
        c.frames.tcp(c.seq, 1, net::TCP_ACK, &hello("blocked.example")),
        c.frames.tcp(c.seq, 1, net::TCP_SYN, b""),
        Frames::new("[fd00::1]:9", "[fd00::2]:443").tag(4).tcp(1, 1, 16, &hello("a.example")),
    ]
    .iter()
    .map(|p| p.bytes().to_vec())
    .collect();
    for _ in 0..20_000 {
        let mut bytes = seeds[n.below(seeds.len())].clone();
        for _ in 0..1 + n.below(4) {
            let at = n.below(bytes.len().min(200));
            match n.below(3) {
                0 => bytes[at] = n.below(256) as u8,
                1 => bytes.truncate(at.max(14)),
                _ => bytes[at] ^= 1 << n.below(8),
            }
        }
        let mut p = Packet::new(&bytes);
        p.xdp(filter);
        assert_eq!(p.bytes(), bytes);
    }
}

#[test]
fn a_flood_of_connections_evicts() {
    for port in 1..=2_000 {
        client(port);
    }
    // The first was evicted; its hello is still known for one.
    let c = Client { frames: Frames::new("10.0.0.1:1", "10.0.0.2:443"), seq: u32::MAX - 99 };
    assert_eq!(c.at(0, &hello("blocked.example")), XdpAction::Drop);
}

#[test]
#[should_panic(expected = "out of range")]
fn port_has_a_range() {
    host::set_param(&PORT, 0);
}
