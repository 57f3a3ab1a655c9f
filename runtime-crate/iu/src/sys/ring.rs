// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Reservations in ring buffers.

use core::marker::PhantomData;
use core::mem::{align_of, size_of};
use core::ptr::NonNull;

use super::rt;
use super::value::MapCell;
use crate::map::Plain;
use crate::{Errno, abi};

/// Room in a ring buffer that is the program's alone, written or not. Dropping it discards
/// it; the runtime knows of it and discards it if the program ends in any other way.
pub(crate) struct Reserved<'a, T> {
    at: NonNull<T>,
    /// Not submitted. (It is not forgotten instead, which extensions may not do.)
    held: bool,
    _map: PhantomData<(&'a MapCell, *mut T)>,
}

impl<'a, T: Plain> Reserved<'a, T> {
    #[inline(always)]
    pub(crate) fn new(map: &'a MapCell) -> Option<Reserved<'a, T>> {
        const { assert!(align_of::<T>() <= 8, "a record is aligned to 8 bytes at most") };
        // SAFETY: a bound descriptor of a ring buffer.
        let p = unsafe { rt::iu_rt_ringbuf_reserve(map.bound(), size_of::<T>() as u64) };
        Some(Reserved { at: NonNull::new(p)?.cast(), held: true, _map: PhantomData })
    }

    #[inline(always)]
    pub(crate) fn write(self, value: T) -> Written<'a, T> {
        // SAFETY: size_of::<T>() bytes, aligned to 8, that nobody else may reach yet.
        unsafe { self.at.as_ptr().write(value) };
        Written(self)
    }
}

/// A reservation that holds a value.
pub(crate) struct Written<'a, T>(Reserved<'a, T>);

impl<T: Plain> Written<'_, T> {
    #[inline(always)]
    pub(crate) fn value(&self) -> &T {
        // SAFETY: written, and nobody else reaches it.
        unsafe { self.0.at.as_ref() }
    }

    #[inline(always)]
    pub(crate) fn value_mut(&mut self) -> &mut T {
        // SAFETY: written, and this is the one way to it.
        unsafe { self.0.at.as_mut() }
    }

    #[inline(always)]
    pub(crate) fn submit(mut self, flags: u64) {
        self.0.held = false;
        // SAFETY: reserved in `new`, and given back once.
        unsafe { rt::iu_rt_ringbuf_submit(self.0.at.as_ptr().cast(), flags) }
    }
}

impl<T> Drop for Reserved<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.held {
            // SAFETY: reserved in `new`, and given back once.
            unsafe { rt::iu_rt_ringbuf_discard(self.at.as_ptr().cast(), abi::call::NO_WAKEUP) }
        }
    }
}

#[inline]
pub(crate) fn output(map: &MapCell, data: &[u8], flags: u64) -> Result<(), Errno> {
    // SAFETY: a bound descriptor; pointer and length are a slice's, which is copied.
    Errno::check(unsafe {
        rt::iu_rt_ringbuf_output(map.bound(), data.as_ptr(), data.len() as u64, flags)
    })
}
