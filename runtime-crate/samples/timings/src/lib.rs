// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Measures what small things take, each time a file is removed: an atomic of the
//! extension's own, lookups, a lock, and calls as deep as asked for.

#![no_std]
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering};

use iu::prelude::*;

/// How deep to call.
#[param(default = 33, max = 400)]
static DEPTH: Param<u64>;

/// Ordinary statics are the extension's memory, the same on all CPUs.
static ATOM: AtomicU64 = AtomicU64::new(42);

#[map]
static HASH: HashMap<u32, u64, 5000> = HashMap::new();
#[map]
static ARRAY: Array<u64, 5000> = Array::new();
#[map]
static LOCKED: LockedArray<u64, 256> = LockedArray::new();

#[plain]
struct Timing {
    /// Nanoseconds of the last time.
    ns: u64,
    /// What came of it.
    result: u64,
}

/// Of nothing, an atomic, a hash lookup, an array lookup, a lock, calls.
#[map]
static TIMINGS: Array<Timing, 6> = Array::new();
const NOTHING: u32 = 0;
const ATOMIC: u32 = 1;
const HASH_LOOKUP: u32 = 2;
const ARRAY_LOOKUP: u32 = 3;
const LOCK: u32 = 4;
const CALLS: u32 = 5;

/// Runs, and the random number that the last one used.
#[map]
static SEEN: Array<u64, 2> = Array::new();

fn timed(which: u32, f: impl FnOnce() -> u64) {
    let start = time::ktime_ns();
    let result = f();
    let ns = time::ktime_ns() - start;
    let _ = TIMINGS.set(which, Timing { ns, result });
}

/// No tail call, and no sum that a loop could keep.
fn calls(n: u64) -> u64 {
    if n == 0 { 1 } else { calls(n - 1).wrapping_mul(3) ^ n }
}

#[fentry]
fn measure(_: FentryContext) {
    const KEY: u32 = 2500;
    let number = u64::from(random::u32());
    SEEN.fetch_add(0, 1);
    let _ = SEEN.set(1, number);
    let _ = (HASH.insert(&KEY, &number), ARRAY.set(KEY, number));
    timed(NOTHING, || 0);
    timed(ATOMIC, || {
        ATOM.store(number, Ordering::Relaxed);
        ATOM.load(Ordering::Relaxed)
    });
    timed(HASH_LOOKUP, || HASH.get(&KEY).unwrap_or(0));
    timed(ARRAY_LOOKUP, || ARRAY.get(KEY).unwrap_or(0));
    timed(LOCK, || {
        let Some(mut held) = LOCKED.lock(0) else { return 0 };
        *held += 1;
        *held
    });
    timed(CALLS, || calls(DEPTH.get()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use iu::host;

    #[test]
    fn results() {
        for n in 1..=2 {
            host::fentry(&[0, 0], measure);
            let number = SEEN.get(1);
            let result = |i| TIMINGS.get(i).map(|t| t.result);
            assert_eq!((result(ATOMIC), result(HASH_LOOKUP)), (number, number));
            assert_eq!((result(ARRAY_LOOKUP), result(LOCK)), (number, Some(n)));
            assert_eq!((SEEN.get(0), result(CALLS)), (Some(n), Some(calls(33))));
        }
    }
}
