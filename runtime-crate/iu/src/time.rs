// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Clocks.

/// `CLOCK_MONOTONIC` in nanoseconds.
#[inline]
pub fn ktime_ns() -> u64 {
    crate::sys::ktime_ns()
}
