// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! The cache: sets of ways, one lock per set, the least recently used way goes first.
//!
//! A way keeps the text of one item exactly as memcached sent it, so a hit is a
//! copy. When it may be filled is the heart of the matter. A change to a key of
//! the set is *under way* from when its request is seen until the reply to it is, or, where
//! no reply is awaited, until it must have been carried out. While one is, nobody may fill the set;
//! and each change gives the set a new version, so that a reply to a request that
//! saw another version fills nothing. So memcached read what fills a way at a time at
//! which every earlier change had been carried out and no later one had arrived: the value is the
//! current one, and the next change forgets it before memcached sees it.
//!
//! A reply that is awaited may never be seen. Later changes must not make a set wait longer for it, or a
//! set that changes all the time would never be filled again: see [`Awaited`].

use iu::prelude::*;

use crate::clock::{self, LATE};

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
    /// Counts uses.
    tick: u32,
    /// Changes whose own reply ends them.
    replied: Awaited,
    /// Changes that another request's reply ends.
    quiet: Awaited,
    /// Until then other changes are under way.
    hold_until: u64,
    ways: [Way; WAYS],
}

/// Changes under way whose end will be seen: counted by the epoch in which they arrived, and
/// given up when the next epoch is over, too.
#[plain]
struct Awaited {
    /// Of this epoch and of the last.
    counts: [u32; 2],
    /// Numbers the epochs.
    epoch: u32,
    unused: u32,
    /// When this epoch ends; it may be long ago.
    ends: u64,
}

impl Awaited {
    fn pass(&mut self, now: u64, length: u64) {
        if now < self.ends {
            return;
        }
        let [this, _] = self.counts;
        let next = self.ends.saturating_add(length);
        (self.counts, self.ends) =
            if now < next { ([0, this], next) } else { ([0; 2], now.saturating_add(length)) };
        self.epoch = self.epoch.wrapping_add(1);
    }

    fn add(&mut self) {
        let [this, _] = &mut self.counts;
        *this = this.saturating_add(1);
    }

    /// Whether one of that epoch was still awaited.
    fn take(&mut self, epoch: u32) -> bool {
        match self.counts.get_mut(self.epoch.wrapping_sub(epoch) as usize) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        }
    }
}

impl Set {
    /// Whether a change is under way.
    fn is_changing(&mut self, now: u64) -> bool {
        if self.version == 0 {
            self.version = now as u32 | 1;
            self.replied.epoch = self.version;
            self.quiet.epoch = self.version;
        }
        self.replied.pass(now, LATE);
        self.quiet.pass(now, clock::settle());
        self.replied.counts != [0; 2] || self.quiet.counts != [0; 2] || now <= self.hold_until
    }

    fn awaited(&mut self, change: Pending) -> &mut Awaited {
        if change.set & QUIET == 0 { &mut self.replied } else { &mut self.quiet }
    }
}

/// What ends a change.
pub enum Until {
    /// Its reply, which is waited for at least `LATE`.
    Reply,
    /// The reply to a later request, which is waited for at least as long as memcached takes.
    LaterReply,
    /// This time.
    Time(u64),
}

/// A change that a reply ends.
#[plain]
pub struct Pending {
    /// Its set, and `QUIET` if a later request's reply ends it.
    set: u32,
    epoch: u32,
}

const QUIET: u32 = 1 << 31;

impl Pending {
    /// No change.
    pub const NONE: Pending = Pending { set: u32::MAX, epoch: 0 };

    /// It was carried out.
    pub fn done(self) {
        if let Some(mut set) = CACHE.lock(self.set & !QUIET) {
            set.awaited(self).take(self.epoch);
        }
    }

    /// Its reply will not be known for what it is: it is under way until `until`.
    pub fn give_up(self, until: u64) {
        if let Some(mut set) = CACHE.lock(self.set & !QUIET)
            && set.awaited(self).take(self.epoch)
        {
            set.hold_until = set.hold_until.max(until);
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
    (!set.is_changing(now)).then_some(set.version)
}

/// Keeps the text of a key that was asked for at `asked`, when the set had this
/// version; it may be served until `good`. Whether it was kept.
pub fn fill(hash: u64, asked: u64, version: u32, good: u64, text: &[u8]) -> bool {
    let gaps = clock::gaps();
    let forgotten = clock::forgotten();
    let Some(mut set) = CACHE.lock(set_of(hash)) else {
        return false;
    };
    // With this version no change was under way, and none has come since.
    if set.version != version || version == 0 || asked <= forgotten || clock::gaps() != gaps {
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
    /// To be ended, unless a time does.
    pub pending: Pending,
    /// No other change to the set was under way.
    pub alone: bool,
}

/// A change to a key has arrived: forgets its item, and lets nobody fill the set until what ends the change.
pub fn change(hash: u64, now: u64, until: Until) -> Option<Changed> {
    let index = set_of(hash);
    let mut set = CACHE.lock(index)?;
    let alone = !set.is_changing(now);
    set.version = set.version.wrapping_add(1).max(1);
    let pending = match until {
        Until::Reply => {
            set.replied.add();
            Pending { set: index, epoch: set.replied.epoch }
        }
        Until::LaterReply => {
            set.quiet.add();
            Pending { set: index | QUIET, epoch: set.quiet.epoch }
        }
        Until::Time(t) => {
            set.hold_until = set.hold_until.max(t);
            Pending::NONE
        }
    };
    if let Some(way) = set.ways.iter_mut().find(|w| w.hash == hash) {
        way.born = 0;
    }
    Some(Changed { pending, alone })
}
