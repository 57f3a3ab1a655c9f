// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use core::marker::PhantomData;

use super::Plain;
use crate::sys::value::MapCell;
use crate::{Errno, abi};

/// `N` values on each CPU, zero from the start (`BPF_MAP_TYPE_PERCPU_ARRAY`). A
/// program sees its own CPU's; user space sees all.
#[repr(transparent)]
pub struct PerCpuArray<V, const N: u32> {
    cell: MapCell,
    _value: PhantomData<V>,
}

// Without bounds, so that an error is about the type and not about this.
impl<V, const N: u32> PerCpuArray<V, N> {
    #[doc(hidden)]
    pub const fn __named(self, name: &str) -> Self {
        PerCpuArray { cell: self.cell.named(name), _value: PhantomData }
    }
}

impl<V: Plain, const N: u32> PerCpuArray<V, N> {
    /// The initial value of a static with `#[map]`.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        PerCpuArray {
            cell: MapCell::new::<u32, V>(abi::map_type::PERCPU_ARRAY, N),
            _value: PhantomData,
        }
    }

    /// A copy of this CPU's value `i`; `None` beyond the end.
    #[inline(always)]
    pub fn get(&self, i: u32) -> Option<V> {
        self.cell.get(&i)
    }

    /// Replaces this CPU's value `i`. [`Errno::TOO_BIG`] beyond the end.
    #[inline(always)]
    pub fn set(&self, i: u32, v: V) -> Result<(), Errno> {
        if self.update(i, |_| v) { Ok(()) } else { Err(Errno::TOO_BIG) }
    }

    /// Replaces this CPU's value `i` by `f` of it; false beyond the end. Of a
    /// program that interrupts this one in `f`, the change to the same value is lost.
    #[inline(always)]
    pub fn update(&self, i: u32, f: impl FnOnce(V) -> V) -> bool {
        self.cell.update(&i, f)
    }
}
