// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use super::*;
use iu::host::{self, Frames, Packet};
use iu::zerocopy::IntoBytes;

fn packet(kind: u8, replica: u8, all: u8, view: u32, op: u32) -> Packet {
    let m = Message {
        magic: MAGIC,
        kind,
        replica,
        all,
        reserved: 0,
        view: view.into(),
        op: op.into(),
        operation: *b"an operation....",
    };
    Frames::new("10.0.0.1:12345", "10.0.0.2:12345").udp(m.as_bytes())
}

fn sent(bytes: &[u8]) -> (net::Ipv4, u16, Message) {
    let p = net::udp4(bytes).unwrap();
    (*p.ip, p.udp.dst_port.get(), message(p.payload).unwrap())
}

#[test]
fn replicas_answer_in_order() {
    host::set_param(&ME, 1);
    STATE.lock(0).unwrap().view = 3;
    let run = |view, op| {
        let mut p = packet(PREPARE, 0, 0, view, op);
        (p.xdp(receiving), p)
    };
    let (verdict, answer) = run(3, 1);
    let (ip, _, m) = sent(answer.bytes());
    assert_eq!((verdict, m.kind, m.replica), (XdpAction::Tx, PREPARED, 1));
    assert_eq!((ip.src, ip.dst), ([10, 0, 0, 2], [10, 0, 0, 1]));
    assert_eq!(run(3, 1).0, XdpAction::Tx, "again: answered, not logged");
    assert_eq!(run(3, 3).0, XdpAction::Pass, "one is missing");
    assert_eq!(run(4, 2).0, XdpAction::Pass, "another leader");
    assert_eq!(run(2, 2).0, XdpAction::Drop, "an old one");
    assert_eq!(run(3, 2).0, XdpAction::Tx);
    let log = host::records(&LOG);
    assert_eq!((log.len(), log[0][0], log[1][0]), (2, 1, 2));
}

#[test]
fn the_majority_is_seen_once() {
    let answer = |replica, op| packet(PREPARED, replica, 0, 1, op).xdp(receiving);
    assert_eq!(answer(1, 5), XdpAction::Drop);
    assert_eq!(answer(1, 5), XdpAction::Drop, "the same one");
    assert_eq!(answer(2, 5), XdpAction::Pass);
    assert_eq!(answer(3, 5), XdpAction::Drop, "more than enough");
    assert_eq!(answer(3, 5 + ROUNDS_KEPT), XdpAction::Drop, "another round");
}

#[test]
fn the_leader_sends_once() {
    for (i, port) in [(1, 7001u16), (3, 7003)] {
        let r = Replica { mac: [i; 6], ip: [10, 0, 0, i], port: port.to_be_bytes() };
        REPLICAS.set(i.into(), r).unwrap();
    }
    let mut own = packet(PREPARE, 0, 1, 1, 1).ifindex(4);
    assert_eq!(own.tc(sending), TcAction::Ok);
    let mut copies = host::copies();
    assert_eq!(copies.len(), 1);
    copies.push((4, own.bytes().into()));
    for ((to, bytes), i) in copies.iter().zip([1, 3]) {
        let (ip, port, m) = sent(bytes);
        assert_eq!((*to, ip.dst, port, m.all), (4, [10, 0, 0, i], 7000 + u16::from(i), 0));
        assert_eq!(Packet::new(bytes).tc(sending), TcAction::Ok, "what is for one");
    }
    assert_eq!(host::copies().len(), 0);
}
