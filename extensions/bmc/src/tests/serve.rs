// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! What is answered, and how.

use super::*;

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
    let mut client = Client::connect(50000);
    for n in [0, 1, 100, 1000, cache::MAX_TEXT - 30] {
        client.sets("k");
        let text = refill(1, "k", &"x".repeat(n));
        assert_eq!(ask(2, b"get k\r\n"), Some(text), "{n} bytes");
    }
    client.sets("k");
    refill(1, "k", &"x".repeat(cache::MAX_TEXT));
    assert_eq!(ask(2, b"get k\r\n"), None);
}

#[test]
fn every_key_length_is_served() {
    for len in 1..=proto::MAX_KEY {
        let key = "k".repeat(len);
        let text = fill(1, &key, "v");
        assert_eq!(ask(2, format!("get {key}\r\n").as_bytes()), Some(text), "{len}");
        let other = "k".repeat(len - 1) + "l";
        assert_eq!(ask(3, format!("get {other}\r\n").as_bytes()), None, "{len}");
    }
}

#[test]
fn every_shape_of_packet_is_served() {
    let text = fill(1, "a", "hello");
    let options = |bytes: &[u8]| Shape { options: bytes.to_vec(), ..Shape::default() };
    for (shape, served) in [
        (Shape { tags: 1, ..Shape::default() }, true),
        (Shape { tags: 2, ..Shape::default() }, true),
        (Shape { tags: 3, ..Shape::default() }, false),
        (options(&[1, 1, 1, 0]), true),
        (options(&[148, 4, 0, 0]), true),
        (options(&[7, 7, 4, 0, 0, 0, 0, 0]), true),
        (options(&[131, 7, 4, 0, 0, 0, 0, 0]), false),
        (options(&[7, 1, 4, 0]), false),
        (options(&[7, 99, 4, 0]), false),
    ] {
        let want = served.then(|| text.clone());
        assert_eq!(ask_in(&shape, CLIENT, SERVER, 2, b"get a\r\n"), want, "{shape:?}");
    }
    for tags in 0..3 {
        let shape = Shape { tags, ..Shape::default() };
        assert_eq!(
            ask_in(&shape, CLIENT6, SERVER6, 2, b"get a\r\n"),
            Some(text.clone()),
            "{shape:?}"
        );
    }
}

#[test]
fn a_damaged_header_is_left_to_the_stack() {
    fill(1, "a", "hello");
    let good = request(2, b"get a\r\n").bytes().to_vec();
    for at in 14..34 {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        passes(Packet::new(&bad));
    }
    assert!(ask(3, b"get a\r\n").is_some());
}

#[test]
fn ipv6_replies_fill() {
    Client::connect(50000).sets("a");
    assert_eq!(ask_in(&Shape::default(), CLIENT6, SERVER6, 5, b"get a\r\n"), None);
    let text = text_of("a", "six");
    let bytes =
        datagram(&Shape::default(), (SERVER6, 11211), (CLIENT6, CLIENT_PORT), &message(5, &text));
    leaves(Packet::new(&bytes).linear(62));
    assert_eq!(ask(6, b"get a\r\n"), Some(text));
}

#[test]
fn only_the_asked_answer_fills() {
    Client::connect(50000).sets("a");
    memcached_says(1, &text_of("a", "x"));
    assert_eq!(ask(2, b"get a\r\n"), None);
    memcached_says(3, &text_of("a", "x"));
    assert_eq!(ask(4, b"get a\r\n"), None);
    memcached_says(4, b"VALUE a 0 1 77\r\nx\r\nEND\r\n");
    assert_eq!(ask(5, b"get a\r\n"), None, "a reply to gets");
    memcached_says(5, &text_of("b", "x"));
    assert_eq!(ask(6, b"get a\r\n"), None, "another key");
    memcached_says(6, &text_of("a", "x"));
    assert!(ask(7, b"get a\r\n").is_some());
}

#[test]
fn a_number_used_twice_fills_nothing() {
    let mut client = Client::connect(50000);
    client.sets("a");
    assert_eq!(ask(1, b"get a\r\n"), None);
    assert_eq!(ask(1, b"get a\r\n"), None);
    memcached_says(1, &text_of("a", "1"));
    assert_eq!(ask(2, b"get a\r\n"), None);
    // The second reply is still out: asking again under its number does not help.
    assert_eq!(ask(1, b"get a\r\n"), None);
    memcached_says(1, &text_of("a", "1"));
    assert_eq!(ask(3, b"get a\r\n"), None);
    memcached_says(3, &text_of("a", "1"));
    assert!(ask(4, b"get a\r\n").is_some());
}

#[test]
fn a_number_is_free_again_once_it_is_answered() {
    let mut client = Client::connect(50000);
    for i in 0..20 {
        client.sets("a");
        let text = refill(1, "a", &i.to_string());
        assert_eq!(ask(1, b"get a\r\n"), Some(text));
    }
    // A miss is an answer too.
    assert_eq!(ask(1, b"get b\r\n"), None);
    memcached_says(1, b"END\r\n");
    client.sets("b");
    refill(1, "b", "1");
    assert!(ask(1, b"get b\r\n").is_some());
}

