// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use super::Plain;
use crate::sys::ring::{self, Reserved, Written};
use crate::sys::value::MapCell;
use crate::{Errno, abi};

/// A buffer of `N` bytes, a power of two and pages, that all CPUs write records into and
/// user space reads from (`BPF_MAP_TYPE_RINGBUF`).
///
/// ```
/// use iu::prelude::*;
///
/// #[plain]
/// struct Event { port: u16, len: u16, cpu: u32 }
///
/// #[map]
/// static EVENTS: RingBuf<4096> = RingBuf::new();
///
/// if let Some(room) = EVENTS.reserve::<Event>() {
///     let mut event = room.write(Event { port: 80, len: 0, cpu: cpu::id() });
///     event.len = 42;
///     event.submit();
/// }
/// # assert_eq!(iu::host::records(&EVENTS), [[80, 0, 42, 0, 0, 0, 0, 0]]);
/// ```
///
/// A reservation that is dropped is discarded, and so is one that a program holds when it
/// panics or is ended.
#[repr(transparent)]
pub struct RingBuf<const N: u32> {
    cell: MapCell,
}

impl<const N: u32> RingBuf<N> {
    #[doc(hidden)]
    pub const fn __named(self, name: &str) -> Self {
        RingBuf { cell: self.cell.named(name) }
    }

    /// The initial value of a static with `#[map]`.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        assert!(N.is_power_of_two() && N >= 4096, "a ring buffer is a power of two and pages");
        RingBuf { cell: MapCell::sized::<()>(abi::map_type::RINGBUF, 0, N, 0) }
    }

    /// Room for a record; `None` if there is none, or if the program holds eight
    /// things already.
    #[inline(always)]
    pub fn reserve<T: Plain>(&self) -> Option<Room<'_, T>> {
        Reserved::new(&self.cell).map(Room)
    }

    /// Copies a record of any length into the buffer. [`Errno::AGAIN`] if there is no room.
    #[inline]
    pub fn output(&self, record: &[u8]) -> Result<(), Errno> {
        ring::output(&self.cell, record, 0)
    }

    #[cfg(not(target_os = "none"))]
    pub(crate) fn cell(&self) -> &MapCell {
        &self.cell
    }
}

/// Room for a record of a [`RingBuf`], not written yet. It stays on its CPU.
#[must_use = "room that is dropped is given back"]
pub struct Room<'a, T: Plain>(Reserved<'a, T>);

impl<'a, T: Plain> Room<'a, T> {
    /// Writes the record, in place.
    #[inline(always)]
    pub fn write(self, value: T) -> Record<'a, T> {
        Record(self.0.write(value))
    }
}

/// A record of a [`RingBuf`] that user space does not see yet.
#[must_use = "a record that is dropped is discarded"]
pub struct Record<'a, T: Plain>(Written<'a, T>);

impl<T: Plain> Record<'_, T> {
    /// Hands it to user space, which is woken if it waits for it.
    #[inline(always)]
    pub fn submit(self) {
        self.0.submit(0);
    }

    /// Hands it to user space without waking it.
    #[inline(always)]
    pub fn submit_quietly(self) {
        self.0.submit(abi::call::NO_WAKEUP);
    }
}

impl<T: Plain> Deref for Record<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        self.0.value()
    }
}

impl<T: Plain> DerefMut for Record<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        self.0.value_mut()
    }
}

/// Buffers of the CPUs, made by whoever reads them in user space
/// (`BPF_MAP_TYPE_PERF_EVENT_ARRAY`); `N` is at least the number of CPUs.
#[repr(transparent)]
pub struct PerfEventArray<const N: u32> {
    cell: MapCell,
    _value: PhantomData<u32>,
}

impl<const N: u32> PerfEventArray<N> {
    #[doc(hidden)]
    pub const fn __named(self, name: &str) -> Self {
        PerfEventArray { cell: self.cell.named(name), _value: PhantomData }
    }

    /// The initial value of a static with `#[map]`.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        PerfEventArray {
            cell: MapCell::sized::<u32>(abi::map_type::PERF_EVENT_ARRAY, 4, N, 0),
            _value: PhantomData,
        }
    }

    /// Copies a record into this CPU's buffer. [`Errno::NOENT`] if nobody reads it,
    /// [`Errno::NOSPC`] if there is no room.
    #[inline]
    pub fn output<T: Plain>(&self, record: &T) -> Result<(), Errno> {
        self.output_bytes(record.as_bytes())
    }

    /// As [`output`](Self::output), of any length up to 65471 bytes.
    #[inline]
    pub fn output_bytes(&self, record: &[u8]) -> Result<(), Errno> {
        self.cell.perf_output(abi::call::CURRENT_CPU, record)
    }

    #[cfg(not(target_os = "none"))]
    pub(crate) fn cell(&self) -> &MapCell {
        &self.cell
    }
}
