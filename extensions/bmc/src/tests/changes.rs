// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! What makes the cache forget, and when it may be filled again.

use super::*;
use crate::proto::binary::tests::make;

/// Time enough for everything that is bounded by time.
fn much_later() {
    host::set_ktime_ns(time::ktime_ns() + 2 * clock::LATE);
}

#[test]
fn changes_forget() {
    host::set_ktime_ns(SECOND);
    for change in [
        &b"set a 0 0 1\r\nx\r\n"[..],
        b"get z\r\ndelete a\r\n",
        b"incr a 1\r\n",
        b"flush_all\r\n",
        b"touch a 0\r\n",
        b"  touch  a 0\r\n",
        b"gat 0 b a\r\n",
        b"ms a 1\r\nx\r\n",
        b"ms YQ== 1 b\r\nx\r\n",
        b"mg a T30\r\n",
        b"set a 0 0 1 noreply\r\nx\r\n",
        &make(0x01, 0, &[0; 8], b"a", b"x"),
        &make(0x11, 0, &[0; 8], b"a", b"x"),
        &make(0x08, 0, &[], b"", b""),
    ] {
        much_later();
        let text = fill(1, "a", "1");
        assert_eq!(ask(2, b"get a\r\n"), Some(text));
        Client::connect(50000).says(change);
        assert_eq!(ask(3, b"get a\r\n"), None, "{change:?}");
        // It has not been answered, and its time is not over: nobody fills.
        memcached_says(3, &text_of("a", "old"));
        assert_eq!(ask(4, b"get a\r\n"), None, "{change:?}");
    }
    much_later();
    fill(4, "a", "1");
    passes(request(5, b"set a 0 0 1\r\nx\r\n"));
    assert_eq!(ask(6, b"get a\r\n"), None, "a set over UDP");
}

#[test]
fn reading_forgets_nothing() {
    fill(1, "a", "1");
    let mut client = Client::connect(50000);
    for text in [
        &b"get a\r\n"[..],
        b"gets a b\r\n",
        b"mg a v t\r\n",
        b"version\r\n",
        b"stats\r\n",
        b"mn\r\n",
    ] {
        client.says(text);
    }
    Client::connect(50001).says(&make(0x00, 0, &[], b"a", b""));
    assert!(ask(2, b"get a\r\n").is_some());
}

#[test]
fn a_change_between_question_and_answer_wins() {
    let mut client = Client::connect(50000);
    client.sets("a");
    assert_eq!(ask(1, b"get a\r\n"), None);
    client.says(b"set a 0 0 3\r\nnew\r\n");
    client.hears(b"STORED\r\n");
    memcached_says(1, &text_of("a", "old"));
    assert_eq!(ask(2, b"get a\r\n"), None);
}

#[test]
fn a_question_while_a_change_is_under_way_fills_nothing() {
    let mut client = Client::connect(50000);
    client.sets("a");
    client.says(b"set a 0 0 3\r\nnew\r\n");
    assert_eq!(ask(1, b"get a\r\n"), None);
    // Another of memcached's threads has answered before the change was carried out.
    memcached_says(1, &text_of("a", "old"));
    client.hears(b"STORED\r\n");
    assert_eq!(ask(2, b"get a\r\n"), None);
    memcached_says(2, &text_of("a", "new"));
    assert_eq!(ask(3, b"get a\r\n"), Some(text_of("a", "new")));
}

#[test]
fn each_of_several_changes_has_to_end() {
    let (mut one, mut two) = (Client::connect(50000), Client::connect(50001));
    one.says(b"set a 0 0 1\r\n1\r\nset a 0 0 1\r\n2\r\n");
    two.says(b"set a 0 0 1\r\n3\r\n");
    for (i, end) in [0, 1, 0].into_iter().enumerate() {
        refill(i as u16, "a", "?");
        assert_eq!(ask(99, b"get a\r\n"), None, "{i} of three have ended");
        memcached_says(99, b"END\r\n");
        if end == 0 { one.hears(b"STORED\r\n") } else { two.hears(b"STORED\r\n") }
    }
    refill(10, "a", "3");
    assert!(ask(11, b"get a\r\n").is_some());
}

#[test]
fn a_lost_connection_does_not_pin_for_ever() {
    host::set_ktime_ns(SECOND);
    Client::connect(50001).sets("a");
    let mut client = Client::connect(50000);
    client.says(b"delete a\r\n");
    client.from_client(packet::RST, b"");
    assert_eq!(ask(1, b"get a\r\n"), None);
    much_later();
    // What was asked before does not fill.
    memcached_says(1, &text_of("a", "old"));
    assert_eq!(ask(2, b"get a\r\n"), None);
    memcached_says(2, &text_of("a", "new"));
    assert!(ask(3, b"get a\r\n").is_some());
}

