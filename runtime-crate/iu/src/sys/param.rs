// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Parameters: statics that the runtime writes before a program may run.

use core::cell::UnsafeCell;

use super::rt;
use crate::abi;

/// A parameter's descriptor. The cell keeps the compiler from taking the default
/// for the value.
#[repr(transparent)]
pub(crate) struct ParamCell(UnsafeCell<abi::Param>);

// SAFETY: nobody writes it while a program can run.
unsafe impl Sync for ParamCell {}

impl ParamCell {
    pub(crate) const fn new(p: abi::Param) -> ParamCell {
        ParamCell(UnsafeCell::new(p))
    }

    #[inline(always)]
    pub(crate) fn value(&self) -> u64 {
        // SAFETY: a live descriptor.
        unsafe { rt::param_value(self.0.get()) }
    }

    #[cfg(not(target_os = "none"))]
    pub(crate) fn descriptor(&self) -> &abi::Param {
        // SAFETY: nothing writes a descriptor in user space.
        unsafe { &*self.0.get() }
    }
}
