// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use crate::sys::value::MapCell;
use crate::{Errno, abi};

/// Frames of a stack that are kept.
const DEPTH: usize = 127;

/// Up to `N` stacks of up to 127 addresses, by a number made of their content, for user
/// space to read (`BPF_MAP_TYPE_STACK_TRACE`).
#[repr(transparent)]
pub struct StackTrace<const N: u32> {
    cell: MapCell,
}

impl<const N: u32> StackTrace<N> {
    #[doc(hidden)]
    pub const fn __named(self, name: &str) -> Self {
        StackTrace { cell: self.cell.named(name) }
    }

    /// The initial value of a static with `#[map]`.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        StackTrace { cell: MapCell::sized::<[u64; DEPTH]>(abi::map_type::STACK_TRACE, 4, N, 0) }
    }

    /// Keeps the kernel's stack from the hook down and returns its number.
    /// [`Errno::EXIST`] if another stack has the number's place. (`bpf_get_stackid`)
    #[inline]
    pub fn kernel(&self) -> Result<u32, Errno> {
        self.cell.stack_id(0)
    }

    /// As [`kernel`](Self::kernel); another stack in the same place makes room.
    #[inline]
    pub fn kernel_over(&self) -> Result<u32, Errno> {
        self.cell.stack_id(abi::call::REUSE_STACKID)
    }

    /// Keeps the stack of the current task in user space. [`Errno::FAULT`] if there is
    /// none, as in an interrupt of the idle task.
    #[inline]
    pub fn user(&self) -> Result<u32, Errno> {
        self.cell.stack_id(abi::call::USER_STACK)
    }
}
