// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! The CPU a program runs on.

/// Number of this CPU. A program stays on it until it returns.
#[inline]
pub fn id() -> u32 {
    crate::sys::cpu()
}
