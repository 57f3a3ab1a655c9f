// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Memory for data structures: [`Vec`], [`String`], [`Map`] and values of a run's own.
//!
//! The kernel's allocator cannot be called in every context, so an [`Arena`] is memory
//! of the extension itself, in regions of a fixed size. A run claims a region, gives
//! out its bytes one after the other, and leaves it when the claim is dropped. When there
//! is no region or no room, there is an `Err`, never a panic.
//!
//! ```
//! use iu::prelude::*;
//! use iu::arena::Arena;
//!
//! /// Four runs at a time, on all CPUs and context levels together.
//! static ARENA: Arena<4096, 4> = Arena::new();
//!
//! fn sorted(packet: &[u8]) -> Result<u8, Errno> {
//!     let scratch = ARENA.claim()?;
//!     let mut bytes = scratch.vec(packet.len())?;
//!     bytes.extend_from_slice(packet)?;
//!     bytes.sort_unstable();
//!     Ok(bytes.first().copied().unwrap_or(0))
//! }
//! # assert_eq!(sorted(&[3, 1, 2]), Ok(1));
//! ```
//!
//! A program that panics or is ended does not unwind: destructors of its own types do not
//! run then, and the runtime takes back the region. So what must happen in every case
//! cannot stand in a `Drop` of the extension; what the crate hands out (locks, reservations,
//! regions, guards) is known to the runtime and given back always.

use core::hash::{Hash, Hasher};
use core::ops::{Deref, DerefMut};

use crate::Errno;
use crate::log::{Line, Show};
use crate::sys::arena::{Bump, Pool, Raw, text};

/// `SLOTS` regions of `BYTES` bytes (a multiple of 16), in the extension's own data. A run
/// that interrupts another on the same CPU needs a region of its own, so a slot for each
/// CPU is enough where no hook interrupts another.
pub struct Arena<const BYTES: usize, const SLOTS: usize>(Pool<BYTES, SLOTS>);

impl<const BYTES: usize, const SLOTS: usize> Arena<BYTES, SLOTS> {
    /// The initial value of a static.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Arena(Pool::new())
    }

    /// Claims a region. [`Errno::NOMEM`] if none is free, [`Errno::BUSY`] if the program
    /// holds eight things already.
    #[inline]
    pub fn claim(&self) -> Result<Scratch<'_>, Errno> {
        self.0.take().map(Scratch)
    }
}

/// A region of an [`Arena`] that is this run's until dropped. It stays on its CPU.
pub struct Scratch<'a>(Bump<'a>);

impl Scratch<'_> {
    /// Bytes given out so far.
    pub fn used(&self) -> usize {
        self.0.used()
    }

    /// A value that stays until the region is left. Only what has no destructor.
    /// [`Errno::NOMEM`] if there is no room, as for all that follow.
    #[allow(clippy::mut_from_ref)] // room is given out once
    #[inline]
    pub fn alloc<T>(&self, value: T) -> Result<&mut T, Errno> {
        let mut room = self.0.room(1)?;
        room.push(value).map_err(|_| Errno::NOMEM)?;
        room.leak().first_mut().ok_or(Errno::NOMEM)
    }

    /// A vector with room for `n` values.
    #[inline]
    pub fn vec<T>(&self, n: usize) -> Result<Vec<'_, T>, Errno> {
        self.0.room(n).map(Vec)
    }

    /// A string with room for `n` bytes.
    #[inline]
    pub fn string(&self, n: usize) -> Result<String<'_>, Errno> {
        self.0.room(n).map(String)
    }

    /// A map with room for `n` keys.
    #[inline]
    pub fn map<K: Hash + Eq, V>(&self, n: usize) -> Result<Map<'_, K, V>, Errno> {
        let places = n.checked_mul(2).ok_or(Errno::NOMEM)?.next_power_of_two().max(2);
        let mut index = self.0.room(places)?;
        for _ in 0..places {
            let _ = index.push(EMPTY);
        }
        Ok(Map { index, entries: self.0.room(n)? })
    }
}

/// A vector of fixed room, in an arena. It is a slice, too.
pub struct Vec<'a, T>(Raw<'a, T>);

impl<'a, T> Vec<'a, T> {
    /// Values that there is room for.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Adds a value. [`Errno::NOMEM`] if there is no room.
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), Errno> {
        self.0.push(value).map_err(|_| Errno::NOMEM)
    }

    /// Takes the last value.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }

    /// Shortens it to `n` values.
    pub fn truncate(&mut self, n: usize) {
        while self.len() > n && self.pop().is_some() {}
    }

    /// Removes all values.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Takes value `i` and puts the last one in its place.
    pub fn swap_remove(&mut self, i: usize) -> Option<T> {
        let last = self.len().checked_sub(1)?;
        if i > last {
            return None;
        }
        self.0.as_mut_slice().swap(i, last);
        self.pop()
    }

    /// All values, for as long as the region is held; only what has no destructor.
    pub fn leak(self) -> &'a mut [T] {
        self.0.leak()
    }
}

