// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use iu::host::{self, Frames, Packet};
use iu::net::checksum::Sum;

use super::*;

const BALLOT: u64 = 7;

fn header(kind: u8, node: u8, ballot: u64, slot: u64) -> Header {
    Header {
        magic: wire::MAGIC.into(),
        kind,
        node,
        reserved: 0.into(),
        ballot: ballot.into(),
        slot: slot.into(),
    }
}

fn frames() -> Frames {
    Frames::new("10.0.0.1:4000", "10.0.0.2:5005")
}

fn packet(h: &Header, value: &[u8]) -> Packet {
    frames().udp(&[h.as_bytes(), value].concat())
}

/// Runs it; what is not answered must be unchanged.
fn run(p: &mut Packet) -> XdpAction {
    let before = p.bytes().to_vec();
    let verdict = p.xdp(fast);
    assert!(verdict == XdpAction::Tx || p.bytes() == before);
    verdict
}

fn accept_of(slot: u64, value: &[u8]) -> XdpAction {
    run(&mut packet(&header(ACCEPT, 1, BALLOT, slot), value))
}

fn ack(node: u8, slot: u64) -> XdpAction {
    run(&mut packet(&header(ACK, node, BALLOT, slot), b""))
}

fn counts() -> Vec<u64> {
    (0..6).map(|i| STATS.get(i).unwrap()).collect()
}

fn follower() {
    STATE.set(PROMISED, BALLOT).unwrap();
    host::set_param(&NODE, 3);
}

fn leader(quorum: u32) {
    STATE.set(LEADING, BALLOT).unwrap();
    host::set_param(&QUORUM, quorum);
}

#[test]
fn accepts_log_and_answer() {
    follower();
    let six = Frames::new("[fd00::1]:4000", "[fd00::2]:5005").tag(9);
    for (slot, f) in [(1, frames()), (2, six)] {
        let h = header(ACCEPT, 1, BALLOT, slot);
        let mut p = f.udp(&[h.as_bytes(), b"value"].concat());
        assert_eq!(run(&mut p), XdpAction::Tx);
        let l = net::layers(p.bytes()).unwrap();
        let v = l.udp().unwrap();
        assert_eq!(v.payload, header(ACK, 3, BALLOT, slot).as_bytes());
        assert_eq!((v.udp.src_port.get(), v.udp.dst_port.get()), (5005, 4000));
        let sum = match l.ip {
            net::Ip::V4(ip) => Sum::new().pseudo4(ip, l.len as u16),
            net::Ip::V6(ip) => Sum::new().pseudo6(ip, l.protocol, l.len as u32),
        };
        assert_eq!(sum.bytes(l.transport()).finish(), 0);
        assert_eq!(host::records(&LOG), [[h.as_bytes(), b"value"].concat()]);
    }
    // Again: acknowledged, and not logged twice.
    assert_eq!(accept_of(2, b"value"), XdpAction::Tx);
    assert!(host::records(&LOG).is_empty());
    assert_eq!(counts()[..3], [2, 1, 0]);
}

#[test]
fn other_ballots_and_old_slots_are_left() {
    let mut old = packet(&header(ACCEPT, 1, 0, 1), b"x");
    assert_eq!(run(&mut old), XdpAction::Pass, "nothing is promised");
    follower();
    for ballot in [0, BALLOT - 1, BALLOT + 1, u64::MAX] {
        let mut p = packet(&header(ACCEPT, 1, ballot, 1), b"x");
        assert_eq!(run(&mut p), XdpAction::Pass);
    }
    assert_eq!(accept_of(1 + u64::from(WINDOW), b"x"), XdpAction::Tx);
    assert_eq!(accept_of(1, b"x"), XdpAction::Pass, "a window ago");
    // A new ballot accepts the slot anew.
    STATE.set(PROMISED, BALLOT + 1).unwrap();
    assert_eq!(run(&mut packet(&header(ACCEPT, 2, BALLOT + 1, 1), b"y")), XdpAction::Tx);
    assert_eq!(host::records(&LOG).len(), 2);
}

