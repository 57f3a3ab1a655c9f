// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! Programs run in user space, packet in and packet out.

use iu::host::{self, Packet};
use iu::net::checksum::Sum;

use super::*;

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 0, 2];
const CLIENT_PORT: u16 = 40000;

fn frame(
    proto: u8,
    from: ([u8; 4], u16),
    to: ([u8; 4], u16),
    l4: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let mut ip = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, proto, 0, 0];
    ip.extend(from.0);
    ip.extend(to.0);
    let total = (20 + 4 + l4.len() + payload.len()) as u16;
    ip[2..4].copy_from_slice(&total.to_be_bytes());
    let sum = Sum::new().bytes(&ip).finish();
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let ports = [from.1.to_be_bytes(), to.1.to_be_bytes()].concat();
    [&[2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 8, 0][..], &ip, &ports, l4, payload].concat()
}

fn udp(from: ([u8; 4], u16), to: ([u8; 4], u16), payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len()) as u16;
    frame(17, from, to, &[&len.to_be_bytes()[..], &[0, 0]].concat(), payload)
}

fn request(id: u16, text: &[u8]) -> Packet {
    let payload = [&id.to_be_bytes()[..], &[0, 0, 0, 1, 0, 0], text].concat();
    Packet::new(&udp((CLIENT, CLIENT_PORT), (SERVER, 11211), &payload))
}

fn reply(id: u16, text: &[u8]) -> Packet {
    let payload = [&id.to_be_bytes()[..], &[0, 0, 0, 1, 0, 0], text].concat();
    // The kernel keeps what a program has sent in pages.
    Packet::new(&udp((SERVER, 11211), (CLIENT, CLIENT_PORT), &payload)).linear(HEADERS)
}

fn tcp(text: &[u8]) -> Packet {
    let rest = [0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 1, 0, 0, 0, 0, 0];
    Packet::new(&frame(6, (CLIENT, 50000), (SERVER, 11211), &rest, text))
}

/// What comes back to the client, checked down to the IP checksum; `None` if
/// the packet went to the stack, and then it must be as it was.
fn ask(id: u16, text: &[u8]) -> Option<Vec<u8>> {
    let mut packet = request(id, text);
    let before = packet.bytes().to_vec();
    match packet.xdp(rx) {
        XdpAction::Pass => {
            assert_eq!(packet.bytes(), before, "a packet for the stack was changed");
            None
        }
        XdpAction::Tx => {
            let b = packet.bytes();
            assert_eq!(b[..12], [4, 4, 4, 4, 4, 4, 2, 2, 2, 2, 2, 2]);
            assert_eq!(Sum::new().bytes(&b[14..34]).finish(), 0, "IP checksum");
            assert_eq!(b[26..34], [SERVER, CLIENT].concat());
            assert_eq!(usize::from(u16::from_be_bytes([b[16], b[17]])), b.len() - 14);
            assert_eq!(u16::from_be_bytes([b[34], b[35]]), 11211);
            assert_eq!(u16::from_be_bytes([b[36], b[37]]), CLIENT_PORT);
            assert_eq!(usize::from(u16::from_be_bytes([b[38], b[39]])), b.len() - 34);
            assert_eq!(b[42..50], [&id.to_be_bytes()[..], &[0, 0, 0, 1, 0, 0]].concat());
            Some(b[50..].to_vec())
        }
        other => panic!("verdict {other:?}"),
    }
}

/// Lets memcached answer: the packet must leave as it was.
fn memcached_says(id: u16, text: &[u8]) {
    let mut packet = reply(id, text);
    let before = packet.bytes().to_vec();
    assert_eq!(packet.tc(tx), TcAction::Unspec);
    assert_eq!(packet.bytes(), before);
}

fn fill(id: u16, key: &str, value: &str) -> Vec<u8> {
    assert_eq!(ask(id, format!("get {key}\r\n").as_bytes()), None);
    let text = format!("VALUE {key} 3 {}\r\n{value}\r\nEND\r\n", value.len()).into_bytes();
    memcached_says(id, &text);
    text
}

