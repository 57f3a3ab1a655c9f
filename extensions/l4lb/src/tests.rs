// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use std::net::IpAddr;

use iu::host::{self, Frames, Packet};

use super::*;
use crate::maglev::{PLACES, SERVERS, Share};
use crate::pool::{ABSENT, DRAINING, UP};

fn server(n: u8, weight: u8, state: u8) {
    POOL.set(n.into(), Server { mac: [2, 0, 0, 0, 0, n], weight, state }).unwrap();
}

fn service(addr: &str, port: u16, protocol: u8) {
    let addr = match addr.parse().unwrap() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    };
    SERVICES.insert(&Service { addr, port, protocol: protocol.into() }, &0).unwrap();
}

/// A service of three servers.
fn three() {
    host::set_ktime_ns(SECOND);
    service("10.0.0.100", 80, 6);
    (0..3).for_each(|n| server(n, 1, UP));
}

fn later(seconds: u64) {
    host::set_ktime_ns(time::ktime_ns() + seconds * SECOND);
}

fn syn(port: u16) -> Packet {
    Frames::new(&format!("10.0.0.1:{port}"), "10.0.0.100:80").tcp(1, 0, net::TCP_SYN, b"")
}

fn data(port: u16) -> Packet {
    Frames::new(&format!("10.0.0.1:{port}"), "10.0.0.100:80").tcp(2, 1, net::TCP_ACK, b"hello")
}

/// The server that a packet is sent to; the packet is otherwise unchanged.
fn sent_to(mut p: Packet) -> Option<u8> {
    let before = p.bytes().to_vec();
    match p.xdp(balance) {
        XdpAction::Tx => {
            assert_eq!(p.bytes()[12..], before[12..]);
            assert_eq!(p.bytes()[6..12], before[..6]);
            assert_eq!(p.bytes()[..5], [2, 0, 0, 0, 0]);
            Some(p.bytes()[5])
        }
        verdict => {
            assert_eq!((verdict, p.bytes()), (XdpAction::Drop, &before[..]));
            None
        }
    }
}

fn counts() -> Vec<u64> {
    (0..5).map(|i| STATS.get(i).unwrap()).collect()
}

fn table(shares: &[Share; SERVERS]) -> Vec<u32> {
    let mut t = vec![u32::MAX; PLACES as usize];
    assert!(maglev::fill(shares, |place, server| {
        assert_eq!(t[place as usize], u32::MAX, "place {place} is given twice");
        t[place as usize] = server;
    }));
    assert!(!t.contains(&u32::MAX));
    t
}

fn shares(turns: &[u8]) -> [Share; SERVERS] {
    let mut all = [Share::default(); SERVERS];
    for (i, t) in turns.iter().enumerate() {
        all[i] = Share { id: 0x0200_0000_0000 + i as u64, turns: *t };
    }
    all
}

#[test]
fn tables_are_even_and_change_little() {
    for n in 1..=SERVERS {
        let full = table(&shares(&vec![1; n]));
        for s in 0..n {
            let share = full.iter().filter(|x| **x == s as u32).count();
            assert!(share.abs_diff(PLACES as usize / n) <= 1, "{s} of {n} has {share}");
        }
        if n == 1 {
            continue;
        }
        // Without the first: all others' places but few stay.
        let mut turns = vec![1; n];
        turns[0] = 0;
        let moved =
            table(&shares(&turns)).iter().zip(&full).filter(|(a, b)| **b != 0 && a != b).count();
        assert!(moved <= PLACES as usize / 4, "{moved} of {n}");
    }
    let weighed = table(&shares(&[3, 1]));
    let first = weighed.iter().filter(|x| **x == 0).count();
    assert!(first.abs_diff(PLACES as usize * 3 / 4) <= 3, "{first}");
    assert!(!maglev::fill(&shares(&[0, 0]), |_, _| panic!("nobody has a turn")));
}

#[test]
fn connections_spread_and_stay() {
    three();
    let first: Vec<_> = (1..=600).map(|p| sent_to(syn(p)).unwrap()).collect();
    for n in 0..3 {
        let share = first.iter().filter(|s| **s == n).count();
        assert!((150..250).contains(&share), "{n}: {share}");
    }
    // A server more: who is there stays.
    server(3, 1, UP);
    later(1);
    for (port, s) in (1..).zip(&first) {
        assert_eq!(sent_to(data(port)), Some(*s));
    }
    assert!((601..800).any(|p| sent_to(syn(p)) == Some(3)));
    assert_eq!(counts()[4], 2);
}

