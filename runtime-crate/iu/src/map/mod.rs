// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Maps: real BPF maps, shared with other programs and with user space.
//!
//! ```
//! use iu::prelude::*;
//!
//! #[plain]
//! struct Flow { packets: u64, bytes: u64 }
//!
//! #[map]
//! static FLOWS: HashMap<u32, Flow, 1024> = HashMap::new();
//! # let _ = FLOWS.get(&1);
//! ```
//!
//! A map is a `static` with [`macro@crate::map`]; its name is the static's in lower
//! case. Values are [`Plain`] data and are copied in and out: another CPU, or user
//! space, may write the same value at any time, so a copy of more than one word may
//! mix old and new. [`LockedArray`] gives exclusive access in place, the per-CPU forms
//! a value of its own to each CPU, and numbers can be added to atomically.
//!
//! Two kinds of eBPF map have no counterpart. A program array is a function: a
//! program calls what it likes, and the stack is bounded. A map of maps exchanges a whole
//! map under a running program: here a program is exchanged with its maps, as a whole.

mod array;
mod gaps;
mod hash;
mod locked;
mod lpm;
mod percpu;
mod queue;
mod ring;
mod stack_trace;
mod target;

pub use array::Array;
pub use gaps::Gaps;
pub use hash::{HashMap, LruHash, LruPerCpuHash, PerCpuHash};
pub use locked::{Guard, LockedArray, SizedLockedArray};
pub use lpm::LpmTrie;
pub use percpu::PerCpuArray;
pub use queue::{Bloom, Queue, Stack};
pub use ring::{PerfEventArray, Record, RingBuf, Room};
pub use stack_trace::StackTrace;
pub use target::{CpuMap, DevMap, DevMapHash};

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// What keys and values are: data that any bytes form a value of, without padding
/// and without references. `#[iu::plain]` on a struct makes it so.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not plain data",
    label = "keys and values of maps are plain data",
    note = "put `#[iu::plain]` on the struct: fields of integers, byte-order types and arrays, and no padding"
)]
pub trait Plain: FromBytes + IntoBytes + Immutable + Sized + 'static {}

#[diagnostic::do_not_recommend]
impl<T: FromBytes + IntoBytes + Immutable + Sized + 'static> Plain for T {}

mod sealed {
    pub trait Sealed {}
}

/// What `#[map]` accepts.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a map",
    label = "a map is an Array, a HashMap or another type of iu::map"
)]
pub trait IsMap: sealed::Sealed {}

macro_rules! is_map {
    ($($t:ident<$($v:ident),*>)*) => {$(
        impl<$($v: Plain,)* const N: u32> sealed::Sealed for $t<$($v,)* N> {}
        impl<$($v: Plain,)* const N: u32> IsMap for $t<$($v,)* N> {}
    )*};
}

is_map! {
    Array<V> Bloom<V> CpuMap<> DevMap<> DevMapHash<> Gaps<> HashMap<K, V> LockedArray<V> LpmTrie<K, V>
    LruHash<K, V> LruPerCpuHash<K, V> PerCpuArray<V> PerCpuHash<K, V> PerfEventArray<> Queue<V>
    RingBuf<> SizedLockedArray<V> Stack<V> StackTrace<>
}