fn counted(what: Count) -> u64 {
    STATS.get(what as u32).unwrap_or(0)
}

#[test]
fn second_get_is_a_hit() {
    let text = fill(7, "a", "hello\r\nworld");
    assert_eq!(ask(8, b"get a\r\n"), Some(text));
    assert_eq!(ask(9, b"get b\r\n"), None);
    assert_eq!(counted(Count::Hits), 1);
    assert_eq!(counted(Count::Misses), 2);
    assert_eq!(counted(Count::Fills), 1);
}

#[test]
fn every_size_that_is_kept_comes_back() {
    for n in [0, 1, 100, 1000, cache::MAX_TEXT - 40] {
        let text = fill(1, "k", &"x".repeat(n));
        assert_eq!(ask(2, b"get k\r\n"), Some(text), "{n} bytes");
        tcp(b"set k 0 0 0\r\n").xdp(rx);
    }
    fill(1, "k", &"x".repeat(cache::MAX_TEXT));
    assert_eq!(ask(2, b"get k\r\n"), None);
}

#[test]
fn changes_forget() {
    for change in [
        &b"set a 0 0 1\r\nx\r\n"[..],
        b"get z\r\ndelete a\r\n",
        b"incr a 1\r\n",
        b"flush_all\r\n",
        b"touch a 0\r\n",
        b"ms a 1\r\nx\r\n",
        b"se",
        b"set a",
    ] {
        let text = fill(1, "a", "1");
        assert_eq!(ask(2, b"get a\r\n"), Some(text));
        assert_eq!(tcp(change).xdp(rx), XdpAction::Pass);
        assert_eq!(ask(3, b"get a\r\n"), None, "{change:?}");
    }
    fill(4, "a", "1");
    assert_eq!(request(5, b"set a 0 0 1\r\nx\r\n").xdp(rx), XdpAction::Pass);
    assert_eq!(ask(6, b"get a\r\n"), None, "a set over UDP");
}

#[test]
fn a_change_between_question_and_answer_wins() {
    assert_eq!(ask(1, b"get a\r\n"), None);
    tcp(b"set a 0 0 3\r\nnew\r\n").xdp(rx);
    memcached_says(1, b"VALUE a 0 3\r\nold\r\nEND\r\n");
    assert_eq!(ask(2, b"get a\r\n"), None);
}

#[test]
fn only_the_asked_answer_fills() {
    memcached_says(1, b"VALUE a 0 1\r\nx\r\nEND\r\n");
    assert_eq!(ask(2, b"get a\r\n"), None);
    memcached_says(3, b"VALUE a 0 1\r\nx\r\nEND\r\n");
    assert_eq!(ask(4, b"get a\r\n"), None);
    memcached_says(4, b"VALUE a 0 1 77\r\nx\r\nEND\r\n");
    assert_eq!(ask(5, b"get a\r\n"), None, "a reply to gets");
    memcached_says(5, b"VALUE a 0 1\r\nx\r\nEND\r\n");
    assert!(ask(6, b"get a\r\n").is_some());
}

#[test]
fn multi_get_is_whole_or_not_ours() {
    fill(1, "a", "1");
    assert_eq!(ask(2, b"get a b\r\n"), None);
    memcached_says(2, b"VALUE a 3 1\r\n1\r\nVALUE b 3 1\r\n2\r\nEND\r\n");
    let both = b"VALUE b 3 1\r\n2\r\nVALUE a 3 1\r\n1\r\nEND\r\n".to_vec();
    assert_eq!(ask(3, b"get b a\r\n"), Some(both));
    assert_eq!(counted(Count::Hits), 1);
}

#[test]
fn multi_get_that_is_too_long_goes_to_memcached() {
    let value = "x".repeat(800);
    fill(1, "a", &value);
    fill(2, "b", &value);
    assert_eq!(ask(3, b"get a b\r\n"), None);
    assert!(ask(4, b"get a\r\n").is_some());
}