#[test]
fn a_full_log_leaves_to_user_space() {
    follower();
    let value = [7; VALUE];
    let taken = (0..2000).take_while(|slot| accept_of(*slot, &value) == XdpAction::Tx).count();
    assert!((900..=1000).contains(&taken), "{taken}");
    assert_eq!(accept_of(5000, &value), XdpAction::Pass);
    assert_eq!(accept_of(0, &value), XdpAction::Tx, "what is in it is acknowledged again");
    host::records(&LOG);
    assert_eq!(accept_of(5000, &value), XdpAction::Tx);
    assert_eq!(accept_of(5001, &[7; VALUE + 1]), XdpAction::Pass);
}

#[test]
fn user_space_hears_once_of_a_slot() {
    leader(2);
    assert_eq!(ack(1, 5), XdpAction::Drop);
    assert_eq!(ack(1, 5), XdpAction::Drop, "one replica is one vote");
    assert_eq!(ack(2, 5), XdpAction::Pass, "decided");
    assert_eq!(ack(4, 5), XdpAction::Drop, "late");
    // The leader asks again, as the decision was lost: then it is to hear of it.
    assert_eq!(ack(1, 5), XdpAction::Pass);
    assert_eq!(counts()[3..], [5, 1, 1]);
    // Slots do not meet, in any order.
    assert_eq!(ack(1, 7), XdpAction::Drop);
    assert_eq!(ack(1, 6), XdpAction::Drop);
    assert_eq!(ack(2, 7), XdpAction::Pass);
    assert_eq!(ack(2, 6), XdpAction::Pass);
    // A window later the place is another slot's.
    assert_eq!(ack(1, 5 + u64::from(WINDOW)), XdpAction::Drop);
    assert_eq!(ack(2, 5), XdpAction::Pass, "too old to be known: left");
}

#[test]
fn votes_that_are_none() {
    leader(1);
    assert_eq!(ack(0, 1), XdpAction::Pass, "its own");
    assert_eq!(ack(64, 1), XdpAction::Pass);
    assert_eq!(ack(255, 1), XdpAction::Pass);
    let mut p = packet(&header(ACK, 1, BALLOT + 1, 1), b"");
    assert_eq!(run(&mut p), XdpAction::Pass);
    assert_eq!(counts()[2..], [4, 0, 0, 0]);
    host::reset();
    assert_eq!(ack(1, 1), XdpAction::Pass, "leads nothing");
}

/// Every order in which a replica's acknowledgments can come decides exactly once.
#[test]
fn any_order_decides_once() {
    for order in 0..24u64 {
        leader(3);
        let mut nodes = vec![1, 2, 3, 4];
        let mut n = order;
        let mut decided = 0;
        for left in (1..=4).rev() {
            let node = nodes.remove((n % left) as usize);
            n /= left;
            decided += u32::from(ack(node, order) == XdpAction::Pass);
        }
        assert_eq!(decided, 1);
    }
}

#[test]
fn malformed_messages_pass() {
    follower();
    leader(1);
    let good = packet(&header(ACCEPT, 1, BALLOT, 1), b"value").bytes().to_vec();
    for n in 14..good.len() {
        assert_eq!(run(&mut Packet::new(&good[..n])), XdpAction::Pass, "cut to {n}");
    }
    for at in [12, 14, 23, 36, 42, 46, 48] {
        let mut bad = good.clone();
        bad[at] ^= 0x41;
        assert_eq!(run(&mut Packet::new(&bad)), XdpAction::Pass, "byte {at}");
    }
    let mut x = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..20_000 {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        let mut bad = good.clone();
        let at = x as usize % bad.len();
        bad[at] = (x >> 32) as u8;
        run(&mut Packet::new(&bad));
    }
    assert_eq!(run(&mut frames().udp(b"short")), XdpAction::Pass);
    assert_eq!(run(&mut frames().tcp(1, 1, 16, &good[42..])), XdpAction::Pass);
}

#[test]
#[should_panic(expected = "out of range")]
fn node_has_a_range() {
    host::set_param(&NODE, 64);
}
