// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! What may be changed in place: values under a lock, and atomics.

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::rt;
use super::value::MapCell;
use crate::map::Plain;

/// Memory of one value of a locked array.
#[repr(C)]
pub(crate) struct Locked<V> {
    lock: u32,
    value: V,
}

/// A held lock. Dropping it unlocks; the runtime knows of it and unlocks if the
/// program ends in any other way.
pub(crate) struct Held<'a, V> {
    at: NonNull<Locked<V>>,
    _map: PhantomData<(&'a MapCell, *mut V)>,
}

impl<'a, V: Plain> Held<'a, V> {
    #[inline(always)]
    pub(crate) fn take(map: &'a MapCell, i: u32, max_entries: u32) -> Option<Held<'a, V>> {
        let at = NonNull::new(map.ptr_at(i, max_entries)?.cast::<Locked<V>>())?;
        // SAFETY: the value lives as long as the map is bound; a second lock of this
        // program ends it here, so there is one Held at a time.
        unsafe { rt::iu_rt_lock(&raw mut (*at.as_ptr()).lock) };
        Some(Held { at, _map: PhantomData })
    }

    #[inline(always)]
    pub(crate) fn value(&self) -> &V {
        // SAFETY: the lock is held, so programs do not write it; any bytes are a V.
        unsafe { &(*self.at.as_ptr()).value }
    }

    #[inline(always)]
    pub(crate) fn value_mut(&mut self) -> &mut V {
        // SAFETY: the lock is held by the one Held of this program; any bytes are a V.
        unsafe { &mut (*self.at.as_ptr()).value }
    }
}

impl<V> Drop for Held<'_, V> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: taken in `take`, and dropped once.
        unsafe { rt::iu_rt_unlock(&raw mut (*self.at.as_ptr()).lock) };
    }
}

#[inline(always)]
pub(crate) fn fetch_add_u64(map: &MapCell, i: u32, max_entries: u32, n: u64) -> Option<u64> {
    let p = map.ptr_at(i, max_entries)?;
    // SAFETY: a value of an array is aligned to 8 bytes and lives as long as the map is bound.
    Some(unsafe { AtomicU64::from_ptr(p.cast()) }.fetch_add(n, Ordering::Relaxed))
}

#[inline(always)]
pub(crate) fn fetch_add_u32(map: &MapCell, i: u32, max_entries: u32, n: u32) -> Option<u32> {
    let p = map.ptr_at(i, max_entries)?;
    // SAFETY: a value of an array is aligned to 8 bytes and lives as long as the map is bound.
    Some(unsafe { AtomicU32::from_ptr(p.cast()) }.fetch_add(n, Ordering::Relaxed))
}

#[inline(always)]
pub(crate) fn fetch_add_key<K: Plain>(map: &MapCell, key: &K, n: u64) -> Option<u64> {
    let p = map.lookup(key)?;
    // SAFETY: a value of a hash map is aligned to 8 bytes and its memory stays until the
    // program returns.
    Some(unsafe { AtomicU64::from_ptr(p.cast()) }.fetch_add(n, Ordering::Relaxed))
}
