// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! memcached's protocols, as far as the cache must understand them.
//!
//! Nothing here panics, and nothing loops longer than its input.
//! Source: memcached's `doc/protocol.txt` and `doc/protocol-binary.txt`.

pub mod ascii;
pub mod binary;
pub mod get;
mod words;

/// Longest key in bytes (`KEY_MAX_LENGTH`).
pub const MAX_KEY: usize = 250;

/// What a request may do to the time at which items expire. Times are as
/// memcached takes them: 0 never, negative at once, up to 30 days in seconds
/// from now, beyond that seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// It stays as it was.
    Keep,
    /// If the item is there afterwards, this is its time.
    Becomes(i32),
    /// This, or as it was.
    Maybe(i32),
    /// Cannot be told.
    Unknown,
}

/// What a request may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// The item of this key.
    Key(&'a [u8], Expiry),
    /// Any item, in a way that is not known.
    Anything,
    /// All items go, after so many seconds. As for items, beyond 30 days it is a
    /// point in time.
    Flush(i32),
}

/// How many replies a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replies {
    /// One.
    One,
    /// None, unless it fails.
    None,
    /// Cannot be told, so that later replies cannot be counted either.
    Unknown,
}

/// A decimal number with or without a sign.
pub fn parse_i64(digits: &[u8]) -> Option<i64> {
    let (negative, digits) = match digits {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut n: i64 = 0;
    for &d in digits {
        if !d.is_ascii_digit() {
            return None;
        }
        n = n.checked_mul(10)?.checked_add(i64::from(d - b'0'))?;
    }
    Some(if negative { -n } else { n })
}

/// A time as memcached takes it, of 32 bits. More, and it refuses the request.
pub fn parse_time(digits: &[u8]) -> Option<i32> {
    i32::try_from(parse_i64(digits)?).ok()
}

/// A decimal number of at most 32 bits.
pub fn parse_u32(digits: &[u8]) -> Option<u32> {
    if digits.first() == Some(&b'-') {
        return None;
    }
    u32::try_from(parse_i64(digits)?).ok()
}
