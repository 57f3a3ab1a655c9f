// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use super::Plain;
use crate::abi;
use crate::sys::locked::{Held, Locked};
use crate::sys::value::MapCell;

/// `N` values, each with a lock of its own, changed in place
/// (`BPF_MAP_TYPE_ARRAY` of `{u32 lock; V}`).
///
/// A program holds one lock at a time: taking a second one is a fault that ends
/// it. Interrupts are off while it is held, so hold it shortly. A program that
/// panics or is ended while it holds the lock leaves the value as it then was,
/// and unlocked.
///
/// User space sees the values through the map's own calls, which do not take the
/// lock: what it reads may be half written, and it must not write while programs run.
#[repr(transparent)]
pub struct LockedArray<V, const N: u32> {
    cell: MapCell,
    _value: PhantomData<V>,
}

// Without bounds, so that an error is about the type and not about this.
impl<V, const N: u32> LockedArray<V, N> {
    #[doc(hidden)]
    pub const fn __named(self, name: &str) -> Self {
        LockedArray { cell: self.cell.named(name), _value: PhantomData }
    }
}

impl<V: Plain, const N: u32> LockedArray<V, N> {
    /// The initial value of a static with `#[map]`.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        LockedArray {
            cell: MapCell::new::<u32, Locked<V>>(abi::map_type::ARRAY, N),
            _value: PhantomData,
        }
    }

    /// Number of values.
    pub const fn len(&self) -> u32 {
        N
    }

    /// Never: an array has one value at least.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Locks value `i` until the guard is dropped; `None` beyond the end.
    #[inline(always)]
    pub fn lock(&self, i: u32) -> Option<Guard<'_, V>> {
        Held::take(&self.cell, i, N).map(|held| Guard { held })
    }
}

/// As [`LockedArray`], but how many values there are is said at installation, by a
/// parameter that the project file names: `[map.NAME] entries = "PARAMETER"`. `MAX` is the most.
///
/// On the host there are `MAX`, and 4096 at most.
#[repr(transparent)]
pub struct SizedLockedArray<V, const MAX: u32> {
    cell: MapCell,
    _value: PhantomData<V>,
}

// Without bounds, so that an error is about the type and not about this.
impl<V, const MAX: u32> SizedLockedArray<V, MAX> {
    #[doc(hidden)]
    pub const fn __named(self, name: &str) -> Self {
        SizedLockedArray { cell: self.cell.named(name), _value: PhantomData }
    }
}

impl<V: Plain, const MAX: u32> SizedLockedArray<V, MAX> {
    /// The initial value of a static with `#[map]`.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        SizedLockedArray {
            cell: MapCell::new::<u32, Locked<V>>(abi::map_type::ARRAY, MAX)
                .with_role(abi::map_role::SIZED),
            _value: PhantomData,
        }
    }

    /// Number of values, one at least.
    #[inline(always)]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u32 {
        self.cell.entries()
    }

    /// Locks value `i` until the guard is dropped; `None` beyond the end.
    #[inline(always)]
    pub fn lock(&self, i: u32) -> Option<Guard<'_, V>> {
        Held::take(&self.cell, i, self.cell.entries()).map(|held| Guard { held })
    }
}

/// Exclusive access to a value of a [`LockedArray`]; unlocks when dropped. It
/// stays on its CPU.
///
/// ```compile_fail,E0277
/// fn send<T: Send>(_: T) {}
/// # use iu::prelude::*;
/// #[map]
/// static M: LockedArray<u64, 1> = LockedArray::new();
/// send(M.lock(0));
/// ```
#[must_use = "a lock that is dropped at once protects nothing"]
pub struct Guard<'a, V: Plain> {
    held: Held<'a, V>,
}

impl<V: Plain> Deref for Guard<'_, V> {
    type Target = V;

    #[inline(always)]
    fn deref(&self) -> &V {
        self.held.value()
    }
}

impl<V: Plain> DerefMut for Guard<'_, V> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut V {
        self.held.value_mut()
    }
}
