// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What a program does wrong; copied into every extension of the suite.

use iu::arena::Arena;
use iu::guard::{IrqsOff, Rcu};
use iu::prelude::*;

/// What each program does wrong next: one of the numbers below, as the suite's guest has them.
#[map]
static MODE: Array<u64, 8> = Array::new();

/// Runs that came to their end; what loops count, so that none is optimised away; runs that
/// looked whether all is free.
#[map]
static SEEN: Array<u64, 3> = Array::new();

#[map]
static HASH: HashMap<u64, u64, 64> = HashMap::new();

#[map]
static LOCKED: LockedArray<u64, 2> = LockedArray::new();

/// Has room for all that the cases between two readings leave in it.
#[map]
static RING: RingBuf<4194304> = RingBuf::new();

static ARENA: Arena<1024, 2> = Arena::new();

/// Ends by itself only if the mode is 0, or nothing is held that should not be. `who` is the
/// program's number in `MODE`.
pub fn misbehave(who: u32) {
    let mode = MODE.get(who).unwrap_or(0);
    match mode {
        1 => panic(mode),
        2 => spin(who),
        3 => recurse(mode),
        4..=6 => {
            if let Some(mut value) = LOCKED.lock(0) {
                *value = value.wrapping_add(1);
                match mode {
                    4 => panic(mode),
                    5 => spin(who),
                    _ => recurse(mode),
                }
            }
        }
        7 => helper(who),
        8 => {
            let first = LOCKED.lock(0);
            let second = LOCKED.lock(1);
            drop(first);
            drop(second);
        }
        9 => {
            let _record = RING.reserve::<u64>().map(|r| r.write(mode));
            panic(mode);
        }
        10 | 11 => {
            let _irqs = IrqsOff::new();
            let _rcu = Rcu::new();
            let _record = RING.reserve::<u64>().map(|r| r.write(mode));
            let _scratch = ARENA.claim();
            let _value = LOCKED.lock(0);
            if mode == 10 { panic(mode) } else { spin(who) }
        }
        // One looks: two at a time would take things from each other.
        12 if SEEN.fetch_add(2, 1) == Some(0) => assert!(all_is_free()),
        13 => {
            let _scratch = ARENA.claim();
            panic(mode);
        }
        14 => {
            let _irqs = IrqsOff::new();
            panic(mode);
        }
        15 => {
            let _rcu = Rcu::new();
            panic(mode);
        }
        _ => {}
    }
    SEEN.fetch_add(0, 1);
}

/// Whether what other runs held was given back, seen from this CPU.
fn all_is_free() -> bool {
    let scratch = (ARENA.claim().is_ok(), ARENA.claim().is_ok());
    scratch.0 && scratch.1 && LOCKED.lock(0).is_some() && RING.output(b"still free").is_ok()
}

fn panic(mode: u64) {
    let numbers = [1u8, 2, 3, 4];
    let beyond = mode as usize * 1000;
    SEEN.fetch_add(1, u64::from(numbers[beyond]));
}

fn spin(who: u32) {
    while MODE.get(who) != Some(0) {
        SEEN.fetch_add(1, 1);
    }
}

fn helper(who: u32) {
    let mut key = 0u64;
    while MODE.get(who) != Some(0) {
        let _ = HASH.insert(&(key & 63), &key);
        let _ = HASH.remove(&(key & 31));
        key = key.wrapping_add(1);
    }
}

fn recurse(mode: u64) {
    let _ = SEEN.set(1, deeper(mode | 1 << 40));
}

/// Twice recursive and not a tail call, so that no optimisation makes a loop of it.
fn deeper(n: u64) -> u64 {
    if n == 0 {
        return 1;
    }
    let left = deeper(n - 1);
    left.rotate_left(7) ^ if left & 1 == 0 { deeper(n / 2) } else { n }
}
