// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! What the runtime says of the kernel. It is not trusted with anything: memory is read by
//! it through `crate::read`, into room whose size the extension knows.

use core::cell::UnsafeCell;

use super::rt;
use crate::abi;

/// A kernel relocation. The cell keeps the compiler from taking zeros for the result.
#[repr(transparent)]
pub struct KRelocCell(UnsafeCell<abi::KReloc>);

// SAFETY: nobody writes it while a program can run.
unsafe impl Sync for KRelocCell {}

/// The result, as the runtime has set it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Resolved {
    pub(crate) exists: bool,
    pub(crate) offset: u32,
    pub(crate) size: u32,
    pub(crate) bits: u32,
    pub(crate) value: u64,
}

impl KRelocCell {
    pub(crate) const fn new(r: abi::KReloc) -> KRelocCell {
        KRelocCell(UnsafeCell::new(r))
    }

    #[inline(always)]
    pub(crate) fn resolved(&self) -> Resolved {
        // SAFETY: a live record, which nobody writes while a program can run.
        rt::kreloc(unsafe { &*self.0.get() })
    }
}
