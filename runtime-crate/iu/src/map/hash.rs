// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use core::marker::PhantomData;

use super::Plain;
use crate::sys::{locked, value::MapCell};
use crate::{Errno, abi};

macro_rules! hash {
    ($(#[$doc:meta])* $name:ident, $kind:ident, $get:literal) => {
        $(#[$doc])*
        #[repr(transparent)]
        pub struct $name<K, V, const N: u32> {
            cell: MapCell,
            _kv: PhantomData<(K, V)>,
        }

        // Without bounds, so that an error is about the type and not about this.
        impl<K, V, const N: u32> $name<K, V, N> {
            #[doc(hidden)]
            pub const fn __named(self, name: &str) -> Self {
                $name { cell: self.cell.named(name), _kv: PhantomData }
            }
        }

        impl<K: Plain, V: Plain, const N: u32> $name<K, V, N> {
            /// The initial value of a static with `#[map]`.
            #[allow(clippy::new_without_default)]
            pub const fn new() -> Self {
                $name { cell: MapCell::new::<K, V>(abi::map_type::$kind, N), _kv: PhantomData }
            }

            #[doc = $get]
            #[inline]
            pub fn get(&self, key: &K) -> Option<V> {
                self.cell.get(key)
            }

            /// Whether the key is there.
            #[inline]
            pub fn contains_key(&self, key: &K) -> bool {
                self.cell.contains(key)
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
    };
}

macro_rules! shared {
    ($name:ident) => {
        impl<K: Plain, const N: u32> $name<K, u64, N> {
            /// Adds to the key's value atomically (wrapping) and returns what it was.
            /// If another CPU removes the key meanwhile, another key's value may be what
            /// is added to.
            #[inline]
            pub fn fetch_add(&self, key: &K, n: u64) -> Option<u64> {
                locked::fetch_add_key(&self.cell, key, n)
            }
        }
    };
}

macro_rules! per_cpu {
    ($name:ident) => {
        impl<K: Plain, V: Plain, const N: u32> $name<K, V, N> {
            /// Replaces this CPU's value by `f` of it; false if the key is not there. Of a
            /// program that interrupts this one in `f`, the change to the same value is lost.
            #[inline]
            pub fn update(&self, key: &K, f: impl FnOnce(V) -> V) -> bool {
                self.cell.update(key, f)
            }
        }
    };
}

hash! {
    /// Up to `N` values by key (`BPF_MAP_TYPE_HASH`, memory taken up front).
    HashMap, HASH,
    "A copy of the key's value. If another CPU removes the key meanwhile, its memory may already hold another key's value."
}
shared!(HashMap);

hash! {
    /// About `N` values by key; a new one takes the place of one that was not used for
    /// long (`BPF_MAP_TYPE_LRU_HASH`). The kernel keeps lists for each CPU, so a small map
    /// drops keys before `N` are there.
    LruHash, LRU_HASH,
    "A copy of the key's value, which now counts as used. If the key is removed meanwhile, its memory may already hold another key's value."
}
shared!(LruHash);

hash! {
    /// Up to `N` keys with a value on each CPU (`BPF_MAP_TYPE_PERCPU_HASH`). A program sees
    /// its own CPU's; on the others a new key's value is zero. User space sees all.
    PerCpuHash, PERCPU_HASH,
    "A copy of the key's value on this CPU."
}
per_cpu!(PerCpuHash);

hash! {
    /// As [`PerCpuHash`], with the replacement of [`LruHash`]
    /// (`BPF_MAP_TYPE_LRU_PERCPU_HASH`).
    LruPerCpuHash, LRU_PERCPU_HASH,
    "A copy of the key's value on this CPU, which now counts as used."
}
per_cpu!(LruPerCpuHash);
