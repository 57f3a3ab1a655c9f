// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! memcached's protocols, as far as the cache must understand them: ASCII `get`
//! requests, the replies to them, and every request that changes an item.
//!
//! Nothing here panics, and nothing loops longer than its input.
//! Source: memcached's `doc/protocol.txt` and `doc/protocol-binary.txt`.

/// Longest key in bytes (`KEY_MAX_LENGTH`).
pub const MAX_KEY: usize = 250;

/// Most keys of one multi-get that is served; a longer one is memcached's.
pub const MAX_KEYS: usize = 32;

/// Bytes of the header of every UDP datagram: request id, sequence number,
/// number of datagrams, reserved; big-endian 16 bits each.
pub const UDP_HEADER: usize = 8;

/// The UDP frame header of a datagram that is a whole message.
///
/// `None` if the datagram is one of several, or too short.
pub fn single_datagram(payload: &[u8]) -> Option<(u16, &[u8])> {
    let (header, body) = payload.split_at_checked(UDP_HEADER)?;
    match header {
        [a, b, 0, 0, 0, 1, 0, 0] => Some((u16::from_be_bytes([*a, *b]), body)),
        _ => None,
    }
}

fn is_key(key: &[u8]) -> bool {
    !key.is_empty() && key.len() <= MAX_KEY && key.iter().all(|&b| b > b' ' && b != 0x7f)
}

/// The keys of a `get`, in order.
#[derive(Clone)]
pub struct Keys<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Keys<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = skip_spaces(self.rest);
        if rest.is_empty() {
            return None;
        }
        let end = rest.iter().position(|&b| b == b' ').unwrap_or(rest.len());
        let (key, rest) = rest.split_at_checked(end)?;
        self.rest = rest;
        Some(key)
    }
}

fn skip_spaces(mut bytes: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// Parses a message that is one whole `get` and nothing else.
///
/// `None` for anything that memcached should see instead: other commands, odd
/// keys, more than [`MAX_KEYS`], bytes after the line.
pub fn parse_get(message: &[u8]) -> Option<Keys<'_>> {
    let line = message.strip_prefix(b"get ")?.strip_suffix(b"\r\n")?;
    let keys = Keys { rest: line };
    let mut count = 0;
    for key in keys.clone() {
        count += 1;
        if count > MAX_KEYS || !is_key(key) {
            return None;
        }
    }
    if count == 0 { None } else { Some(keys) }
}

/// One `VALUE` of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    /// The item's key.
    pub key: &'a [u8],
    /// `VALUE <key> <flags> <bytes>\r\n<data>\r\n`, as it stands in a reply.
    pub text: &'a [u8],
}

/// Splits the first `VALUE` off a reply. `None` if what follows is not a whole
/// one, or carries a `cas` (a reply to `gets`, which a `get` must not receive).
pub fn split_value(reply: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let line_len = find_crlf(reply)?;
    let line = reply.get(..line_len)?.strip_prefix(b"VALUE ")?;
    let mut words = line.split(|&b| b == b' ');
    let key = words.next()?;
    let _flags: u32 = parse_u32(words.next()?)?;
    let bytes = parse_u32(words.next()?)? as usize;
    if words.next().is_some() || !is_key(key) {
        return None;
    }
    let total = line_len.checked_add(2)?.checked_add(bytes)?.checked_add(2)?;
    let (text, rest) = reply.split_at_checked(total)?;
    if !text.ends_with(b"\r\n") {
        return None;
    }
    Some((Value { key, text }, rest))
}

/// Whether `text` (see [`Value::text`]) is of this key.
pub fn text_is_of(text: &[u8], key: &[u8]) -> bool {
    match text.strip_prefix(b"VALUE ") {
        Some(rest) => match rest.split_at_checked(key.len()) {
            Some((stored, after)) => stored == key && after.first() == Some(&b' '),
            None => false,
        },
        None => false,
    }
}

fn find_crlf(bytes: &[u8]) -> Option<usize> {
    let end = bytes.iter().position(|&b| b == b'\n')?;
    let line = end.checked_sub(1)?;
    (bytes.get(line) == Some(&b'\r')).then_some(line)
}

fn parse_u32(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    let mut n: u32 = 0;
    for &d in digits {
        if !d.is_ascii_digit() {
            return None;
        }
        n = n.checked_mul(10)?.checked_add(u32::from(d - b'0'))?;
    }
    Some(n)
}

/// What a request may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// The item of this key.
    Key(&'a [u8]),
    /// Anything: a `flush_all`, or a request that this segment shows in part.
    All,
}

