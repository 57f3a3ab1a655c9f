// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Collections in a region: raw memory that is partly initialised.

use core::cell::{Cell, UnsafeCell};
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::slice;

use super::guard::Region;
use crate::Errno;

/// Memory of an arena: `SLOTS` regions and a word for each.
#[repr(C, align(16))]
pub(crate) struct Pool<const BYTES: usize, const SLOTS: usize> {
    memory: UnsafeCell<[[u8; BYTES]; SLOTS]>,
    words: UnsafeCell<[u32; SLOTS]>,
}

// SAFETY: a region belongs to the one run that has made its word 1.
unsafe impl<const BYTES: usize, const SLOTS: usize> Sync for Pool<BYTES, SLOTS> {}

impl<const BYTES: usize, const SLOTS: usize> Pool<BYTES, SLOTS> {
    pub(crate) const fn new() -> Self {
        assert!(BYTES.is_multiple_of(16) && BYTES > 0, "a region is a multiple of 16 bytes");
        assert!(SLOTS > 0 && SLOTS <= 1024, "an arena has 1 to 1024 regions");
        Pool { memory: UnsafeCell::new([[0; BYTES]; SLOTS]), words: UnsafeCell::new([0; SLOTS]) }
    }

    #[inline]
    pub(crate) fn take(&self) -> Result<Bump<'_>, Errno> {
        // SAFETY: addresses of a live pool.
        let (words, base) = unsafe {
            (
                NonNull::new_unchecked(self.words.get().cast::<u32>()),
                NonNull::new_unchecked(self.memory.get().cast::<u8>()),
            )
        };
        // SAFETY: the words are written by the runtime alone, the regions reached from here
        // alone; both live as long as the pool.
        let region = unsafe { Region::take(words, base, SLOTS as u32, BYTES)? };
        Ok(Bump { region, used: Cell::new(0) })
    }
}

/// A region of which more and more is given out, all of it free again at the end.
pub(crate) struct Bump<'a> {
    region: Region<'a>,
    used: Cell<usize>,
}

impl Bump<'_> {
    pub(crate) fn used(&self) -> usize {
        self.used.get()
    }

    /// Room for `n` values, which nothing else has.
    #[inline]
    pub(crate) fn room<T>(&self, n: usize) -> Result<Raw<'_, T>, Errno> {
        let (at, used) = self.region.carve::<T>(self.used.get(), n).ok_or(Errno::NOMEM)?;
        self.used.set(used);
        Ok(Raw { at, len: 0, room: n, _region: PhantomData })
    }
}

/// Room for `room` values, the first `len` of which are there.
pub(crate) struct Raw<'a, T> {
    at: NonNull<T>,
    len: usize,
    room: usize,
    _region: PhantomData<(&'a (), T, *mut ())>,
}

impl<'a, T> Raw<'a, T> {
    pub(crate) fn capacity(&self) -> usize {
        self.room
    }

    #[inline]
    pub(crate) fn push(&mut self, value: T) -> Result<(), T> {
        if self.len == self.room {
            return Err(value);
        }
        // SAFETY: len < room.
        unsafe { self.at.add(self.len).write(value) };
        self.len += 1;
        Ok(())
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        // SAFETY: it was there, and is no more counted.
        Some(unsafe { self.at.add(self.len).read() })
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[T] {
        // SAFETY: the first len values are there.
        unsafe { slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }

    #[inline]
    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: the first len values are there, and this is the one way to them.
        unsafe { slice::from_raw_parts_mut(self.at.as_ptr(), self.len) }
    }

    /// For the rest of the region's life; only what need not be dropped.
    #[inline]
    pub(crate) fn leak(mut self) -> &'a mut [T] {
        const { assert!(!core::mem::needs_drop::<T>(), "what is left in an arena is not dropped") };
        let (at, len) = (self.at, self.len);
        self.len = 0;
        // SAFETY: the first len values are there, the room was given out once, and `'a` is
        // a borrow of the region.
        unsafe { slice::from_raw_parts_mut(at.as_ptr(), len) }
    }
}

impl<T> Drop for Raw<'_, T> {
    #[inline]
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

/// Whether bytes are UTF-8 was known when they were written.
#[inline]
pub(crate) fn text(b: &[u8]) -> &str {
    // SAFETY: only whole strings are appended to a `arena::String`.
    unsafe { core::str::from_utf8_unchecked(b) }
}