#[test]
fn a_change_without_reply_ends_with_the_next_reply_or_the_connection() {
    let mut client = Client::connect(50000);
    client.says(b"set a 0 0 1 noreply\r\nx\r\n");
    refill(1, "a", "?");
    assert_eq!(ask(2, b"get a\r\n"), None);
    memcached_says(2, b"END\r\n");
    client.from_client(packet::ACK | packet::FIN, b"");
    client.from_server(packet::ACK | packet::FIN, b"");
    host::set_ktime_ns(time::ktime_ns() + 2 * SECOND);
    refill(3, "a", "x");
    assert!(ask(4, b"get a\r\n").is_some());
}

#[test]
fn a_change_without_reply_ends_with_the_reply_to_a_later_one() {
    host::set_ktime_ns(SECOND);
    let mut client = Client::connect(50000);
    client.says(b"set b 0 0 1\r\nx\r\n");
    client.hears(b"STORED\r\n");
    client.says(b"set a 0 0 8 noreply\r\nx");
    client.says(b"y567890\r\nget z\r\n");
    refill(1, "a", "before");
    assert_eq!(ask(2, b"get a\r\n"), None, "it may not have been carried out yet");
    memcached_says(2, b"END\r\n");
    client.hears(b"END\r\n");
    refill(3, "a", "after");
    assert!(ask(4, b"get a\r\n").is_some());
    // An error is the answer to the one request there is.
    client.says(b"incr a 1\r\n");
    client.hears(b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n");
    refill(10, "a", "still");
    assert!(ask(11, b"get a\r\n").is_some());
    // An answer that is no more than an error may be the first one's: nothing is counted any more.
    client.says(b"set a 0 0 1 noreply\r\nxx\r\nget z\r\n");
    client.hears(b"CLIENT_ERROR bad data chunk\r\nEND\r\n");
    refill(5, "a", "?");
    assert_eq!(ask(6, b"get a\r\n"), None);
}

#[test]
fn changes_without_reply_leave_room_for_others() {
    host::set_ktime_ns(SECOND);
    let mut client = Client::connect(50000);
    for i in 0..100 {
        client.says(format!("set a{i} 0 0 1 noreply\r\nx\r\n").as_bytes());
    }
    client.says(b"set b 0 0 1\r\nx\r\n");
    refill(1, "b", "before");
    assert_eq!(ask(2, b"get b\r\n"), None);
    memcached_says(2, b"END\r\n");
    client.hears(b"STORED\r\n");
    refill(3, "b", "after");
    assert!(ask(4, b"get b\r\n").is_some());
}

#[test]
fn what_may_have_gone_by_unseen_is_forgotten() {
    host::set_ktime_ns(SECOND);
    fill(1, "a", "1");
    assert!(ask(2, b"get a\r\n").is_some());
    // The runtime does that when a program faults, is skipped, or is put in place.
    clock::GAPS.add();
    assert_eq!(ask(3, b"get a\r\n"), None);
    memcached_says(3, &text_of("a", "in the queue since before"));
    assert_eq!(ask(4, b"get a\r\n"), None, "a change may still be under way");
    memcached_says(4, b"END\r\n");
    host::set_ktime_ns(time::ktime_ns() + 2 * SECOND);
    refill(5, "a", "?");
    assert_eq!(ask(6, b"get a\r\n"), None, "it may have been given a time");
    memcached_says(6, b"END\r\n");
    fill(7, "a", "2");
    assert!(ask(8, b"get a\r\n").is_some());
}

#[test]
fn a_gap_between_question_and_answer_fills_nothing() {
    host::set_ktime_ns(SECOND);
    Client::connect(60000).sets("a");
    assert_eq!(ask(1, b"get a\r\n"), None);
    clock::GAPS.add();
    memcached_says(1, &text_of("a", "old"));
    assert_eq!(ask(2, b"get a\r\n"), None);
}

#[test]
fn a_server_that_goes_takes_the_cache_with_it() {
    host::set_ktime_ns(SECOND);
    for flags in [packet::FIN, packet::RST] {
        much_later();
        let mut client = Client::connect(50000);
        fill(1, "a", "1");
        client.from_server(packet::ACK | flags, b"");
        assert_eq!(ask(2, b"get a\r\n"), None);
        memcached_says(2, b"END\r\n");
    }
    much_later();
    let mut client = Client::connect(50000);
    fill(1, "a", "1");
    client.says(b"quit\r\n");
    client.from_server(packet::ACK | packet::FIN, b"");
    assert!(ask(2, b"get a\r\n").is_some(), "the client asked for it");
}

#[test]
fn expiry_is_honoured() {
    host::set_ktime_ns(1000 * SECOND);
    let mut client = Client::connect(50000);
    client.says(b"set a 0 100 1\r\nx\r\n");
    client.hears(b"STORED\r\n");
    refill(1, "a", "x");
    assert!(ask(2, b"get a\r\n").is_some());
    host::set_ktime_ns(1090 * SECOND);
    assert!(ask(2, b"get a\r\n").is_some());
    host::set_ktime_ns(1098 * SECOND);
    assert_eq!(ask(3, b"get a\r\n"), None);
    // Nor is it kept again as long as it may be about to go.
    memcached_says(3, &text_of("a", "x"));
    assert_eq!(ask(4, b"get a\r\n"), None);
    memcached_says(4, b"END\r\n");
    client.says(b"touch a 1000\r\n");
    client.hears(b"TOUCHED\r\n");
    refill(5, "a", "x");
    host::set_ktime_ns(2000 * SECOND);
    assert!(ask(6, b"get a\r\n").is_some());
    for time in [-1, 1, 2, 4_000_000, 1_900_000_000] {
        client.says(format!("set a 0 {time} 1\r\nx\r\n").as_bytes());
        client.hears(b"STORED\r\n");
        refill(7, "a", "x");
        assert_eq!(ask(8, b"get a\r\n"), None, "{time}");
        memcached_says(8, b"END\r\n");
    }
    client.sets("a");
    refill(9, "a", "x");
    assert!(ask(10, b"get a\r\n").is_some());
}

#[test]
fn an_item_of_unknown_expiry_is_not_kept() {
    host::set_ktime_ns(1000 * SECOND);
    refill(1, "a", "x");
    assert_eq!(ask(2, b"get a\r\n"), None);
    memcached_says(2, b"END\r\n");
    assert_eq!(counted(Count::Ageless), 1);
    let mut client = Client::connect(50000);
    // It may not be added, and stay what it was.
    client.says(b"add a 0 0 1\r\nx\r\n");
    client.hears(b"NOT_STORED\r\n");
    refill(3, "a", "x");
    assert_eq!(ask(4, b"get a\r\n"), None);
    memcached_says(4, b"END\r\n");
    // From a flush on, everything is seen.
    client.says(b"flush_all\r\n");
    client.hears(b"OK\r\n");
    much_later();
    client.says(b"add b 0 0 1\r\nx\r\n");
    client.hears(b"STORED\r\n");
    refill(5, "b", "x");
    assert!(ask(6, b"get b\r\n").is_some());
    refill(7, "c", "x");
    assert!(ask(8, b"get c\r\n").is_some());
}

#[test]
fn the_user_may_vouch_for_old_items() {
    host::set_param(&clock::NO_OLD_TTL, true);
    refill(1, "a", "x");
    assert!(ask(2, b"get a\r\n").is_some());
}

#[test]
fn a_delayed_flush_is_honoured() {
    host::set_ktime_ns(1000 * SECOND);
    let mut client = Client::connect(50000);
    fill(1, "a", "x");
    client.says(b"flush_all 100\r\n");
    client.hears(b"OK\r\n");
    assert!(ask(2, b"get a\r\n").is_some());
    for at in [1098, 1099, 1100, 1101] {
        host::set_ktime_ns(at * SECOND);
        refill(3, "a", "x");
        assert_eq!(ask(4, b"get a\r\n"), None, "{at}");
        memcached_says(4, b"END\r\n");
    }
    host::set_ktime_ns(1110 * SECOND);
    assert_eq!(ask(5, b"get a\r\n"), None);
    memcached_says(5, b"END\r\n");
    client.sets("a");
    refill(6, "a", "x");
    assert!(ask(7, b"get a\r\n").is_some());
}

#[test]
fn changes_are_seen_in_every_shape() {
    let tcp = packet::Tcp { seq: 1, ack: 0, flags: packet::ACK };
    let set = segment_bytes((CLIENT, 50000), (SERVER, 11211), tcp, b"set a 0 0 1\r\nx\r\n");
    let tagged = [&set[..12], &[0x81, 0, 0, 7], &set[12..]].concat();
    let v6 = segment_bytes((CLIENT6, 50000), (SERVER6, 11211), tcp, b"set a 0 0 1\r\nx\r\n");
    let mut extended = v6.clone();
    extended.splice(54..54, [6, 0, 1, 4, 0, 0, 0, 0]);
    extended[20] = 60;
    extended[19] += 8;
    let mut fragment = set.clone();
    fragment[20] = 0x20;
    for change in [tagged, v6, extended, fragment] {
        much_later();
        fill(1, "a", "1");
        passes(Packet::new(&change));
        assert_eq!(ask(2, b"get a\r\n"), None, "{change:?}");
        memcached_says(2, b"END\r\n");
    }
}
