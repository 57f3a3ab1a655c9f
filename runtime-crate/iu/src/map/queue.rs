// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use core::marker::PhantomData;

use super::Plain;
use crate::sys::value::MapCell;
use crate::{Errno, abi};

macro_rules! queue {
    ($(#[$doc:meta])* $name:ident, $kind:ident, $which:literal) => {
        $(#[$doc])*
        #[repr(transparent)]
        pub struct $name<V, const N: u32> {
            cell: MapCell,
            _value: PhantomData<V>,
        }

        // Without bounds, so that an error is about the type and not about this.
        impl<V, const N: u32> $name<V, N> {
            #[doc(hidden)]
            pub const fn __named(self, name: &str) -> Self {
                $name { cell: self.cell.named(name), _value: PhantomData }
            }
        }

        impl<V: Plain, const N: u32> $name<V, N> {
            /// The initial value of a static with `#[map]`.
            #[allow(clippy::new_without_default)]
            pub const fn new() -> Self {
                $name {
                    cell: MapCell::sized::<V>(abi::map_type::$kind, 0, N, 0),
                    _value: PhantomData,
                }
            }

            /// Adds a value. [`Errno::TOO_BIG`] if there are `N`; [`Errno::BUSY`] in NMI if the
            /// map is in use.
            #[inline]
            pub fn push(&self, value: &V) -> Result<(), Errno> {
                self.cell.push(value, abi::update::ANY)
            }

            /// Adds a value; if there are `N`, the oldest makes room.
            #[inline]
            pub fn push_over(&self, value: &V) -> Result<(), Errno> {
                self.cell.push(value, abi::update::EXIST)
            }

            #[doc = concat!("Takes the ", $which, " value.")]
            #[inline]
            pub fn pop(&self) -> Option<V> {
                self.cell.pop()
            }

            #[doc = concat!("A copy of the ", $which, " value.")]
            #[inline]
            pub fn peek(&self) -> Option<V> {
                self.cell.peek()
            }
        }
    };
}

queue! {
    /// Up to `N` values, first in, first out (`BPF_MAP_TYPE_QUEUE`).
    Queue, QUEUE, "oldest"
}

queue! {
    /// Up to `N` values, last in, first out (`BPF_MAP_TYPE_STACK`).
    Stack, STACK, "newest"
}

/// A set that may take a value for a member that is none, but never the other way
/// round; made for `N` values (`BPF_MAP_TYPE_BLOOM_FILTER`, five hashes).
#[repr(transparent)]
pub struct Bloom<V, const N: u32> {
    cell: MapCell,
    _value: PhantomData<V>,
}

// Without bounds, so that an error is about the type and not about this.
impl<V, const N: u32> Bloom<V, N> {
    #[doc(hidden)]
    pub const fn __named(self, name: &str) -> Self {
        Bloom { cell: self.cell.named(name), _value: PhantomData }
    }
}

impl<V: Plain, const N: u32> Bloom<V, N> {
    /// The initial value of a static with `#[map]`.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Bloom {
            cell: MapCell::sized::<V>(abi::map_type::BLOOM_FILTER, 0, N, 0),
            _value: PhantomData,
        }
    }

    /// Adds a value.
    #[inline]
    pub fn insert(&self, value: &V) -> Result<(), Errno> {
        self.cell.push(value, abi::update::ANY)
    }

    /// False only if the value was never added.
    #[inline]
    pub fn may_contain(&self, value: &V) -> bool {
        self.cell.may_contain(value)
    }
}
