// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! What holds for all items, by time. All times are CLOCK_MONOTONIC in ns.

use iu::prelude::*;

/// A second.
pub const SECOND: u64 = 1_000_000_000;
/// A time that does not come.
pub const NEVER: u64 = u64::MAX;

/// Longest that a request, or its reply, is waited for that should be seen but is not.
pub const LATE: u64 = 60 * SECOND;

/// Longest time from a request's arrival until memcached has carried it out, in
/// milliseconds, where no reply shows that it has.
#[param(default = 1000, min = 10, max = 60000)]
static SETTLE_MS: Param<u64>;

/// memcached holds no item with a time to live when the extension is installed.
#[param(default = false)]
pub(crate) static NO_OLD_TTL: Param<bool>;

/// The times.
#[plain]
struct Eras {
    /// What was asked for until then counts no more.
    forgotten: u64,
    /// From then on nothing is served, as a delayed flush may be carried out; 0: none.
    flush_from: u64,
    /// Until then; what was asked for before counts no more afterwards.
    flush_until: u64,
    /// What was learnt of expiry until then counts no more.
    known_since: u64,
    /// All changes were seen since memcached was empty then; 0: as the parameter
    /// says, `NEVER`: no.
    seen_all_since: u64,
    /// What `GAPS` said when all of this was last worked out.
    gaps: u64,
}

/// How often packets may have gone by unseen, by any of the two programs.
#[map]
pub(crate) static GAPS: Gaps = Gaps::new();

/// What it says when both have been put in place and nothing else has happened.
const INSTALLED: u64 = 2;

/// Written only by [`change`].
#[map]
static ERAS: Array<Eras, 1> = Array::new();

/// Held while `ERAS` is changed, so that no change is lost.
#[map]
static CHANGING: LockedArray<u64, 1> = LockedArray::new();

fn eras() -> Eras {
    // Value 0 of an array of one is always there.
    ERAS.get(0).unwrap_or(Eras {
        forgotten: NEVER,
        flush_from: 0,
        flush_until: 0,
        known_since: NEVER,
        seen_all_since: NEVER,
        gaps: NEVER,
    })
}

/// See [`Gaps::count`].
#[inline(always)]
pub fn gaps() -> u64 {
    GAPS.count()
}

/// Before anything is concluded from what was seen: if packets may have gone by
/// unseen since the last time, everything is forgotten, as changes may have been among them.
///
/// Whether that was so. Takes a lock, so none may be held. Who serves looks at [`forgotten`] instead, which
/// says so before this has been called.
#[inline(always)]
pub fn close_gaps(now: u64) -> bool {
    let open = eras().gaps != gaps();
    if open {
        forget_unseen(now);
    }
    open
}

#[cold]
#[inline(never)]
fn forget_unseen(now: u64) {
    // Read before: what comes in between is another gap.
    let gaps = gaps();
    let until = now.saturating_add(settle());
    change(|e| {
        e.forgotten = e.forgotten.max(until);
        // At installation it is for the parameter to say what is known of expiry.
        if e.gaps != 0 || gaps != INSTALLED {
            e.known_since = e.known_since.max(until);
            e.seen_all_since = NEVER;
        }
        e.gaps = gaps;
    });
}

fn change(f: impl FnOnce(&mut Eras)) {
    let guard = CHANGING.lock(0);
    let mut e = eras();
    f(&mut e);
    let _ = ERAS.set(0, e);
    drop(guard);
}

/// See `SETTLE_MS`, in ns.
pub fn settle() -> u64 {
    SETTLE_MS.get() * 1_000_000
}

/// What was asked for at this time or before counts no more; `NEVER` while nothing may be served.
#[inline(always)]
pub fn forgotten() -> u64 {
    let e = eras();
    if e.gaps != gaps() {
        return NEVER;
    }
    if e.flush_from == 0 { e.forgotten } else { forgotten_by_flush(&e) }
}

#[cold]
fn forgotten_by_flush(e: &Eras) -> u64 {
    let now = time::ktime_ns();
    if now < e.flush_from {
        return e.forgotten;
    }
    if now < e.flush_until {
        return NEVER;
    }
    change(|e| {
        if e.flush_from != 0 && now >= e.flush_until {
            e.forgotten = e.forgotten.max(e.flush_until);
            e.flush_from = 0;
            e.flush_until = 0;
        }
    });
    e.forgotten.max(e.flush_until)
}

/// What was learnt of expiry until then counts no more.
pub fn known_since() -> u64 {
    eras().known_since
}

/// Since when every change was seen, of a memcached that was empty then.
pub fn seen_all_since() -> Option<u64> {
    match eras().seen_all_since {
        0 => NO_OLD_TTL.get().then_some(0),
        NEVER => None,
        t => Some(t),
    }
}

/// Forgets everything that is asked for until `until`.
pub fn invalidate(until: u64) {
    change(|e| e.forgotten = e.forgotten.max(until));
}

/// A change went by that was not understood: what was learnt until `until` is no
/// knowledge.
pub fn unlearn(until: u64) {
    change(|e| {
        e.known_since = e.known_since.max(until);
        e.seen_all_since = NEVER;
    });
}

/// Most seconds of a delay; more is a point in time.
const MAX_DELAY: i32 = 30 * 24 * 3600;

/// A flush of everything was asked for, to be carried out in `delay` seconds and
/// within `hold` of its time. `sure`: it is one, and not data that looks like it.
pub fn flush(delay: i32, sure: bool, now: u64, hold: u64) {
    change(|e| match delay {
        ..=0 => {
            e.forgotten = e.forgotten.max(now.saturating_add(hold));
            // Whatever lives after it is stored after it, and that is seen.
            if sure && now > e.known_since {
                e.seen_all_since = now;
            }
        }
        1..=MAX_DELAY => {
            let due = now.saturating_add(delay as u64 * SECOND);
            let from = due.saturating_sub(2 * SECOND).max(1);
            e.flush_from = if e.flush_from == 0 { from } else { e.flush_from.min(from) };
            e.flush_until = e.flush_until.max(due.saturating_add(2 * SECOND + hold));
        }
        // This clock does not know when: nothing is served any more.
        _ => e.forgotten = NEVER,
    });
}
