// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! Requests that went to memcached and whose replies may fill the cache.
//!
//! A reply carries no more than a client and a number that the client chose, and
//! a client may use a number again. So only the reply to a request fills of which
//! it is certain that no other of the same client and number is unanswered: every request
//! is noted here until its reply is seen or it is too old to get one, and where there is no
//! room to note one, nothing is noted in its place either until that is so for it.

use iu::prelude::*;

use crate::clock::SECOND;
use crate::packet::Ip;
use crate::proto::get::END;

/// Sets; a power of two.
const SETS: u32 = 2048;
const WAYS: usize = 4;

/// Most keys of a request whose items fill the cache.
pub const MAX_KEYS: usize = 8;

/// After that no reply comes any more.
const UNANSWERED: u64 = 5 * SECOND;

/// Stands for more replies than any one datagram can ask for.
const UNCOUNTED: u32 = 1 << 16;

/// A length that is not known.
const UNKNOWN: u64 = u64::MAX;

/// Who asked: address, port, request id.
#[plain]
#[derive(PartialEq, Eq)]
pub struct Asker {
    ip: Ip,
    port: u16,
    request: u16,
}

impl Asker {
    /// A client and the number of its request.
    pub fn new(ip: Ip, port: u16, request: u16) -> Asker {
        Asker { ip, port, request }
    }

    fn set(&self) -> u32 {
        let mut h = u32::from(self.port) << 16 | u32::from(self.request);
        for word in self.ip.as_chunks::<4>().0 {
            h = (h ^ u32::from_ne_bytes(*word)).wrapping_mul(0x9e37_79b1);
            h ^= h >> 15;
        }
        h & (SETS - 1)
    }
}

/// A key that was asked for, and the version that its set had.
#[plain]
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// Hash of the key; 0: none.
    pub hash: u64,
    /// See [`crate::cache::version`].
    pub version: u32,
    unused: u32,
}

impl Key {
    /// No key.
    pub const NONE: Key = Key { hash: 0, version: 0, unused: 0 };

    /// A key.
    pub fn new(hash: u64, version: u32) -> Key {
        Key { hash, version, unused: 0 }
    }
}

/// The keys of a request that may fill the cache.
pub type Keys = [Key; MAX_KEYS];

#[plain]
struct Ask {
    asker: Asker,
    /// Requests of this asker that are unanswered.
    unanswered: u32,
    /// Not 0: one of those is not for one key.
    several: u32,
    /// The datagram that comes next, if an item takes several.
    part: u32,
    /// Bytes of that item that have not come, modulo 2^64, as `END` may come with it.
    left: u64,
    /// When the last of them arrived, CLOCK_MONOTONIC in ns.
    at: u64,
    keys: Keys,
}

#[plain]
struct Set {
    /// Until then there may be unanswered requests that are not noted.
    crowded_until: u64,
    asks: [Ask; WAYS],
}

#[map]
static ASKS: LockedArray<Set, SETS> = LockedArray::new();

/// Notes a request for so many keys that arrived at `now` and now goes to memcached.
pub fn note(asker: &Asker, count: usize, keys: &Keys, now: u64) {
    unanswered(asker, 1, count != 1, keys, now);
}

/// Notes something else to which replies may come that look like those to a `get`: no reply under this
/// number says anything before the last of them has come.
pub fn note_other(asker: &Asker, now: u64) {
    unanswered(asker, UNCOUNTED, true, &[Key::NONE; MAX_KEYS], now);
}

#[inline(always)]
fn unanswered(asker: &Asker, replies: u32, several: bool, keys: &Keys, now: u64) {
    let Some(mut set) = ASKS.lock(asker.set()) else {
        return;
    };
    let crowded = now <= set.crowded_until;
    let open = |a: &Ask| a.unanswered > 0 && now <= a.at.saturating_add(UNANSWERED);
    if let Some(ask) = set.asks.iter_mut().find(|a| open(a) && a.asker == *asker) {
        // Which of the two a reply answers cannot be told.
        ask.unanswered = ask.unanswered.saturating_add(replies);
        ask.several |= u32::from(several);
        ask.at = now;
        ask.keys = [Key::NONE; MAX_KEYS];
    } else if let Some(ask) = set.asks.iter_mut().find(|a| !open(a)) {
        *ask = Ask {
            asker: *asker,
            unanswered: replies,
            several: u32::from(several),
            part: 0,
            left: UNKNOWN,
            at: now,
            keys: if crowded { [Key::NONE; MAX_KEYS] } else { *keys },
        };
    } else {
        set.crowded_until = now.saturating_add(UNANSWERED);
    }
}

/// The keys that a reply to this asker may fill, and when they were asked for.
/// `last`: nothing more of the reply comes.
pub fn answered(asker: &Asker, last: bool, now: u64) -> Option<(Keys, u64)> {
    let mut set = ASKS.lock(asker.set())?;
    let ask = set.asks.iter_mut().find(|a| a.unanswered > 0 && a.asker == *asker)?;
    let found = (ask.keys, ask.at);
    if now > ask.at.saturating_add(UNANSWERED) {
        ask.unanswered = 0;
        return None;
    }
    if last {
        ask.unanswered -= 1;
    }
    Some(found)
}

/// Datagram `part` of the `of` that an item of a reply takes, with `body` bytes. `item`: as long is the item's text, as the
/// first of them says. The last ends the reply if it is of the only key, or as much longer as `END` is:
/// whether it ends in that, or data of somebody's choice do, cannot be told by looking at it.
pub fn answered_in_part(
    asker: &Asker,
    (part, of): (u16, u16),
    body: usize,
    item: Option<usize>,
    now: u64,
) -> Option<()> {
    let mut set = ASKS.lock(asker.set())?;
    let ask = set.asks.iter_mut().find(|a| a.unanswered > 0 && a.asker == *asker)?;
    if now > ask.at.saturating_add(UNANSWERED) {
        ask.unanswered = 0;
        return None;
    }
    let mut left = match (part, item) {
        (0, Some(item)) => item as u64,
        (0, None) => UNKNOWN,
        _ if u32::from(part) == ask.part => ask.left,
        _ => UNKNOWN,
    };
    if left != UNKNOWN {
        left = left.wrapping_sub(body as u64);
    }
    ask.part = u32::from(part) + 1;
    ask.left = left;
    let is_end =
        ask.several == 0 || (ask.unanswered == 1 && left == 0_u64.wrapping_sub(END.len() as u64));
    if ask.part == u32::from(of) && is_end {
        ask.unanswered -= 1;
    }
    Some(())
}