#[test]
fn a_full_set_gives_up_its_oldest_key() {
    let set = cache::set_of(cache::hash(b"a"));
    let same: Vec<String> = (0..)
        .map(|i: u32| format!("k{i}"))
        .filter(|k| cache::set_of(cache::hash(k.as_bytes())) == set)
        .take(cache::WAYS + 1)
        .collect();
    for (i, key) in same.iter().enumerate() {
        host::set_ktime_ns(1000 + i as u64);
        fill(i as u16, key, key);
    }
    for (i, key) in same.iter().enumerate() {
        let hit = ask(100, format!("get {key}\r\n").as_bytes()).is_some();
        assert_eq!(hit, i > 0, "key {i}");
    }
}

#[test]
fn other_traffic_is_left_alone() {
    for text in [&b"version\r\n"[..], b"get", b"gets a\r\n", b"", b"get a\r\nget b\r\n"] {
        assert_eq!(ask(1, text), None);
    }
    let mut several = request(1, b"get a\r\n").bytes().to_vec();
    several[47] = 2;
    assert_eq!(Packet::new(&several).xdp(rx), XdpAction::Pass);
    fill(1, "a", "1");
    let mut elsewhere = request(1, b"get a\r\n").bytes().to_vec();
    elsewhere[37] ^= 1;
    assert_eq!(Packet::new(&elsewhere).xdp(rx), XdpAction::Pass);
}

#[test]
fn changes_are_seen_behind_tags_and_in_ipv6() {
    let set = tcp(b"set a 0 0 1\r\nx\r\n").bytes().to_vec();
    let tagged = [&set[..12], &[0x81, 0, 0, 7], &set[12..]].concat();
    let mut v6 =
        [&set[..12], &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, 6, 64], &[1; 32], &set[34..]].concat();
    let len = (set.len() - 34) as u16;
    v6[18..20].copy_from_slice(&len.to_be_bytes());
    let mut fragment = set.clone();
    fragment[20] = 0x20;
    for change in [tagged, v6, fragment] {
        fill(1, "a", "1");
        assert_eq!(Packet::new(&change).xdp(rx), XdpAction::Pass);
        assert_eq!(ask(2, b"get a\r\n"), None, "{change:?}");
    }
}

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

#[test]
fn no_packet_panics_or_stalls_it() {
    let mut n = Numbers(1);
    let seeds: Vec<Vec<u8>> = [
        request(1, b"get a b ccc\r\n"),
        request(2, b"set a 0 0 1\r\nx\r\n"),
        tcp(b"set a 0 0 1\r\nx\r\n"),
        tcp(b"\x80\x01\0\x03\x08\0\0\0\0\0\0\x0d............................."),
        reply(1, b"VALUE a 0 5\r\nhello\r\nVALUE b 0 0\r\n\r\nEND\r\n"),
    ]
    .iter()
    .map(|p| p.bytes().to_vec())
    .collect();
    for _ in 0..200_000 {
        let mut bytes = seeds[n.below(seeds.len())].clone();
        for _ in 0..n.below(6) {
            let at = n.below(bytes.len());
            match n.below(4) {
                0 => bytes[at] = n.below(256) as u8,
                1 => bytes[at] ^= 1 << n.below(8),
                2 => bytes.truncate(at.max(14)),
                _ => bytes.insert(at, b"\r\n \0gs\xff\x80"[n.below(8)]),
            }
        }
        let mut packet = Packet::new(&bytes).linear(n.below(bytes.len() + 1));
        if n.below(2) == 0 {
            packet.xdp(rx);
        } else {
            packet.tc(tx);
        }
    }
    assert!(counted(Count::Hits) + counted(Count::Misses) > 1000);
}

#[test]
fn the_port_is_a_parameter() {
    host::set_param(&PORT, 11212);
    fill_is_ignored();
    host::set_param(&PORT, 11211);
    fill(3, "a", "1");
}

fn fill_is_ignored() {
    assert_eq!(ask(1, b"get a\r\n"), None);
    memcached_says(1, b"VALUE a 0 1\r\nx\r\nEND\r\n");
    assert_eq!(counted(Count::Misses) + counted(Count::Fills), 0);
}
