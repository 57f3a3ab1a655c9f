// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! The cache: a direct-mapped table of replies, one lock per place.
//!
//! A place keeps the text of one item exactly as memcached sent it, so a hit is
//! a copy. It is filled only by the answer to a request that this cache saw
//! arrive and let through (the *asker*); a change to any key of the place
//! forgets both the text and the asker, so an answer that memcached wrote before
//! it saw the change fills nothing.
//!
//! What that does not close: a request that arrives after a change, and that
//! memcached's other thread answers before it applies that change.

use iu::prelude::*;

/// Longest text kept, in bytes: with the frame header, `END` and the packet
/// headers it fits an Ethernet frame of 1500 bytes.
pub const MAX_TEXT: usize = 1400;

/// Places in the table; a power of two.
pub const PLACES: u32 = 4096;

/// One place.
#[plain]
pub struct Place {
    /// When `text` was asked for, CLOCK_MONOTONIC in ns; 0: no text.
    born: u64,
    /// Who may fill this place; 0: nobody.
    asker: u64,
    /// When the asker's request arrived, CLOCK_MONOTONIC in ns.
    asked: u64,
    /// Hash of the asker's key.
    asked_hash: u32,
    /// Bytes of `text` in use.
    len: u32,
    text: [u8; MAX_TEXT],
}

#[map]
static CACHE: LockedArray<Place, PLACES> = LockedArray::new();

/// When everything was last forgotten, CLOCK_MONOTONIC in ns.
#[map]
static FORGOTTEN: Array<u64, 1> = Array::new();

/// FNV-1a: short, and good enough for keys that a client chooses. A client that
/// aims at one place gets a slow cache for its own keys.
pub fn hash(key: &[u8]) -> u32 {
    key.iter().fold(0x811c_9dc5, |h: u32, &b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193))
}

fn place(hash: u32) -> u32 {
    hash & (PLACES - 1)
}

fn forgotten() -> u64 {
    FORGOTTEN.get(0).unwrap_or(u64::MAX)
}

/// Appends the text of `key` to `reply` at `at` and returns where it ends.
/// `None`: not here, or no room.
pub fn read(key: &[u8], hash: u32, reply: &mut [u8], at: usize) -> Option<usize> {
    let forgotten = forgotten();
    let place = CACHE.lock(place(hash))?;
    if place.born <= forgotten {
        return None;
    }
    let text = place.text.get(..place.len as usize)?;
    if !crate::proto::text_is_of(text, key) {
        return None;
    }
    let end = at.checked_add(text.len())?;
    reply.get_mut(at..end)?.copy_from_slice(text);
    Some(end)
}

/// Remembers that `asker`'s request for a key that is not here went to memcached.
pub fn ask(hash: u32, asker: u64, now: u64) {
    if let Some(mut place) = CACHE.lock(place(hash)) {
        place.asker = asker;
        place.asked = now;
        place.asked_hash = hash;
    }
}

/// Keeps the text that memcached sent to `asker`. Whether it was kept.
pub fn fill(hash: u32, asker: u64, text: &[u8]) -> bool {
    let forgotten = forgotten();
    let Some(mut place) = CACHE.lock(place(hash)) else {
        return false;
    };
    let wanted = place.asker == asker && place.asked_hash == hash && place.asked > forgotten;
    if !wanted {
        return false;
    }
    let Some(to) = place.text.get_mut(..text.len()) else {
        return false;
    };
    to.copy_from_slice(text);
    place.len = text.len() as u32;
    place.born = place.asked;
    place.asker = 0;
    true
}

/// Forgets the place of a key.
pub fn invalidate(hash: u32) {
    if let Some(mut place) = CACHE.lock(place(hash)) {
        place.born = 0;
        place.asker = 0;
    }
}

/// Forgets everything, by time: what was asked for before now counts no more.
pub fn invalidate_all(now: u64) {
    let _ = FORGOTTEN.set(0, now);
}
