// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! The cache: sets of four ways, one lock per set.
//!
//! A way keeps the text of one item exactly as memcached sent it, so a hit is a
//! copy. It is filled only by the answer to a request that this cache saw arrive
//! and let through (the *asker*); a change to the key forgets both the text and
//! the asker, so an answer that memcached wrote before it saw the change fills
//! nothing. The oldest way of a set gives place to a new key.
//!
//! What that does not close: a request that arrives after a change, and that
//! memcached's other thread answers before it applies that change.

use iu::prelude::*;

/// Longest text kept, in bytes: with the frame header, `END` and the packet
/// headers it fits an Ethernet frame of 1500 bytes.
pub const MAX_TEXT: usize = 1400;

/// Sets in the table; a power of two.
pub const SETS: u32 = 1024;

/// Keys that a set has room for.
pub const WAYS: usize = 4;

/// Room for one item.
#[plain]
pub struct Way {
    /// When `text` was asked for, CLOCK_MONOTONIC in ns; 0: no text.
    born: u64,
    /// Who may fill this way; 0: nobody.
    asker: u64,
    /// When the asker's request arrived, CLOCK_MONOTONIC in ns.
    asked: u64,
    /// Hash of the key of `text`.
    hash: u32,
    /// Hash of the asker's key.
    asked_hash: u32,
    /// Bytes of `text` in use.
    len: u64,
    text: [u8; MAX_TEXT],
}

/// The ways that a key can be in.
#[plain]
pub struct Set {
    ways: [Way; WAYS],
}

#[map]
static CACHE: LockedArray<Set, SETS> = LockedArray::new();

/// When everything was last forgotten, CLOCK_MONOTONIC in ns.
#[map]
static FORGOTTEN: Array<u64, 1> = Array::new();

/// FNV-1a: short, and good enough for keys that a client chooses. A client that
/// aims at one set gets a slow cache for its own keys.
pub fn hash(key: &[u8]) -> u32 {
    key.iter().fold(0x811c_9dc5, |h: u32, &b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193))
}

/// Where a key's ways are.
pub fn set_of(hash: u32) -> u32 {
    hash & (SETS - 1)
}

fn forgotten() -> u64 {
    FORGOTTEN.get(0).unwrap_or(u64::MAX)
}

/// Appends the text of `key` to `reply` at `at` and returns where it ends.
/// `None`: not here, or no room.
pub fn read(key: &[u8], hash: u32, reply: &mut [u8], at: usize) -> Option<usize> {
    let forgotten = forgotten();
    let set = CACHE.lock(set_of(hash))?;
    let way = set.ways.iter().find(|w| w.hash == hash && w.born > forgotten)?;
    let text = way.text.get(..way.len as usize)?;
    if !crate::proto::text_is_of(text, key) {
        return None;
    }
    let end = at.checked_add(text.len())?;
    reply.get_mut(at..end)?.copy_from_slice(text);
    Some(end)
}

/// Remembers that `asker`'s request for a key that is not here went to memcached.
pub fn ask(hash: u32, asker: u64, now: u64) {
    let Some(mut set) = CACHE.lock(set_of(hash)) else {
        return;
    };
    // A hash has one way at most, or a change would have to look at all of them.
    let rank =
        |w: &Way| if w.hash == hash || w.asked_hash == hash { 0 } else { w.born.max(w.asked) + 1 };
    if let Some(way) = set.ways.iter_mut().min_by_key(|w| rank(w)) {
        way.asker = asker;
        way.asked = now;
        way.asked_hash = hash;
    }
}

/// Keeps the text that memcached sent to `asker`. Whether it was kept.
pub fn fill(hash: u32, asker: u64, text: &[u8]) -> bool {
    let forgotten = forgotten();
    let Some(mut set) = CACHE.lock(set_of(hash)) else {
        return false;
    };
    let wanted = |w: &&mut Way| w.asker == asker && w.asked_hash == hash && w.asked > forgotten;
    let Some(way) = set.ways.iter_mut().find(wanted) else {
        return false;
    };
    let Some(to) = way.text.get_mut(..text.len()) else {
        return false;
    };
    to.copy_from_slice(text);
    way.len = text.len() as u64;
    way.hash = hash;
    way.born = way.asked;
    way.asker = 0;
    true
}

/// Forgets the item of a key, and who asked for it.
pub fn invalidate(hash: u32) {
    let Some(mut set) = CACHE.lock(set_of(hash)) else {
        return;
    };
    for way in &mut set.ways {
        if way.hash == hash {
            way.born = 0;
        }
        if way.asked_hash == hash {
            way.asker = 0;
        }
    }
}

/// Forgets everything, by time: what was asked for before now counts no more.
pub fn invalidate_all(now: u64) {
    // Value 0 of an array of one is always there.
    let _ = FORGOTTEN.set(0, now);
}