/// ASCII commands that change an item, each followed by its key. `gat`, `gats`
/// and `mg` touch; the meta commands' two letters stand here too.
const COMMANDS: [&[u8]; 16] = [
    b"set ",
    b"add ",
    b"replace ",
    b"append ",
    b"prepend ",
    b"cas ",
    b"incr ",
    b"decr ",
    b"delete ",
    b"touch ",
    b"gat ",
    b"gats ",
    b"ms ",
    b"md ",
    b"ma ",
    b"mg ",
];

const FLUSH: &[u8] = b"flush_all";

/// Reports every change that a stretch of a request stream may make.
///
/// The stretch may start and end anywhere in the stream. A command is looked
/// for at every start of a line and at the start of the stretch; data that
/// looks like one costs a needless invalidation and nothing else. A command
/// whose key does not end in this stretch is reported as [`Change::All`].
pub fn changes(stream: &[u8], mut report: impl FnMut(Change<'_>)) {
    if stream.first() == Some(&0x80) {
        binary_changes(stream, &mut report);
    }
    let mut rest = stream;
    loop {
        line_change(rest, &mut report);
        match rest.iter().position(|&b| b == b'\n') {
            Some(end) => rest = rest.get(end + 1..).unwrap_or(&[]),
            None => return,
        }
        if rest.is_empty() {
            return;
        }
    }
}

fn line_change(line: &[u8], report: &mut impl FnMut(Change<'_>)) {
    if line.starts_with(FLUSH) || is_cut(line, FLUSH) {
        return report(Change::All);
    }
    // `gat` and `gats` take an expiry before their keys, and several keys.
    for command in COMMANDS {
        if is_cut(line, command) {
            return report(Change::All);
        }
        let Some(after) = line.strip_prefix(command) else {
            continue;
        };
        if command == b"gat " || command == b"gats " {
            return report(Change::All);
        }
        let key = skip_spaces(after);
        return match key.iter().position(|&b| b <= b' ') {
            Some(end) => report(Change::Key(key.get(..end).unwrap_or(&[]))),
            None => report(Change::All),
        };
    }
}

/// Whether the line stops inside the word, so that the next stretch may go on
/// with the rest of it.
fn is_cut(line: &[u8], word: &[u8]) -> bool {
    !line.is_empty() && line.len() < word.len() && word.starts_with(line)
}

const BINARY_HEADER: usize = 24;

fn binary_changes(stream: &[u8], report: &mut impl FnMut(Change<'_>)) {
    let mut rest = stream;
    while let Some((header, after)) = rest.split_at_checked(BINARY_HEADER) {
        let [0x80, opcode, k1, k0, extras, _, _, _, b3, b2, b1, b0, ..] = *header else {
            return report(Change::All);
        };
        let key_len = usize::from(u16::from_be_bytes([k1, k0]));
        let body_len = u32::from_be_bytes([b3, b2, b1, b0]) as usize;
        if changes_an_item(opcode) {
            let start = usize::from(extras);
            match after.get(start..start.saturating_add(key_len)) {
                Some(key) if !key.is_empty() => report(Change::Key(key)),
                _ => report(Change::All),
            }
        }
        match after.get(body_len..) {
            Some(next) => rest = next,
            // The value goes on in the next stretch, which then starts inside
            // it: a request behind the value would not be seen for what it is.
            None => return report(Change::All),
        }
    }
    if !rest.is_empty() {
        report(Change::All);
    }
}

fn changes_an_item(opcode: u8) -> bool {
    // get, quit, noop, version, getk, stat and their quiet forms change nothing.
    !matches!(opcode, 0x00 | 0x07 | 0x09..=0x0d | 0x10 | 0x17)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(message: &[u8]) -> Option<Vec<&[u8]>> {
        parse_get(message).map(|k| k.collect())
    }

    #[test]
    fn get_takes_whole_lines_only() {
        assert_eq!(keys(b"get a\r\n"), Some(vec![&b"a"[..]]));
        assert_eq!(keys(b"get a  bc d\r\n"), Some(vec![&b"a"[..], b"bc", b"d"]));
        assert_eq!(keys(b"get a \r\n"), Some(vec![&b"a"[..]]));
        for refused in [
            &b""[..],
            b"get",
            b"get ",
            b"get \r\n",
            b"get a",
            b"get a\n",
            b"gets a\r\n",
            b"get a\r\nget b\r\n",
            b"get a\tb\r\n",
            b"GET a\r\n",
            b"get a\0\r\n",
        ] {
            assert_eq!(keys(refused), None, "{refused:?}");
        }
    }

    #[test]
    fn get_keys_are_bounded() {
        let longest = [b"get ", &[b'k'; MAX_KEY][..], b"\r\n"].concat();
        assert!(parse_get(&longest).is_some());
        let too_long = [b"get ", &[b'k'; MAX_KEY + 1][..], b"\r\n"].concat();
        assert!(parse_get(&too_long).is_none());
        let many = [b"get".to_vec(), b" k".repeat(MAX_KEYS), b"\r\n".to_vec()].concat();
        assert_eq!(keys(&many).map(|k| k.len()), Some(MAX_KEYS));
        let too_many = [b"get".to_vec(), b" k".repeat(MAX_KEYS + 1), b"\r\n".to_vec()].concat();
        assert!(parse_get(&too_many).is_none());
    }

    #[test]
    fn values_split() {
        let reply = b"VALUE a 7 3\r\nx\r\n\r\nVALUE b 0 0\r\n\r\nEND\r\n";
        let (a, rest) = split_value(reply).unwrap();
        assert_eq!(a, Value { key: b"a", text: b"VALUE a 7 3\r\nx\r\n\r\n" });
        let (b, rest) = split_value(rest).unwrap();
        assert_eq!(b, Value { key: b"b", text: b"VALUE b 0 0\r\n\r\n" });
        assert_eq!(rest, b"END\r\n");
        for refused in [
            &b"END\r\n"[..],
            b"VALUE a 7 3 99\r\nxyz\r\n",
            b"VALUE a 7 4\r\nxyz\r\n",
            b"VALUE a 7\r\n\r\n",
            b"VALUE a 7 99999999999\r\n",
            b"VALUE a -1 1\r\nx\r\n",
            b"VALUE a 0 4294967295\r\nx\r\n",
            b"\n",
            b"",
        ] {
            assert_eq!(split_value(refused), None, "{refused:?}");
        }
    }

    #[test]
    fn text_belongs_to_its_key_only() {
        assert!(text_is_of(b"VALUE ab 0 0\r\n\r\n", b"ab"));
        assert!(!text_is_of(b"VALUE ab 0 0\r\n\r\n", b"a"));
        assert!(!text_is_of(b"VALUE ab 0 0\r\n\r\n", b"abc"));
        assert!(!text_is_of(b"", b"a"));
    }

    #[test]
    fn datagrams_of_several_are_refused() {
        assert_eq!(single_datagram(&[1, 2, 0, 0, 0, 1, 0, 0, 9]), Some((0x102, &[9][..])));
        assert_eq!(single_datagram(&[1, 2, 0, 0, 0, 2, 0, 0, 9]), None);
        assert_eq!(single_datagram(&[1, 2, 0, 1, 0, 1, 0, 0, 9]), None);
        assert_eq!(single_datagram(&[1, 2, 0, 0, 0, 1, 0]), None);
    }

    fn reported(stream: &[u8]) -> Vec<String> {
        let mut out = Vec::new();
        changes(stream, |c| {
            out.push(match c {
                Change::All => "*".to_string(),
                Change::Key(k) => String::from_utf8_lossy(k).into_owned(),
            })
        });
        out
    }

    #[test]
    fn ascii_changes() {
        assert_eq!(reported(b"set a 0 0 1\r\nx\r\n"), ["a"]);
        assert_eq!(reported(b"get a\r\nset b 0 0 1\r\nx\r\ndelete c\r\n"), ["b", "c"]);
        assert_eq!(reported(b"incr n 1\r\nms m 2\r\nhi\r\nmd d\r\n"), ["n", "m", "d"]);
        assert_eq!(reported(b"gat 10 a b\r\n"), ["*"]);
        assert_eq!(reported(b"flush_all\r\n"), ["*"]);
        assert_eq!(reported(b"get a\r\nversion\r\n"), [] as [&str; 0]);
        assert_eq!(reported(b""), [] as [&str; 0]);
    }

    #[test]
    fn a_request_cut_anywhere_is_never_missed() {
        let stream = b"set key 0 0 1\r\n";
        for cut in 1..stream.len() {
            let (first, second) = stream.split_at(cut);
            let all = [reported(first), reported(second)].concat();
            assert!(all.iter().any(|c| c == "*" || c == "key"), "cut at {cut}: {all:?}");
        }
    }

    #[test]
    fn binary_changes_are_seen() {
        let mut set = vec![0u8; 24 + 8 + 3 + 2];
        set[0] = 0x80;
        set[1] = 0x01;
        set[3] = 3;
        set[4] = 8;
        set[11] = 8 + 3 + 2;
        set[32..35].copy_from_slice(b"key");
        assert_eq!(reported(&set), ["key"]);
        assert_eq!(reported(&[&set[..], &set[..]].concat()), ["key", "key"]);
        assert!(reported(&set[..36]).contains(&"*".to_string()));
        assert!(reported(&set[..10]).contains(&"*".to_string()));
        let mut get = vec![0u8; 24 + 3];
        get[0] = 0x80;
        get[3] = 3;
        get[11] = 3;
        assert_eq!(reported(&get), [] as [&str; 0]);
    }
}
