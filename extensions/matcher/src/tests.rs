// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use iu::host::{self, Frames, Packet};
use iu::log::Level;

use super::*;

const SEQ: u32 = u32::MAX - 20;

fn frames(port: u16) -> Frames {
    Frames::new(&format!("10.0.0.1:{port}"), "10.0.0.2:80")
}

fn run(mut p: Packet) -> bool {
    let before = p.bytes().to_vec();
    let verdict = p.xdp(scan);
    assert_eq!(p.bytes(), before);
    verdict == XdpAction::Pass
}

/// Bytes of a stream from `at` on.
fn send(port: u16, at: usize, bytes: &[u8]) -> bool {
    run(frames(port).tcp(SEQ.wrapping_add(at as u32), 1, net::TCP_ACK, bytes))
}

fn open(port: u16) {
    assert!(run(frames(port).tcp(SEQ.wrapping_sub(1), 0, net::TCP_SYN, b"")));
}

fn hits(name: &str) -> u64 {
    let rule = (0..RULES.len()).find(|i| RULES.name(*i) == name.as_bytes()).unwrap();
    HITS.get(rule as u32).unwrap()
}

fn counts() -> Vec<u64> {
    (0..6).map(|i| STATS.get(i).unwrap()).collect()
}

static OVERLAPS: &[u8] = br"
# he, she, his, hers: the paper's own; and what begins or ends in another
count 0 he
count 1 she
drop  2 his
log   3 hers
count 4 e
count 5 \x00\xff\\
count 6 she says
count 7 aaaa
";
static PAPER: Rules = Rules::parse(OVERLAPS);
const PAPER_SIZE: Size = dfa::size(&Rules::parse(OVERLAPS));
static PAPER_DFA: Dfa<{ PAPER_SIZE.states }, { PAPER_SIZE.states * PAPER_SIZE.classes }> =
    Dfa::new(&Rules::parse(OVERLAPS));

fn pattern(rules: &Rules, i: usize) -> Vec<u8> {
    let (mut all, mut at) = (Vec::new(), rules.begin(i));
    while let Some((b, next)) = rules.byte(i, at) {
        all.push(b);
        at = next;
    }
    all
}

#[test]
fn rules_are_read() {
    assert_eq!(PAPER.len(), 8);
    assert_eq!(pattern(&PAPER, 5), b"\x00\xff\\");
    assert_eq!(pattern(&PAPER, 6), b"she says");
    assert_eq!((PAPER.action(2), PAPER.action(3)), (Action::Drop, Action::Log));
    for bad in [
        &b"reject a b"[..],
        b"drop",
        b"drop name",
        b"count n \\x1",
        b"count n \\q",
        b"count n \\x1g",
    ] {
        let read = std::panic::catch_unwind(|| {
            let rules = Rules::parse(bad);
            (0..rules.len()).for_each(|i| drop(pattern(&rules, i)));
        });
        assert!(read.is_err(), "{}", String::from_utf8_lossy(bad));
    }
    let many = "count n x\n".repeat(65).leak();
    assert!(std::panic::catch_unwind(|| Rules::parse(many.as_bytes())).is_err());
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
fn the_automaton_finds_what_a_search_finds() {
    let mut n = Numbers(0x9e37_79b9_7f4a_7c15);
    let patterns: Vec<_> = (0..PAPER.len()).map(|i| pattern(&PAPER, i)).collect();
    for _ in 0..2000 {
        let text: Vec<u8> = (0..n.below(60)).map(|_| b"heirs ay\x00\xff\\"[n.below(11)]).collect();
        let mut state = 0;
        for end in 1..=text.len() {
            let (next, found) = PAPER_DFA.step(state, text[end - 1]);
            state = next;
            for (i, p) in patterns.iter().enumerate() {
                assert_eq!(found >> i & 1 == 1, text[..end].ends_with(p), "{text:?} to {end}, {i}");
            }
        }
    }
}

#[test]
fn patterns_across_segments() {
    let stream = b"GET /a/../../etc/passwd HTTP/1.1\r\n\r\n";
    for cut in 1..stream.len() {
        host::reset();
        open(1);
        let (a, b) = stream.split_at(cut);
        let whole_in_a = cut >= b"GET /a/../../".len();
        assert_eq!((send(1, 0, a), send(1, cut, b)), (!whole_in_a, false), "cut at {cut}");
        assert_eq!(hits("traversal"), 1);
        // And nothing more on this connection, but on a new one.
        assert!(!send(1, stream.len(), b"fine"));
        assert!(send(2, 0, b"fine"));
        open(1);
        assert!(send(1, 0, b"fine"));
    }
}

#[test]
fn byte_by_byte_and_repeated() {
    open(1);
    for (i, b) in b"x UNION SELECT y".iter().enumerate() {
        assert!(send(1, i, &[*b]));
        assert!(send(1, i, &[*b]), "repeated");
    }
    assert_eq!((hits("union"), hits("select")), (1, 1));
    assert_eq!(counts()[2], 16);
    let six = Frames::new("[fd00::1]:9", "[fd00::2]:80").tag(2);
    assert!(!run(six.tcp(5, 1, net::TCP_ACK, b"${jndi:ldap://")));
}

#[test]
fn order() {
    open(1);
    assert!(send(1, 10, b"../ and so on"));
    assert!(send(1, 0, b"GET /../.."));
    assert_eq!((hits("traversal"), counts()[5]), (0, 1), "not asked for");
    host::set_param(&IN_ORDER, true);
    open(2);
    assert!(!send(2, 10, b"/ and so on"));
    assert!(send(2, 0, b"GET /../.."));
    assert!(!send(2, 10, b"/ and so on"));
    assert_eq!(hits("traversal"), 1);
}

#[test]
fn datagrams_and_the_log() {
    assert!(run(frames(1).udp(b"GET /etc/sha")));
    assert!(run(frames(1).udp(b"dow")), "datagrams do not go on");
    assert!(run(frames(1).udp(b"cat /etc/shadow")));
    assert!(!run(frames(1).udp(b"() { :;}; /etc/shadow")));
    assert_eq!(hits("shadow"), 2);
    assert_eq!(host::log()[0], (Level::Info, "shadow matches".into()));
    assert_eq!(counts()[1], 4);
    host::set_param(&PORT, 81);
    assert!(run(frames(1).udp(b"() { :;};")));
    assert!(run(frames(1).tcp(1, 1, 16, b"() { :;};")));
}

#[test]
fn damaged_packets_neither_panic_nor_change() {
    let mut n = Numbers(1);
    let seeds = [
        frames(1).tcp(9, 1, 16, b"/../.."),
        frames(2).udp(b"SELECT"),
        frames(1).tcp(15, 1, 16, b"/"),
    ];
    for _ in 0..20_000 {
        let mut bytes = seeds[n.below(3)].bytes().to_vec();
        for _ in 0..1 + n.below(4) {
            let at = n.below(bytes.len());
            match n.below(3) {
                0 => bytes[at] = n.below(256) as u8,
                1 => bytes.truncate(at.max(14)),
                _ => bytes[at] ^= 1 << n.below(8),
            }
        }
        run(Packet::new(&bytes));
    }
    for len in 0..54 {
        assert!(run(Packet::new(&seeds[0].bytes()[..len])));
    }
}

#[test]
fn a_flood_of_streams_evicts() {
    (1..=3000).for_each(open);
    assert!(send(1, 0, b"/../.."), "followed again");
    assert!(!send(1, 6, b"/"));
}
