// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! A client that wants others to be served what is no longer so. Each of these holds a reply
//! back, as a thread of memcached that is not running does, until the item has changed and the number of its
//! request is another's.

use super::*;

/// The item changes, then it is asked for under number 1, and the old value is let go as the answer.
fn stale_reply_comes_late(client: &mut Client) {
    client.sets("b");
    assert_eq!(ask(1, b"get b\r\n"), None);
    memcached_says(1, &text_of("b", "old"));
    assert_eq!(ask(2, b"get b\r\n"), None, "a value from before the change");
    memcached_says(2, b"END\r\n");
}

/// The value that is there now may still be taken over.
fn is_served_again() {
    host::set_ktime_ns(time::ktime_ns() + 2 * clock::LATE);
    let text = fill(3, "b", "new");
    assert_eq!(ask(4, b"get b\r\n"), Some(text));
}

#[test]
fn an_end_in_the_data_is_none() {
    host::set_ktime_ns(SECOND);
    let mut client = Client::connect(50000);
    let headed = |seq: u8, of: u8, text: &[u8]| [&[0, 1, 0, seq, 0, of, 0, 0], text].concat();
    for first in [
        &[headed(0, 1, b"VALUE a 3 3\r\nEND\r\n")][..],
        // One that is kept, and one that is too long for that.
        &[headed(0, 2, b"VALUE a 3 7\r\nxx"), headed(1, 2, b"\r\nEND\r\n")],
        &[
            headed(0, 2, b"VALUE a 3 2003\r\n"),
            headed(1, 2, &[&[b'x'; 2000][..], b"END\r\n"].concat()),
        ],
    ] {
        client.sets("a");
        client.sets("b");
        assert_eq!(ask(1, b"get a b\r\n"), None);
        for payload in first {
            let to = (CLIENT, CLIENT_PORT);
            let bytes = datagram(&Shape::default(), (SERVER, 11211), to, payload);
            leaves(Packet::new(&bytes).linear(42));
        }
        stale_reply_comes_late(&mut client);
        is_served_again();
    }
}

#[test]
fn several_datagrams_of_an_item_end_a_reply() {
    let mut client = Client::connect(50000);
    client.sets("b");
    let first = b"VALUE long 0 20\r\n0123456789";
    for (request, parts) in [
        (&b"get long\r\n"[..], [&first[..], b"0123456789\r\nEND\r\n"]),
        (b"get none long\r\n", [first, b"0123456789\r\nEND\r\n"]),
        // The end itself is cut.
        (b"get none long\r\n", [b"VALUE long 0 2\r\n01\r\nEN", b"D\r\n"]),
    ] {
        assert_eq!(ask(1, request), None);
        for (i, part) in parts.into_iter().enumerate() {
            let payload = [&[0, 1, 0, i as u8, 0, 2, 0, 0], part].concat();
            let to = (CLIENT, CLIENT_PORT);
            let bytes = datagram(&Shape::default(), (SERVER, 11211), to, &payload);
            leaves(Packet::new(&bytes).linear(42));
        }
        let text = refill(1, "b", "x");
        assert_eq!(ask(1, b"get b\r\n"), Some(text), "{}", request.escape_ascii());
        client.sets("b");
    }
}

#[test]
fn requests_that_are_not_served_count_too() {
    host::set_ktime_ns(SECOND);
    let mut client = Client::connect(50000);
    let many = [b"get".to_vec(), b" b".repeat(get::MAX_KEYS + 1), b"\r\n".to_vec()].concat();
    let of = |payload: &[u8]| {
        datagram(&Shape::default(), (CLIENT, CLIENT_PORT), (SERVER, 11211), payload)
    };
    let mut reserved = message(1, b"get b\r\n");
    reserved[7] = 1;
    let mut sequence = message(1, b"get b\r\n");
    sequence[3] = 1;
    let routed = Shape { options: vec![131, 7, 4, 0, 0, 0, 0, 0], ..Shape::default() };
    let from = (CLIENT, CLIENT_PORT);
    for request in [
        of(&message(1, b"get a\r\nget b\r\n")),
        of(&message(1, b"version\r\nget b\r\n")),
        of(&message(1, b" get b\r\n")),
        of(&message(1, b"get b\n")),
        of(&message(1, &many)),
        of(&reserved),
        of(&sequence),
        datagram(&routed, from, (SERVER, 11211), &message(1, b"get b\r\n")),
    ] {
        client.sets("b");
        passes(Packet::new(&request));
        stale_reply_comes_late(&mut client);
        is_served_again();
    }
    // The end of the reply to something else is not that of a `get`'s.
    client.sets("b");
    assert_eq!(ask(1, b"get b\r\n"), None);
    passes(Packet::new(&of(&message(1, b"gets nothing\r\n"))));
    memcached_says(1, b"END\r\n");
    stale_reply_comes_late(&mut client);
    is_served_again();
}

#[test]
fn a_change_in_fragments_is_seen() {
    host::set_ktime_ns(SECOND);
    let whole = datagram(
        &Shape::default(),
        (CLIENT, CLIENT_PORT),
        (SERVER, 11211),
        &message(1, b"get a\r\nset b 0 0 1\r\nx\r\n"),
    );
    // In the first: the UDP header, that of the frame, a part of it, a request that is none of a change.
    for end in [42, 50, 54, 57] {
        fill(1, "b", "old");
        assert!(ask(2, b"get b\r\n").is_some());
        let mut first = whole[..end].to_vec();
        first[16..18].copy_from_slice(&((end - 14) as u16).to_be_bytes());
        first[20] = 0x20;
        first[24..26].fill(0);
        let sum = Sum::new().bytes(&first[14..34]).finish();
        first[24..26].copy_from_slice(&sum.to_be_bytes());
        passes(Packet::new(&first));
        assert_eq!(ask(3, b"get b\r\n"), None, "{end} bytes in the first");
        memcached_says(3, b"END\r\n");
        is_served_again();
    }
}

#[test]
fn what_nobody_asked_for_fills_nothing() {
    let mut client = Client::connect(50000);
    client.sets("b");
    assert_eq!(ask(1, b"get b\r\n"), None);
    // From memcached's port, to another client, another port, or under another number.
    let other = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));
    for (to, id) in
        [((other, CLIENT_PORT), 1), ((CLIENT, CLIENT_PORT + 1), 1), ((CLIENT, CLIENT_PORT), 2)]
    {
        let payload = message(id, &text_of("b", "forged"));
        leaves(Packet::new(&datagram(&Shape::default(), (SERVER, 11211), to, &payload)).linear(42));
    }
    // The right client and number, from a port that is not memcached's.
    let payload = message(1, &text_of("b", "forged"));
    let to = (CLIENT, CLIENT_PORT);
    leaves(Packet::new(&datagram(&Shape::default(), (SERVER, 11212), to, &payload)).linear(42));
    assert_eq!(ask(3, b"get b\r\n"), None);
    memcached_says(1, &text_of("b", "true"));
    assert_eq!(ask(4, b"get b\r\n"), Some(text_of("b", "true")));
}
