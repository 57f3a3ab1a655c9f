// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! No packet panics a program or stalls it, changes a packet for the stack, or makes a reply to
//! what is no `get`.
//!
//! `BMC_FUZZ=10000000 cargo test --release fuzz` for as many runs.

use std::time::{Duration, Instant};

use super::*;
use crate::proto::binary::tests::make;

fn seeds() -> Vec<Vec<u8>> {
    let tcp = packet::Tcp { seq: 1, ack: 1, flags: packet::ACK };
    let to = |text: &[u8]| segment_bytes((CLIENT, 50000), (SERVER, 11211), tcp, text);
    let from = |text: &[u8]| segment_bytes((SERVER, 11211), (CLIENT, 50000), tcp, text);
    let shaped = |tags, options: &[u8]| {
        let shape = Shape { tags, options: options.to_vec() };
        datagram(&shape, (CLIENT, CLIENT_PORT), (SERVER, 11211), &message(1, b"get a b ccc\r\n"))
    };
    let six = |text: &[u8]| {
        datagram(&Shape::default(), (CLIENT6, CLIENT_PORT), (SERVER6, 11211), &message(1, text))
    };
    let syn = packet::Tcp { seq: 0, ack: 0, flags: packet::SYN };
    let syn_ack = packet::Tcp { seq: 0, ack: 1, flags: packet::SYN | packet::ACK };
    vec![
        request(1, b"get a b ccc\r\n").bytes().to_vec(),
        request(1, b"get a\r\n").bytes().to_vec(),
        request(2, b"set a 0 0 1\r\nx\r\n").bytes().to_vec(),
        shaped(1, &[]),
        shaped(2, &[7, 7, 4, 0, 0, 0, 0, 0]),
        six(b"get a b\r\n"),
        segment_bytes((CLIENT, 50000), (SERVER, 11211), syn, b""),
        segment_bytes((SERVER, 11211), (CLIENT, 50000), syn_ack, b""),
        to(b"set a 0 0 1\r\nx\r\nset b 0 60 1 noreply\r\nx\r\nflush_all 10\r\n"),
        to(b"ms a 1 T60\r\nx\r\nmg a T1\r\ngat 1 a b c\r\n"),
        to(&[make(0x01, 0, &[0; 8], b"a", b"x"), make(0x1c, 0, &[0; 4], b"b", b"")].concat()),
        from(b"STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n"),
        reply(1, b"VALUE a 0 5\r\nhello\r\nVALUE b 0 0\r\n\r\nEND\r\n").bytes().to_vec(),
        reply(2, b"VALUE a 0 5\r\nhello\r\nEND\r\n").bytes().to_vec(),
    ]
}

fn damage(n: &mut Numbers, bytes: &mut Vec<u8>) {
    for _ in 0..n.below(5) {
        let at = n.below(bytes.len());
        match n.below(5) {
            0 => bytes[at] = n.below(256) as u8,
            1 => bytes[at] ^= 1 << n.below(8),
            2 => bytes.truncate(at.max(14)),
            3 => bytes.insert(at, b"\r\n \0gs\xff\x80"[n.below(8)]),
            _ => {
                let end = (at + n.below(40)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let to = n.below(bytes.len());
                bytes.splice(to..to, piece);
            }
        }
    }
    bytes.truncate(1500);
}

/// Writes the right lengths and checksum into an IPv4 header, so that what is behind it is looked at.
fn mend(bytes: &mut [u8]) {
    if bytes.len() < 42 || bytes[12..14] != [8, 0] || bytes[14] != 0x45 {
        return;
    }
    let len = bytes.len() as u16;
    bytes[16..18].copy_from_slice(&(len - 14).to_be_bytes());
    if bytes[23] == 17 {
        bytes[38..40].copy_from_slice(&(len - 34).to_be_bytes());
    }
    bytes[24..26].fill(0);
    let sum = Sum::new().bytes(&bytes[14..34]).finish();
    bytes[24..26].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn fuzz() {
    let runs: u64 =
        std::env::var("BMC_FUZZ").map_or(200_000, |n| n.parse().expect("a number of runs"));
    let seed: u64 = std::env::var("BMC_FUZZ_SEED").map_or(1, |n| n.parse().expect("a number"));
    let mut n = Numbers(seed);
    let seeds = seeds();
    let mut slowest = Duration::ZERO;
    let mut now = SECOND;
    for _ in 0..runs {
        let mut bytes = seeds[n.below(seeds.len())].clone();
        damage(&mut n, &mut bytes);
        if n.below(4) > 0 {
            mend(&mut bytes);
        }
        now += n.below(20_000_000) as u64;
        host::set_ktime_ns(now);
        // Most in one buffer: of others, programs see the first only.
        let linear = if n.below(4) > 0 { bytes.len() } else { n.below(bytes.len() + 1) };
        let mut packet = Packet::new(&bytes).linear(linear);
        let began = Instant::now();
        if n.below(3) > 0 {
            match packet.xdp(rx) {
                XdpAction::Pass => assert_eq!(packet.bytes(), bytes),
                XdpAction::Tx => {
                    let get = bytes.windows(4).any(|w| w == b"get ");
                    assert!(get && packet.bytes().ends_with(b"END\r\n"), "{bytes:?}");
                }
                other => panic!("verdict {other:?} for {bytes:?}"),
            }
        } else {
            assert_eq!(packet.tc(tx), TcAction::Unspec);
            assert_eq!(packet.bytes(), bytes);
        }
        slowest = slowest.max(began.elapsed());
    }
    assert!(slowest < Duration::from_secs(2), "a run took {slowest:?}");
    assert!(counted(Count::Hits) + counted(Count::Misses) > runs / 100);
    assert!(counted(Count::Changes) > runs / 100);
}
