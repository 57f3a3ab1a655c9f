// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! ASCII `get` over UDP: the requests that are served, and the replies that fill.

use super::words::Words;
use super::{MAX_KEY, parse_u32};

/// Most keys of one multi-get that is served; a longer one is memcached's.
pub const MAX_KEYS: usize = 32;

/// Bytes of the header of every UDP datagram: request id, sequence number,
/// number of datagrams, reserved; big-endian 16 bits each.
pub const UDP_HEADER: usize = 8;

/// What ends the values of a reply.
pub const END: &[u8; 5] = b"END\r\n";

/// The UDP frame header of a datagram that is a whole message.
///
/// `None` if the datagram is one of several, or too short.
#[inline(always)]
pub fn single_datagram(payload: &[u8]) -> Option<(u16, &[u8])> {
    let (header, body) = payload.split_first_chunk::<UDP_HEADER>()?;
    match header {
        [a, b, 0, 0, 0, 1, 0, 0] => Some((u16::from_be_bytes([*a, *b]), body)),
        _ => None,
    }
}

/// One of the datagrams of a reply of which an item takes several: its request id, its number, and how many they are.
pub fn part(payload: &[u8]) -> Option<(u16, (u16, u16))> {
    let [id0, id1, n0, n1, of0, of1, _, _] = *payload.first_chunk::<UDP_HEADER>()?;
    let (n, of) = (u16::from_be_bytes([n0, n1]), u16::from_be_bytes([of0, of1]));
    (of > 1 && n < of).then_some((u16::from_be_bytes([id0, id1]), (n, of)))
}

/// Length of the text of an item that begins here, see [`Value::text`].
pub fn item_length(body: &[u8]) -> Option<usize> {
    let end = body.iter().position(|&b| b == b'\n')?;
    let line = body.get(..end)?.strip_suffix(b"\r")?.strip_prefix(VALUE)?;
    let bytes = parse_u32(line.split(|&b| b == b' ').nth(2)?)? as usize;
    end.checked_add(3)?.checked_add(bytes)
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const FACTOR: u64 = 0xd6e8_feb8_6659_fd93;

#[inline(always)]
const fn mix(a: u64, b: u64) -> u64 {
    let wide = (a as u128) * (b as u128);
    (wide as u64) ^ ((wide >> 64) as u64)
}

/// The bits of bytes below 0x21, some of them at least if there is any.
#[inline(always)]
const fn below_printable(word: u64) -> u64 {
    word.wrapping_sub(0x2121_2121_2121_2121) & !word & 0x8080_8080_8080_8080
}

/// Hash of a key, `None` if it is no key: empty, too long, or with a byte that
/// separates keys (or another control character, which is left to memcached).
///
/// Multiplied and folded, eight bytes at a time. Keys that a client chooses to
/// have one hash cost it hits for its own keys, and nothing else.
#[inline(always)]
pub fn key_hash(key: &[u8]) -> Option<u64> {
    if key.is_empty() || key.len() > MAX_KEY {
        return None;
    }
    let mut odd = 0;
    let mut hash = SEED ^ key.len() as u64;
    let (words, rest) = key.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        odd |= below_printable(word);
        hash = mix(hash ^ word, FACTOR);
    }
    if let Some(last) = key.last_chunk::<8>() {
        // Overlaps what is hashed already.
        let last = u64::from_le_bytes(*last);
        odd |= below_printable(last);
        hash = mix(hash ^ last, FACTOR);
    } else {
        let mut last: u64 = 0;
        for &b in rest {
            odd |= below_printable(u64::from(b) | 0x4040_4040_4040_4000);
            last = last << 8 | u64::from(b);
        }
        hash = mix(hash ^ last, FACTOR);
    }
    (odd == 0).then_some(hash ^ hash >> 32)
}

/// What stands between `get ` and the end of the line, if the message is that and nothing more.
#[inline(always)]
pub fn get_line(message: &[u8]) -> Option<&[u8]> {
    let (command, rest) = message.split_first_chunk::<4>()?;
    let (line, end) = rest.split_last_chunk::<2>()?;
    (command == b"get " && end == b"\r\n").then_some(line)
}

/// The keys of a line. `None` for what memcached should see instead: odd keys, more than [`MAX_KEYS`].
pub fn keys(line: &[u8]) -> Option<Words<'_>> {
    let keys = Words { rest: line };
    let mut count = 0;
    for key in keys.clone() {
        count += 1;
        if count > MAX_KEYS {
            return None;
        }
        key_hash(key)?;
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
    /// Bytes of data.
    pub bytes: usize,
}

/// What a reply's text of an item begins with.
pub const VALUE: &[u8; 6] = b"VALUE ";

/// Splits the first `VALUE` off a reply. `None` if what follows is not a whole
/// one, or carries a `cas` (a reply to `gets`, which a `get` must not receive).
pub fn split_value(reply: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let end = reply.iter().position(|&b| b == b'\n')?;
    let line = reply.get(..end)?.strip_suffix(b"\r")?.strip_prefix(VALUE)?;
    let mut words = line.split(|&b| b == b' ');
    let key = words.next()?;
    let _flags: u32 = parse_u32(words.next()?)?;
    let bytes = parse_u32(words.next()?)? as usize;
    if words.next().is_some() || key_hash(key).is_none() {
        return None;
    }
    let total = end.checked_add(1)?.checked_add(bytes)?.checked_add(2)?;
    let (text, rest) = reply.split_at_checked(total)?;
    if !text.ends_with(b"\r\n") {
        return None;
    }
    Some((Value { key, text, bytes }, rest))
}

