// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What a program does wrong; copied into every extension of the suite.

use iu::prelude::*;

/// What to do wrong next: one of the numbers below, as the suite's guest has them.
#[map]
static MODE: Array<u64, 1> = Array::new();

/// Runs that came to their end; what loops count, so that none is optimised away.
#[map]
static SEEN: Array<u64, 2> = Array::new();

#[map]
static HASH: HashMap<u64, u64, 64> = HashMap::new();

#[map]
static LOCKED: LockedArray<u64, 2> = LockedArray::new();

/// Ends by itself only if the mode is 0.
pub fn misbehave() {
    let mode = MODE.get(0).unwrap_or(0);
    match mode {
        1 => panic(mode),
        2 => spin(),
        3 => recurse(mode),
        4..=6 => {
            if let Some(mut value) = LOCKED.lock(0) {
                *value = value.wrapping_add(1);
                match mode {
                    4 => panic(mode),
                    5 => spin(),
                    _ => recurse(mode),
                }
            }
        }
        7 => helper(),
        8 => {
            let first = LOCKED.lock(0);
            let second = LOCKED.lock(1);
            drop(first);
            drop(second);
        }
        _ => {}
    }
    SEEN.fetch_add(0, 1);
}

fn panic(mode: u64) {
    let numbers = [1u8, 2, 3, 4];
    let beyond = mode as usize * 1000;
    SEEN.fetch_add(1, u64::from(numbers[beyond]));
}

fn spin() {
    while MODE.get(0) != Some(0) {
        SEEN.fetch_add(1, 1);
    }
}

fn helper() {
    let mut key = 0u64;
    while MODE.get(0) != Some(0) {
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
