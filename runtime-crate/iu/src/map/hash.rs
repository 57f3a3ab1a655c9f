// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use core::marker::PhantomData;

use super::Plain;
use crate::sys::value::MapCell;
use crate::{Errno, abi};

/// Up to `N` values by key (`BPF_MAP_TYPE_HASH`, memory taken up front).
#[repr(transparent)]
pub struct HashMap<K, V, const N: u32> {
    cell: MapCell,
    _kv: PhantomData<(K, V)>,
}

// Without bounds, so that an error is about the type and not about this.
impl<K, V, const N: u32> HashMap<K, V, N> {
    #[doc(hidden)]
    pub const fn __named(self, name: &str) -> Self {
        HashMap { cell: self.cell.named(name), _kv: PhantomData }
    }
}

impl<K: Plain, V: Plain, const N: u32> HashMap<K, V, N> {
    /// The initial value of a static with `#[map]`.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        HashMap { cell: MapCell::new::<K, V>(abi::map_type::HASH, N), _kv: PhantomData }
    }

    /// A copy of the key's value. If another CPU removes the key meanwhile, its
    /// memory may already hold another key's value.
    #[inline]
    pub fn get(&self, key: &K) -> Option<V> {
        self.cell.get(key)
    }

    /// Whether the key is there.
    #[inline]
    pub fn contains_key(&self, key: &K) -> bool {
        self.cell.get::<K, V>(key).is_some()
    }

    /// Creates or replaces. [`Errno::TOO_BIG`] if the map is full.
    #[inline]
    pub fn insert(&self, key: &K, value: &V) -> Result<(), Errno> {
        self.cell.put(key, value, abi::update::ANY)
    }

    /// Creates. [`Errno::EXIST`] if the key is there.
    #[inline]
    pub fn insert_new(&self, key: &K, value: &V) -> Result<(), Errno> {
        self.cell.put(key, value, abi::update::NOEXIST)
    }

    /// Replaces. [`Errno::NOENT`] if the key is not there.
    #[inline]
    pub fn replace(&self, key: &K, value: &V) -> Result<(), Errno> {
        self.cell.put(key, value, abi::update::EXIST)
    }

    /// Removes. [`Errno::NOENT`] if the key is not there.
    #[inline]
    pub fn remove(&self, key: &K) -> Result<(), Errno> {
        self.cell.delete(key)
    }
}