#[test]
fn without_memory_most_are_placed_alike() {
    three();
    let first: Vec<_> = (1..=600).map(|p| sent_to(syn(p)).unwrap()).collect();
    host::reset();
    three();
    let again: Vec<_> = (1..=600).map(|p| sent_to(data(p)).unwrap()).collect();
    assert_eq!(first, again);
}

#[test]
fn servers_that_go_down_or_drain() {
    three();
    let first: Vec<_> = (1..=300).map(|p| sent_to(syn(p)).unwrap()).collect();
    // At once, before the pool is looked at by the clock.
    server(1, 1, ABSENT);
    for (port, s) in (1..).zip(&first) {
        let now = sent_to(data(port)).unwrap();
        assert!(now != 1 && (*s == 1 || now == *s), "{s} became {now}");
    }
    let lost = first.iter().filter(|s| **s == 1).count() as u64;
    assert_eq!(counts()[2], lost);
    // One that drains keeps its connections and gets none.
    server(0, 1, DRAINING);
    later(1);
    for (port, s) in (1..).zip(&first) {
        assert!(*s != 0 || sent_to(data(port)) == Some(0));
    }
    assert!((1000..1200).all(|p| sent_to(syn(p)) == Some(2)));
    // Its place is given to another machine: that is another server.
    POOL.set(0, Server { mac: [2, 0, 0, 0, 0, 9], weight: 1, state: UP }).unwrap();
    later(1);
    let was_0 = (1..).zip(&first).find(|(_, s)| **s == 0).unwrap().0;
    assert_ne!(sent_to(data(was_0)), Some(0));
    (0..3).for_each(|n| server(n, 1, 77));
    assert_eq!(sent_to(syn(1)), None);
    assert_eq!(counts()[3], 1);
}

#[test]
fn idle_connections_and_resets_are_forgotten() {
    three();
    host::set_param(&IDLE_S, 10);
    sent_to(syn(1));
    later(9);
    sent_to(data(1));
    later(9);
    sent_to(data(1));
    assert_eq!(counts()[..2], [2, 1]);
    later(10);
    sent_to(data(1));
    assert_eq!(counts()[..2], [2, 2]);
    sent_to(Frames::new("10.0.0.1:1", "10.0.0.100:80").tcp(3, 0, net::TCP_RST, b""));
    sent_to(data(1));
    assert_eq!(counts()[..2], [3, 3]);
}

#[test]
fn services_of_both_families_and_protocols() {
    three();
    service("fd00::100", 53, 17);
    let six = Frames::new("[fd00::1]:9", "[fd00::100]:53").tag(3);
    assert!(sent_to(six.udp(b"query")).is_some());
    for mut other in [
        six.tcp(1, 1, net::TCP_SYN, b""),
        Frames::new("10.0.0.1:1", "10.0.0.100:81").tcp(1, 1, net::TCP_SYN, b""),
        Frames::new("10.0.0.1:1", "10.0.0.101:80").tcp(1, 1, net::TCP_SYN, b""),
        Frames::new("10.0.0.1:1", "10.0.0.100:80").udp(b""),
        Packet::new(&[0; 14]),
    ] {
        let before = other.bytes().to_vec();
        assert_eq!(other.xdp(balance), XdpAction::Pass);
        assert_eq!(other.bytes(), before);
    }
}

#[test]
fn cut_and_fragmented_packets_pass() {
    three();
    let whole = data(1).bytes().to_vec();
    for n in 14..54 {
        let mut p = Packet::new(&whole[..n]);
        assert_eq!((p.xdp(balance), p.bytes()), (XdpAction::Pass, &whole[..n]));
    }
    let mut fragment = whole.clone();
    fragment[20] |= 0x20;
    assert_eq!(Packet::new(&fragment).xdp(balance), XdpAction::Pass);
}

#[test]
fn a_flood_of_connections_evicts() {
    three();
    let kept = sent_to(syn(1)).unwrap();
    for i in 0..3_000u32 {
        let from = format!("10.1.{}.{}:1", i >> 8, i & 255);
        let p = Frames::new(&from, "10.0.0.100:80").tcp(1, 0, net::TCP_SYN, b"");
        assert!(sent_to(p).is_some());
    }
    // Forgotten, and placed where it was.
    assert_eq!(sent_to(data(1)), Some(kept));
    assert_eq!(counts()[..2], [0, 3_002]);
}

#[test]
#[should_panic(expected = "out of range")]
fn refresh_has_a_range() {
    host::set_param(&REFRESH_MS, 0);
}
