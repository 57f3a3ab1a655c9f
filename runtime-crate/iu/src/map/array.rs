// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use core::marker::PhantomData;

use super::Plain;
use crate::sys::{locked, value::MapCell};
use crate::{Errno, abi};

/// `N` values, all there from the start and zero (`BPF_MAP_TYPE_ARRAY`). Reading
/// one is an index check and a load.
#[repr(transparent)]
pub struct Array<V, const N: u32> {
    cell: MapCell,
    _value: PhantomData<V>,
}

// Without bounds, so that an error is about the type and not about this.
impl<V, const N: u32> Array<V, N> {
    #[doc(hidden)]
    pub const fn __named(self, name: &str) -> Self {
        Array { cell: self.cell.named(name), _value: PhantomData }
    }
}

impl<V: Plain, const N: u32> Array<V, N> {
    /// The initial value of a static with `#[map]`.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Array { cell: MapCell::new::<u32, V>(abi::map_type::ARRAY, N), _value: PhantomData }
    }

    /// Number of values.
    pub const fn len(&self) -> u32 {
        N
    }

    /// Never: an array has one value at least.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// A copy of value `i`; `None` beyond the end.
    #[inline(always)]
    pub fn get(&self, i: u32) -> Option<V> {
        self.cell.get_at(i, N)
    }

    /// Replaces value `i`. [`Errno::TOO_BIG`] beyond the end.
    #[inline(always)]
    pub fn set(&self, i: u32, v: V) -> Result<(), Errno> {
        self.cell.set_at(i, N, &v)
    }
}

impl<const N: u32> Array<u64, N> {
    /// Adds to value `i` atomically (wrapping) and returns what it was.
    #[inline(always)]
    pub fn fetch_add(&self, i: u32, n: u64) -> Option<u64> {
        locked::fetch_add_u64(&self.cell, i, N, n)
    }
}

impl<const N: u32> Array<u32, N> {
    /// Adds to value `i` atomically (wrapping) and returns what it was.
    #[inline(always)]
    pub fn fetch_add(&self, i: u32, n: u32) -> Option<u32> {
        locked::fetch_add_u32(&self.cell, i, N, n)
    }
}
