// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! Streams of requests, cut, repeated and reordered.

use super::*;
use crate::proto::binary::tests::make;

const REQUESTS: &[u8] = b"set x 0 0 26\r\nset y 0 0 1\r\nz\r\ndelete b\r\n\r\nget q r s\r\nset a 0 0 1\r\nx\r\nversion\r\n";
const REPLIES: &[u8] =
    b"STORED\r\nVALUE q 0 13\r\nSTORED\r\nEND\r\n\r\nEND\r\nSTORED\r\nVERSION 1\r\n";

fn is_served(id: u16) -> bool {
    let served = ask(id, b"get a\r\n").is_some();
    if !served {
        memcached_says(id, b"END\r\n");
    }
    served
}

#[test]
fn a_stream_cut_anywhere_is_followed() {
    for cut in 1..REQUESTS.len() {
        host::reset();
        let mut client = Client::connect(50000);
        fill(1, "a", "1");
        let (first, second) = REQUESTS.split_at(cut);
        client.says(first);
        client.says(second);
        assert!(!is_served(2), "cut at {cut}");
        assert_eq!(counted(Count::Lost), 0, "cut at {cut}");
        refill(3, "a", "old");
        assert!(!is_served(4), "cut at {cut}");
    }
}

#[test]
fn replies_cut_anywhere_are_counted() {
    let end = REPLIES.windows(7).rposition(|w| w == b"VERSION").unwrap();
    for cut in 1..end {
        host::reset();
        let mut client = Client::connect(50000);
        client.says(REQUESTS);
        client.hears(&REPLIES[..cut]);
        refill(3, "a", "old");
        assert!(!is_served(4), "cut at {cut}");
        client.hears(&REPLIES[cut..end]);
        refill(5, "a", "x");
        assert!(is_served(6), "cut at {cut}");
    }
}

#[test]
fn a_binary_stream_cut_anywhere_is_followed() {
    let requests = [
        make(0x00, 0, &[], b"q", b""),
        make(0x01, 0, &[0; 8], b"x", b"\x80\x01 not a request"),
        make(0x11, 0, &[0; 8], b"z", b"quiet"),
        make(0x01, 0, &[0; 8], b"a", b"x"),
    ]
    .concat();
    let answer = |opcode: u8, value: &[u8]| {
        let mut r = make(opcode, 9, &[0; 4], b"", value);
        r[0] = 0x81;
        r
    };
    for cut in 1..requests.len() {
        host::reset();
        let mut client = Client::connect(50000);
        fill(1, "a", "1");
        let (first, second) = requests.split_at(cut);
        client.says(first);
        client.says(second);
        assert!(!is_served(2), "cut at {cut}");
        assert_eq!(counted(Count::Lost), 0, "cut at {cut}");
        let replies = [answer(0x00, b"value"), answer(0x01, b""), answer(0x01, b"")].concat();
        let (first, second) = replies.split_at(cut.min(84));
        client.hears(first);
        refill(3, "a", "old");
        assert!(!is_served(4), "cut at {cut}");
        client.hears(second);
        refill(5, "a", "x");
        assert!(is_served(6), "cut at {cut}");
    }
}

#[test]
fn a_segment_out_of_order_stops_everything_until_it_is_in_order() {
    host::set_ktime_ns(1000 * SECOND);
    fill(1, "a", "1");
    let mut client = Client::connect(50000);
    let (first, second) = (b"set b 0 0 1\r\nx\r\n", b"set a 0 0 1\r\nx\r\n");
    client.arrives(client.seq.wrapping_add(first.len() as u32), second);
    assert!(!is_served(2));
    // However long the first is on its way.
    for wait in 0..5 {
        host::set_ktime_ns((1100 + wait) * SECOND);
        client.hears(b"");
    }
    client.arrives(client.seq, first);
    host::set_ktime_ns(1200 * SECOND);
    assert_eq!(ask(3, b"get a\r\n"), None);
    client.seq = client.seq.wrapping_add((first.len() + second.len()) as u32);
    client.hears(b"STORED\r\nSTORED\r\n");
    memcached_says(3, &text_of("a", "old"));
    assert!(!is_served(4));
    // Then it is followed again.
    host::set_ktime_ns(1300 * SECOND);
    client.says(b"set a 0 0 1\r\nx\r\n");
    assert!(!is_served(5));
    let lost = counted(Count::Lost);
    client.says(b"delete q\r\n");
    assert_eq!(counted(Count::Lost), lost);
    host::set_ktime_ns(1400 * SECOND);
    refill(6, "a", "x");
    assert!(is_served(7));
}

#[test]
fn a_segment_sent_again_counts_again() {
    host::set_ktime_ns(1000 * SECOND);
    let mut client = Client::connect(50000);
    let at = client.seq;
    client.says(b"set a 0 0 1 noreply\r\nx\r\n");
    host::set_ktime_ns(1100 * SECOND);
    fill(1, "a", "1");
    assert!(is_served(2));
    client.arrives(at, b"set a 0 0 1 noreply\r\nx\r\n");
    assert!(!is_served(3));
}

