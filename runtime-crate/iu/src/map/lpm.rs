// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use core::marker::PhantomData;
use core::mem::size_of;

use zerocopy::Unaligned;

use super::Plain;
use crate::sys::value::{LpmKey, MapCell};
use crate::{Errno, abi};

/// Up to `N` values by prefix; the longest that matches is found
/// (`BPF_MAP_TYPE_LPM_TRIE`). A key is bytes, most significant first: `[u8; 4]` for an
/// IPv4 address, `[u8; 16]` for IPv6.
///
/// [`Errno::BUSY`] if it is changed in NMI.
#[repr(transparent)]
pub struct LpmTrie<K, V, const N: u32> {
    cell: MapCell,
    _kv: PhantomData<(K, V)>,
}

// Without bounds, so that an error is about the type and not about this.
impl<K, V, const N: u32> LpmTrie<K, V, N> {
    #[doc(hidden)]
    pub const fn __named(self, name: &str) -> Self {
        LpmTrie { cell: self.cell.named(name), _kv: PhantomData }
    }
}

impl<K: Plain + Unaligned + Copy, V: Plain, const N: u32> LpmTrie<K, V, N> {
    /// Bits of a whole key.
    pub const BITS: u32 = size_of::<K>() as u32 * 8;

    /// The initial value of a static with `#[map]`.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        assert!(size_of::<K>() > 0 && size_of::<K>() <= 256, "a key has 1 to 256 bytes");
        let flags = abi::map_flags::NO_PREALLOC;
        LpmTrie {
            cell: MapCell::sized::<V>(abi::map_type::LPM_TRIE, 4 + size_of::<K>(), N, flags),
            _kv: PhantomData,
        }
    }

    /// A copy of the value of the longest prefix of `key`.
    #[inline]
    pub fn get(&self, key: &K) -> Option<V> {
        self.cell.lpm_get(&LpmKey { prefix_len: Self::BITS, data: *key })
    }

    /// Creates or replaces the value of the first `prefix_len` bits of `key`.
    /// [`Errno::NOSPC`] if the map is full.
    #[inline]
    pub fn insert(&self, prefix_len: u32, key: &K, value: &V) -> Result<(), Errno> {
        self.cell.lpm_put(&LpmKey { prefix_len, data: *key }, value)
    }

    /// Removes exactly this prefix. [`Errno::NOENT`] if it is not there.
    #[inline]
    pub fn remove(&self, prefix_len: u32, key: &K) -> Result<(), Errno> {
        self.cell.lpm_delete(&LpmKey { prefix_len, data: *key })
    }
}
