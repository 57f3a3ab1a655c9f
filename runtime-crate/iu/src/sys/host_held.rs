// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! What a program holds, in user space: given back when it ends in whatever way, as the
//! dispatcher does.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::vec::Vec;

use super::host::fail;
use super::host_map;
use crate::Errno;

/// Things beside the lock that a program may hold at a time (`IU_HELD_MAX`).
const HELD_MAX: usize = 8;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Thing {
    Region(*mut u32),
    Sample(*mut u8),
}

#[derive(Default)]
struct Held {
    lock: Option<*mut u32>,
    things: Vec<Thing>,
    irqs_off: u32,
    rcu: u32,
}

std::thread_local! {
    static HELD: RefCell<Held> = RefCell::default();
}

pub(super) fn room() -> bool {
    HELD.with_borrow(|h| h.things.len() < HELD_MAX)
}

pub(super) fn add(thing: Thing) {
    HELD.with_borrow_mut(|h| h.things.push(thing));
}

/// # Panics
/// If the program does not hold it.
pub(super) fn remove(thing: Thing) {
    HELD.with_borrow_mut(|h| {
        let i = h.things.iter().rposition(|t| *t == thing).expect("held");
        h.things.remove(i);
    });
}

/// Whether interrupts would be off.
pub(crate) fn irqs_off() -> bool {
    HELD.with_borrow(|h| h.irqs_off > 0 || h.lock.is_some())
}

pub(crate) unsafe fn iu_rt_lock(word: *mut u32) {
    let second = HELD.with_borrow(|h| h.lock.is_some());
    assert!(!second, "a second lock is a fault: a program holds one at a time");
    // SAFETY: the lock word of a value that lives as long as the world.
    let word_ref = unsafe { AtomicU32::from_ptr(word) };
    while word_ref.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
        thread::yield_now();
    }
    HELD.with_borrow_mut(|h| h.lock = Some(word));
}

pub(crate) unsafe fn iu_rt_unlock(word: *mut u32) {
    HELD.with_borrow_mut(|h| h.lock = None);
    // SAFETY: as for the lock.
    unsafe { AtomicU32::from_ptr(word) }.store(0, Ordering::Release);
}

pub(crate) unsafe fn iu_rt_irq_off() {
    HELD.with_borrow_mut(|h| h.irqs_off += 1);
}

pub(crate) unsafe fn iu_rt_irq_on() {
    HELD.with_borrow_mut(|h| h.irqs_off = h.irqs_off.checked_sub(1).expect("interrupts off"));
}

pub(crate) unsafe fn iu_rt_rcu_lock() {
    HELD.with_borrow_mut(|h| h.rcu += 1);
}

pub(crate) unsafe fn iu_rt_rcu_unlock() {
    HELD.with_borrow_mut(|h| h.rcu = h.rcu.checked_sub(1).expect("an RCU guard"));
}

pub(crate) unsafe fn iu_rt_pool_take(words: *mut u32, n: u32) -> u64 {
    if !room() {
        return fail(Errno::BUSY);
    }
    for i in 0..n {
        // SAFETY: n words, all reached as atomics.
        let (word, at) = unsafe {
            let at = words.add(i as usize);
            (AtomicU32::from_ptr(at), at)
        };
        if word.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            add(Thing::Region(at));
            return u64::from(i);
        }
    }
    fail(Errno::NOMEM)
}

pub(crate) unsafe fn iu_rt_pool_give(word: *mut u32) {
    remove(Thing::Region(word));
    // SAFETY: a word that `take` made 1.
    unsafe { AtomicU32::from_ptr(word) }.store(0, Ordering::Release);
}

/// Gives back what a program holds when it returns or panics. Guards of a program that
/// panics in user space have been dropped by then, so this finds what was forgotten.
pub(super) struct Release {
    outer: Held,
}

impl Release {
    /// A run begins, maybe inside another.
    pub(super) fn new() -> Release {
        Release { outer: HELD.take() }
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        let mut held = HELD.replace(core::mem::take(&mut self.outer));
        while let Some(thing) = held.things.pop() {
            match thing {
                // SAFETY: a word that `take` made 1.
                Thing::Region(word) => {
                    unsafe { AtomicU32::from_ptr(word) }.store(0, Ordering::Release)
                }
                Thing::Sample(at) => host_map::discard(at),
            }
        }
        if let Some(word) = held.lock {
            // SAFETY: the lock word of a value that lives as long as the world.
            unsafe { AtomicU32::from_ptr(word) }.store(0, Ordering::Release);
        }
    }
}