#[test]
fn a_connection_from_before_is_not_trusted() {
    host::set_ktime_ns(1000 * SECOND);
    fill(1, "a", "1");
    // Within the data of a request that was not seen.
    let mut client = Client { port: 50000, seq: 1, server_seq: 1 };
    client.says(b"data\r\nset b 0 0 1\r\nx\r\n");
    assert!(!is_served(2));
    client.hears(b"STORED\r\nSTORED\r\n");
    host::set_ktime_ns(1010 * SECOND);
    client.says(b"set a 0 0 1\r\nx\r\n");
    assert_eq!(counted(Count::Lost), 1);
    client.hears(b"STORED\r\n");
    // Its replies are not counted.
    refill(3, "a", "?");
    assert!(!is_served(4));
    host::set_ktime_ns(1020 * SECOND);
    refill(5, "a", "x");
    assert!(is_served(6));
}

#[test]
fn what_is_not_memcached_stops_everything() {
    fill(1, "a", "1");
    Client::connect(50000).says(b"\x16\x03\x01\x02\0\x01\0");
    assert!(!is_served(2));
}

#[test]
fn an_unknown_command_costs_its_connection_only() {
    host::set_ktime_ns(1000 * SECOND);
    let mut client = Client::connect(50000);
    client.says(b"gnu a b c\r\n");
    client.hears(b"ERROR\r\n");
    host::set_ktime_ns(1010 * SECOND);
    fill(1, "a", "1");
    client.says(b"set b 0 0 1\r\nx\r\n");
    assert!(is_served(2));
}

#[test]
fn a_reply_to_what_should_have_none_is_not_mistaken() {
    let mut client = Client::connect(50000);
    client.says(b"set b 0 0 1 noreply\r\nx\r\nset a 0 0 1\r\nx\r\n");
    client.hears(b"SERVER_ERROR out of memory storing object\r\n");
    refill(1, "a", "?");
    assert!(!is_served(2));
}

#[test]
fn a_segment_with_urgent_data_is_not_followed() {
    let mut client = Client::connect(50000);
    fill(1, "a", "1");
    client.from_client(packet::ACK | packet::URG, b"get b\r\n");
    assert_eq!(counted(Count::Lost), 1);
    assert!(!is_served(2));
}

#[test]
fn a_segment_sent_again_in_vain_is_nothing() {
    host::set_ktime_ns(1000 * SECOND);
    let mut client = Client::connect(50000);
    let at = client.seq;
    client.sets("b");
    fill(1, "a", "1");
    client.arrives(at, b"set b 0 0 1\r\nx\r\n");
    assert!(is_served(2), "the server had it");
    let at = client.seq;
    client.says(b"set b 0 0 1\r\nx\r\n");
    client.arrives(at, b"set b 0 0 1\r\nx\r\n");
    assert!(is_served(3), "its reply is awaited");
    client.hears(b"STORED\r\n");
    refill(4, "b", "x");
    assert!(ask(5, b"get b\r\n").is_some());
}

#[test]
fn many_keys_in_one_request_are_followed() {
    let mut client = Client::connect(50000);
    let mut line = b"get".to_vec();
    for i in 0..1000 {
        line.extend(format!(" key{i}").bytes());
    }
    line.extend(b"\r\nset a 0 0 1\r\nx\r\n");
    for part in line.chunks(700) {
        client.says(part);
    }
    assert_eq!(counted(Count::Lost), 0);
    assert_eq!(counted(Count::Changes), 1);
}

/// Changes whose replies are not seen as such must not make the set wait for ever, however often it changes.
#[test]
fn a_lost_connection_does_not_keep_a_changing_set_empty() {
    let mut lossy = Client::connect(50000);
    lossy.says(b"set a 0 0 1\r\nx\r\n");
    // Out of order: this connection's replies are counted no more.
    lossy.arrives(lossy.seq.wrapping_add(100), b"get z\r\n");
    let mut other = Client::connect(50001);
    let mut now = time::ktime_ns();
    for _ in 0..20 {
        now += SECOND / 4;
        host::set_ktime_ns(now);
        other.sets("a");
    }
    fill(1, "a", "1");
    assert!(ask(2, b"get a\r\n").is_some());
}

/// The same where nothing is seen of the connection's end.
#[test]
fn a_reply_that_never_comes_does_not_keep_a_changing_set_empty() {
    Client::connect(50000).says(b"set a 0 0 1\r\nx\r\n");
    let mut other = Client::connect(50001);
    let start = time::ktime_ns();
    for quarter in 1..=8 {
        host::set_ktime_ns(start + quarter * clock::LATE / 4);
        other.sets("a");
        assert!(version_of("a").is_none() || quarter > 4, "given up too early");
    }
    fill(1, "a", "1");
    assert!(ask(2, b"get a\r\n").is_some());
}

fn version_of(key: &str) -> Option<u32> {
    crate::cache::version(key_hash(key.as_bytes()).expect("a key"), time::ktime_ns())
}