impl<T: Clone> Vec<'_, T> {
    /// Adds copies of values, all or none. [`Errno::NOMEM`] if there is no room.
    #[inline]
    pub fn extend_from_slice(&mut self, values: &[T]) -> Result<(), Errno> {
        if values.len() > self.capacity() - self.len() {
            return Err(Errno::NOMEM);
        }
        for v in values {
            self.push(v.clone())?;
        }
        Ok(())
    }
}

impl<T> Deref for Vec<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        self.0.as_slice()
    }
}

impl<T> DerefMut for Vec<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        self.0.as_mut_slice()
    }
}

/// A string of fixed room, in an arena. It is a `str`, too.
pub struct String<'a>(Raw<'a, u8>);

impl String<'_> {
    /// Appends a string, all or nothing. [`Errno::NOMEM`] if there is no room.
    pub fn push_str(&mut self, s: &str) -> Result<(), Errno> {
        if s.len() > self.0.capacity() - self.0.as_slice().len() {
            return Err(Errno::NOMEM);
        }
        for b in s.bytes() {
            self.0.push(b).map_err(|_| Errno::NOMEM)?;
        }
        Ok(())
    }

    /// Appends a value as [`info!`](crate::info) would show it, cut after
    /// [`LINE_MAX`](crate::log::LINE_MAX) bytes. [`Errno::NOMEM`] if there is no room,
    /// [`Errno::INVAL`] if the cut falls into a character.
    pub fn push(&mut self, value: &(impl Show + ?Sized)) -> Result<(), Errno> {
        let mut line = Line::new();
        value.show(&mut line);
        self.push_str(core::str::from_utf8(line.as_bytes()).map_err(|_| Errno::INVAL)?)
    }

    /// As [`push`](Self::push), in hexadecimal.
    pub fn push_hex(&mut self, value: &(impl Show + ?Sized)) -> Result<(), Errno> {
        let mut line = Line::new();
        value.show_hex(&mut line);
        self.push_str(core::str::from_utf8(line.as_bytes()).map_err(|_| Errno::INVAL)?)
    }
}

impl Deref for String<'_> {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        text(self.0.as_slice())
    }
}

/// A place of the index that no entry has.
const EMPTY: u32 = u32::MAX;

/// A hash map of fixed room, in an arena: for the time of a run, unlike
/// [`HashMap`](crate::map::HashMap). The hash has no secret: an attacker who chooses
/// the keys can make it as slow as a list.
pub struct Map<'a, K, V> {
    /// Places of entries, open addressing, at most half full.
    index: Raw<'a, u32>,
    entries: Raw<'a, (K, V)>,
}

/// FNV-1a, 64 bits.
struct Fnv(u64);

impl Hasher for Fnv {
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = (self.0 ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

impl<K: Hash + Eq, V> Map<'_, K, V> {
    /// Number of keys.
    pub fn len(&self) -> usize {
        self.entries.as_slice().len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the key is, or the empty place where it belongs: place and entry.
    fn find(&self, key: &K) -> (usize, Option<usize>) {
        let index = self.index.as_slice();
        let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
        key.hash(&mut hasher);
        let hash = hasher.finish();
        let mut at = (hash ^ (hash >> 32)) as usize;
        loop {
            at &= index.len() - 1;
            match index.get(at) {
                Some(&i) if i != EMPTY => {
                    if self.entries.as_slice().get(i as usize).is_some_and(|(k, _)| k == key) {
                        return (at, Some(i as usize));
                    }
                }
                _ => return (at, None),
            }
            at += 1;
        }
    }

    /// The key's value.
    pub fn get(&self, key: &K) -> Option<&V> {
        let i = self.find(key).1?;
        self.entries.as_slice().get(i).map(|(_, v)| v)
    }

    /// The key's value, to change it.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let i = self.find(key).1?;
        self.entries.as_mut_slice().get_mut(i).map(|(_, v)| v)
    }

    /// Creates or replaces; gives what was there. [`Errno::NOMEM`] if there is no room.
    pub fn insert(&mut self, key: K, value: V) -> Result<Option<V>, Errno> {
        let (at, found) = self.find(&key);
        if let Some((_, old)) = found.and_then(|i| self.entries.as_mut_slice().get_mut(i)) {
            return Ok(Some(core::mem::replace(old, value)));
        }
        let i = self.len() as u32;
        self.entries.push((key, value)).map_err(|_| Errno::NOMEM)?;
        if let Some(place) = self.index.as_mut_slice().get_mut(at) {
            *place = i;
        }
        Ok(None)
    }

    /// Keys and values, in the order of their first insertion.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.as_slice().iter().map(|(k, v)| (k, v))
    }
}