#[test]
fn more_requests_than_are_noted_fill_nothing_wrong() {
    host::set_ktime_ns(100 * SECOND);
    let mut client = Client::connect(50000);
    client.sets("a");
    for id in 0..u16::MAX {
        assert_eq!(ask(id, b"get a\r\n"), None);
    }
    // Some of these were not noted, so the first of a number cannot be told from the second.
    for id in 0..u16::MAX {
        assert_eq!(ask(id, b"get a\r\n"), None);
    }
    client.sets("a");
    for id in 0..u16::MAX {
        memcached_says(id, &text_of("a", "old"));
    }
    assert_eq!(ask(1, b"get a\r\n"), None);
    host::set_ktime_ns(200 * SECOND);
    refill(2, "a", "new");
    assert!(ask(3, b"get a\r\n").is_some());
}

#[test]
fn multi_get_is_whole_or_not_ours() {
    let mut client = Client::connect(50000);
    client.sets("a");
    client.sets("b");
    refill(1, "a", "1");
    assert_eq!(ask(2, b"get a b\r\n"), None);
    // memcached puts each value into a datagram of its own.
    memcached_says(2, b"VALUE a 3 1\r\n1\r\n");
    memcached_says(2, b"VALUE b 3 1\r\n2\r\nEND\r\n");
    let both = b"VALUE b 3 1\r\n2\r\nVALUE a 3 1\r\n1\r\nEND\r\n".to_vec();
    assert_eq!(ask(3, b"get b a\r\n"), Some(both.clone()));
    assert_eq!(ask(3, b"get  b  a \r\n"), Some(both));
    assert_eq!(counted(Count::Hits), 2);
}

#[test]
fn multi_get_that_is_too_long_goes_to_memcached() {
    let value = "x".repeat(800);
    fill(1, "a", &value);
    fill(2, "b", &value);
    assert_eq!(ask(3, b"get a b\r\n"), None);
    assert!(ask(4, b"get a\r\n").is_some());
}

/// As packets from a veth pair are.
#[test]
fn a_reply_finds_room_in_front() {
    let text = fill(1, "key", "value");
    let grows = text.len() - b"get key\r\n".len();
    for (tailroom, options) in [(0, 0), (grows - 1, 0), (grows, 0), (0, 8)] {
        let shape = Shape { options: vec![1; options], ..Shape::default() };
        let bytes =
            datagram(&shape, (CLIENT, CLIENT_PORT), (SERVER, 11211), &message(7, b"get key\r\n"));
        let mut packet = Packet::new(&bytes).tailroom(tailroom);
        assert_eq!(packet.xdp(rx), XdpAction::Tx, "{tailroom} bytes of room, {options} of options");
        let want =
            datagram(&Shape::default(), (SERVER, 11211), (CLIENT, CLIENT_PORT), &message(7, &text));
        assert_eq!(packet.bytes()[34..], want[34..]);
    }
    // Neither behind nor in front.
    fill(2, "long", &"x".repeat(2 * host::HEADROOM));
    let bytes = datagram(
        &Shape::default(),
        (CLIENT, CLIENT_PORT),
        (SERVER, 11211),
        &message(7, b"get long\r\n"),
    );
    let mut packet = Packet::new(&bytes).tailroom(0);
    assert_eq!(packet.xdp(rx), XdpAction::Pass);
    assert_eq!(packet.bytes(), bytes);
    assert_eq!(counted(Count::NoRoom), 1);
}

#[test]
fn a_full_set_gives_up_its_least_used_key() {
    let set = cache::set_of(key_hash(b"a").unwrap());
    let same: Vec<String> = (0..)
        .map(|i: u32| format!("k{i}"))
        .filter(|k| cache::set_of(key_hash(k.as_bytes()).unwrap()) == set)
        .take(cache::WAYS + 1)
        .collect();
    let hit = |key: &String| ask(100, format!("get {key}\r\n").as_bytes()).is_some();
    for key in &same[..cache::WAYS] {
        fill(1, key, key);
    }
    assert!(hit(&same[0]), "used again, so no longer the least used");
    fill(2, &same[cache::WAYS], "new");
    for (i, key) in same.iter().enumerate() {
        assert_eq!(hit(key), i != 1, "key {i}");
    }
}

#[test]
fn any_number_of_sets_will_do() {
    for sets in [1, 3, 1000, 4096] {
        host::set_param(&cache::SETS, sets);
        let mut used = vec![false; sets as usize];
        for i in 0..20 * sets {
            used[cache::set_of(key_hash(format!("k{i}").as_bytes()).unwrap()) as usize] = true;
        }
        assert!(used.iter().all(|&u| u), "{sets} sets");
        fill(1, &format!("of{sets}"), "x");
        assert!(ask(2, format!("get of{sets}\r\n").as_bytes()).is_some());
    }
}

#[test]
fn other_traffic_is_left_alone() {
    for text in [&b"version\r\n"[..], b"get", b"gets a\r\n", b"", b"get a\r\nget b\r\n"] {
        assert_eq!(ask(1, text), None);
    }
    let mut several = request(1, b"get a\r\n").bytes().to_vec();
    several[47] = 2;
    passes(Packet::new(&several));
    fill(1, "a", "1");
    let mut elsewhere = request(1, b"get a\r\n").bytes().to_vec();
    elsewhere[37] ^= 1;
    passes(Packet::new(&elsewhere));
}

#[test]
fn the_port_is_a_parameter() {
    host::set_param(&PORT, 11212);
    Client::connect(50000).sets("a");
    refill(1, "a", "x");
    assert_eq!(counted(Count::Misses) + counted(Count::Fills) + counted(Count::Changes), 0);
    host::set_param(&PORT, 11211);
    fill(3, "a", "1");
    assert_eq!(counted(Count::Fills), 1);
}
