// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! When items expire, learnt from the requests that say so: a reply to `get` does not.
//!
//! A slot remembers the key that was last stored among those that share it, and
//! until when the others may live that had a time. An item is only kept in the
//! cache if its time is known: its own slot says so, or everything was seen since
//! memcached was empty and no other key of the slot can have a time.

use iu::prelude::*;

use crate::clock::{self, NEVER, SECOND};
use crate::proto::Expiry;

/// Slots; a power of two.
pub const SLOTS: u32 = 65536;

/// What is known of the keys that share a slot. Times are CLOCK_MONOTONIC in ns.
#[plain]
pub struct Slot {
    /// Hash of the key that `good` and `gone` are of.
    key: u64,
    /// When it was learnt; 0: never.
    learnt: u64,
    /// The item lives until then at least; 0: that is not known.
    good: u64,
    /// The item is gone then; 0: it has no time, `NEVER`: that is not known.
    gone: u64,
    /// The items of the slot's other keys that have a time are gone then.
    others: u64,
    /// When `others` was last made longer.
    others_at: u64,
}

#[map]
static TIMES: LockedArray<Slot, SLOTS> = LockedArray::new();

/// memcached counts in whole seconds, and its clock may lag behind by one.
const COARSE: u64 = 2 * SECOND;

/// Beyond this a time is a point in time, which is not comparable with our clock.
const RELATIVE: i32 = 30 * 24 * 3600;

/// `good` and `gone` of an item to which a request gives this time. It arrived at
/// `now` and is carried out some time later.
pub fn span(time: i32, now: u64) -> (u64, u64) {
    match time {
        0 => (NEVER, 0),
        ..0 => (0, now.saturating_add(COARSE + clock::LATE)),
        1..=RELATIVE => {
            let end = now.saturating_add(time as u64 * SECOND);
            (end.saturating_sub(COARSE), end.saturating_add(COARSE + clock::LATE))
        }
        _ => (0, NEVER),
    }
}

fn slot(hash: u64) -> u32 {
    (hash >> 40) as u32 & (SLOTS - 1)
}

/// What was seen, and when.
#[derive(Clone, Copy)]
struct Knowledge {
    since: u64,
    seen_all: Option<u64>,
}

fn knowledge() -> Knowledge {
    Knowledge { since: clock::known_since(), seen_all: clock::seen_all_since() }
}

/// `good` and `gone` of a key.
fn recall(s: &Slot, hash: u64, k: Knowledge, now: u64) -> (u64, u64) {
    if s.key == hash && s.learnt > k.since {
        return (s.good, s.gone);
    }
    match k.seen_all {
        Some(since) if s.key != hash => {
            // What was learnt long before memcached was empty is of items that are no more.
            let moot = s.others_at.saturating_add(clock::LATE) < since;
            if moot || s.others < now { (NEVER, 0) } else { (0, NEVER) }
        }
        _ => (0, NEVER),
    }
}

/// Learns from a change to a key. `alone`: no other change to it is under way.
pub fn learn(hash: u64, expiry: Expiry, alone: bool, now: u64) {
    let ((good, gone), certain) = match expiry {
        Expiry::Keep => return,
        Expiry::Becomes(time) => (span(time, now), alone),
        Expiry::Maybe(time) => (span(time, now), false),
        Expiry::Unknown => ((0, NEVER), false),
    };
    let k = knowledge();
    let Some(mut s) = TIMES.lock(slot(hash)) else {
        return;
    };
    let (was_good, was_gone) = recall(&s, hash, k, now);
    if s.key != hash && s.learnt != 0 && s.gone != 0 {
        s.others = s.others.max(s.gone);
        s.others_at = now;
    }
    s.key = hash;
    s.learnt = now;
    (s.good, s.gone) =
        if certain { (good, gone) } else { (good.min(was_good), gone.max(was_gone)) };
}

/// Until when the item of a key lives at least; `None`: not known, or not even until now.
pub fn good_until(hash: u64, now: u64) -> Option<u64> {
    let k = knowledge();
    let s = TIMES.lock(slot(hash))?;
    let (good, _) = recall(&s, hash, k, now);
    (good > now).then_some(good)
}