/// Whether `text` (see [`Value::text`]) is of this key.
#[inline(always)]
pub fn text_is_of(text: &[u8], key: &[u8]) -> bool {
    let Some((stored, after)) = text.get(VALUE.len()..).and_then(|t| t.split_at_checked(key.len()))
    else {
        return false;
    };
    after.first() == Some(&b' ') && equal(stored, key)
}

/// Compares eight bytes at a time; both have the same length.
#[inline(always)]
fn equal(a: &[u8], b: &[u8]) -> bool {
    if let (Some(last_a), Some(last_b)) = (a.last_chunk::<8>(), b.last_chunk::<8>()) {
        if u64::from_ne_bytes(*last_a) != u64::from_ne_bytes(*last_b) {
            return false;
        }
        let words = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
        for (x, y) in words {
            if u64::from_ne_bytes(*x) != u64::from_ne_bytes(*y) {
                return false;
            }
        }
        return a.len() == b.len();
    }
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x == y)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(message: &[u8]) -> Option<Vec<&[u8]>> {
        keys(get_line(message)?).map(|k| k.collect())
    }

    #[test]
    fn get_takes_whole_lines_only() {
        assert_eq!(parsed(b"get a\r\n"), Some(vec![&b"a"[..]]));
        assert_eq!(parsed(b"get a  bc d\r\n"), Some(vec![&b"a"[..], b"bc", b"d"]));
        assert_eq!(parsed(b"get a \r\n"), Some(vec![&b"a"[..]]));
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
            assert_eq!(parsed(refused), None, "{refused:?}");
        }
    }

    #[test]
    fn get_keys_are_bounded() {
        let longest = [b"get ", &[b'k'; MAX_KEY][..], b"\r\n"].concat();
        assert!(parsed(&longest).is_some());
        let too_long = [b"get ", &[b'k'; MAX_KEY + 1][..], b"\r\n"].concat();
        assert!(parsed(&too_long).is_none());
        let many = [b"get".to_vec(), b" k".repeat(MAX_KEYS), b"\r\n".to_vec()].concat();
        assert_eq!(parsed(&many).map(|k| k.len()), Some(MAX_KEYS));
        let too_many = [b"get".to_vec(), b" k".repeat(MAX_KEYS + 1), b"\r\n".to_vec()].concat();
        assert!(parsed(&too_many).is_none());
    }

    #[test]
    fn every_byte_of_a_key_counts() {
        for len in 1..40 {
            let key = vec![b'k'; len];
            let hash = key_hash(&key);
            for at in 0..len {
                let mut other = key.clone();
                other[at] = b'l';
                assert!(key_hash(&other).is_some());
                assert_ne!(key_hash(&other), hash, "byte {at} of {len}");
                for odd in (0..=b' ').step_by(1) {
                    other[at] = odd;
                    assert_eq!(key_hash(&other), None, "byte {odd} at {at} of {len}");
                }
                other[at] = 0xff;
                assert!(key_hash(&other).is_some());
            }
        }
    }

    #[test]
    fn values_split() {
        let reply = b"VALUE a 7 3\r\nx\r\n\r\nVALUE b 0 0\r\n\r\nEND\r\n";
        let (a, rest) = split_value(reply).unwrap();
        assert_eq!(a, Value { key: b"a", text: b"VALUE a 7 3\r\nx\r\n\r\n", bytes: 3 });
        let (b, rest) = split_value(rest).unwrap();
        assert_eq!(b, Value { key: b"b", text: b"VALUE b 0 0\r\n\r\n", bytes: 0 });
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
        for key in [&b"ab"[..], b"abcdefgh", b"abcdefghijklmnopqrs"] {
            let text = [VALUE, key, b" 0 0\r\n\r\n"].concat();
            assert!(text_is_of(&text, key));
            assert!(!text_is_of(&text, &key[1..]));
            assert!(!text_is_of(&text, &[key, b"x"].concat()));
            for at in 0..key.len() {
                let mut other = key.to_vec();
                other[at] ^= 1;
                assert!(!text_is_of(&text, &other));
            }
        }
        assert!(!text_is_of(b"", b"a"));
    }

    #[test]
    fn datagrams_of_several_are_refused() {
        assert_eq!(single_datagram(&[1, 2, 0, 0, 0, 1, 0, 0, 9]), Some((0x102, &[9][..])));
        assert_eq!(single_datagram(&[1, 2, 0, 0, 0, 2, 0, 0, 9]), None);
        assert_eq!(single_datagram(&[1, 2, 0, 1, 0, 1, 0, 0, 9]), None);
        assert_eq!(single_datagram(&[1, 2, 0, 0, 0, 1, 0]), None);
    }

    #[test]
    fn parts_of_an_item_are_known() {
        assert_eq!(part(&[1, 2, 0, 2, 0, 3, 0, 0, b'x']), Some((0x102, (2, 3))));
        assert_eq!(part(&[1, 2, 0, 0, 0, 3, 0, 0]), Some((0x102, (0, 3))));
        assert_eq!(part(&[1, 2, 0, 0, 0, 1, 0, 0]), None);
        assert_eq!(part(&[1, 2, 0, 3, 0, 3, 0, 0]), None);
        assert_eq!(part(&[1, 2, 0, 2, 0, 3, 0]), None);
        assert_eq!(item_length(b"VALUE a 3 10\r\n12"), Some(14 + 10 + 2));
        for not in [&b"VALUE a 3 10"[..], b"VALUE a 3\r\n", b"END\r\n", b"VALUE a 3 x\r\n"] {
            assert_eq!(item_length(not), None);
        }
    }
}
