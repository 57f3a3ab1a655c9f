// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! The cache: sets of ways, one lock per set, the least recently used way goes first.
//!
//! A way keeps the text of one item exactly as memcached sent it, so a hit is a
//! copy. When it may be filled is the heart of the matter. A change to a key of
//! the set is *under way* from when its request is seen until the reply to it is, or
//! until it must have been carried out. While one is, nobody may fill the set;
//! and each change gives the set a new version, so that a reply to a request that
//! saw another version fills nothing. So memcached read what fills a way at a time at
//! which every earlier change had been carried out and no later one had arrived: the value is the
//! current one, and the next change forgets it before memcached sees it.

use iu::prelude::*;

use crate::clock;

/// Longest text kept, in bytes: with the frame header, `END` and the packet
/// headers it fits an Ethernet frame of 1500 bytes.
pub const MAX_TEXT: usize = 1408;

/// Most sets.
pub const MAX_SETS: u32 = 65536;

/// Keys that a set has room for.
pub const WAYS: usize = 4;

/// Sets. A set is 4 items and 6 KiB.
#[param(default = 1024, min = 1, max = 65536)]
pub(crate) static SETS: Param<u32>;

/// Longest data of an item that is kept, in bytes.
#[param(default = 1400, min = 0, max = 1400)]
static MAX_VALUE: Param<u16>;

/// Room for one item.
#[plain]
pub struct Way {
    /// When `text` was asked for, CLOCK_MONOTONIC in ns; 0: no text.
    born: u64,
    /// Until when it may be served.
    good: u64,
    /// Hash of its key.
    hash: u64,
    /// The set's `tick` when it was last used.
    used: u32,
    /// Bytes of `text` in use.
    len: u32,
    text: [u8; MAX_TEXT],
}

/// The ways that a key can be in.
#[plain]
pub struct Set {
    /// Counts the changes to keys of this set. 0: there was nothing yet; it then starts at
    /// any number, as `epoch` does, so that neither says anything to who saw another cache.
    version: u32,
    /// Changes under way.
    pending: u32,
    /// Counts how often `pending` was given up as too old.
    epoch: u32,
    /// Counts uses.
    tick: u32,
    /// When the changes under way are given up.
    pending_until: u64,
    ways: [Way; WAYS],
}

impl Set {
    fn settle(&mut self, now: u64) {
        if self.version == 0 {
            self.version = now as u32 | 1;
            self.epoch = self.version;
        }
        if self.pending > 0 && now > self.pending_until {
            self.pending = 0;
            self.epoch = self.epoch.wrapping_add(1);
        }
    }
}

#[map]
static CACHE: SizedLockedArray<Set, MAX_SETS> = SizedLockedArray::new();

/// Where a key's ways are.
#[inline(always)]
pub fn set_of(hash: u64) -> u32 {
    ((hash & 0xffff_ffff) * u64::from(SETS.get()) >> 32) as u32
}

/// Whether an item with so many bytes of data is kept.
pub fn is_kept(bytes: usize) -> bool {
    bytes <= usize::from(MAX_VALUE.get())
}

/// Gives the text of the way with this hash, if it is current, to `f` while nobody
/// can change it; whether it is of the right key, `f` has to see. `None`: not here, or `f` said so.
#[inline(always)]
pub fn read<R>(hash: u64, f: impl FnOnce(&[u8]) -> Option<R>) -> Option<R> {
    let gaps = clock::gaps();
    let forgotten = clock::forgotten();
    let mut set = CACHE.lock(set_of(hash))?;
    if clock::gaps() != gaps {
        // Who had the lock may have left it half way.
        return None;
    }
    let tick = set.tick.wrapping_add(1);
    set.tick = tick;
    let way = set.ways.iter_mut().find(|w| w.hash == hash)?;
    if way.born <= forgotten || (way.good != clock::NEVER && time::ktime_ns() >= way.good) {
        return None;
    }
    way.used = tick;
    f(way.text.get(..way.len as usize)?)
}

/// The version of a key's set, `None` while a change is under way.
pub fn version(hash: u64, now: u64) -> Option<u32> {
    let mut set = CACHE.lock(set_of(hash))?;
    set.settle(now);
    (set.pending == 0).then_some(set.version)
}

/// Keeps the text of a key that was asked for at `asked`, when the set had this
/// version; it may be served until `good`. Whether it was kept.
pub fn fill(hash: u64, asked: u64, version: u32, good: u64, text: &[u8]) -> bool {
    let gaps = clock::gaps();
    let forgotten = clock::forgotten();
    let Some(mut set) = CACHE.lock(set_of(hash)) else {
        return false;
    };
    if set.pending > 0
        || set.version != version
        || version == 0
        || asked <= forgotten
        || clock::gaps() != gaps
    {
        return false;
    }
    let tick = set.tick.wrapping_add(1);
    set.tick = tick;
    // A hash has one way at most, or a change would have to look at all of them.
    let rank = |w: &Way| {
        if w.hash == hash {
            u64::MAX
        } else if w.born <= forgotten {
            u64::MAX - 1
        } else {
            u64::from(tick.wrapping_sub(w.used))
        }
    };
    let Some(way) = set.ways.iter_mut().max_by_key(|w| rank(w)) else {
        return false;
    };
    let Some(to) = way.text.get_mut(..text.len()) else {
        return false;
    };
    to.copy_from_slice(text);
    way.len = text.len() as u32;
    way.hash = hash;
    way.born = asked;
    way.good = good;
    way.used = tick;
    true
}

/// What [`change`] says of a set.
#[derive(Clone, Copy)]
pub struct Changed {
    /// To be given to [`done`].
    pub epoch: u32,
    /// No other change to the set was under way.
    pub alone: bool,
}

/// A change to a key has arrived: forgets its item, and lets nobody fill the set
/// until [`done`], or until `until`.
pub fn change(hash: u64, now: u64, until: u64) -> Option<Changed> {
    let mut set = CACHE.lock(set_of(hash))?;
    set.settle(now);
    let alone = set.pending == 0;
    set.version = set.version.wrapping_add(1).max(1);
    set.pending = set.pending.saturating_add(1);
    set.pending_until = if alone { until } else { set.pending_until.max(until) };
    if let Some(way) = set.ways.iter_mut().find(|w| w.hash == hash) {
        way.born = 0;
    }
    Some(Changed { epoch: set.epoch, alone })
}

/// A change was carried out.
pub fn done(set: u32, epoch: u32) {
    if let Some(mut set) = CACHE.lock(set)
        && set.epoch == epoch
    {
        set.pending = set.pending.saturating_sub(1);
    }
}
