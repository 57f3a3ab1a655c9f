// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Random numbers.

/// A pseudo-random number. (`get_random_u32` or what is like it: do not make keys
/// from it)
#[inline]
pub fn u32() -> u32 {
    crate::sys::random()
}
