// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! The current task: the one this CPU runs or, where a program interrupts, the one
//! that was interrupted and may have nothing to do with the event.

use crate::sys::trace;

/// Number of the thread (`gettid`), in the initial PID namespace.
#[inline]
pub fn tid() -> u32 {
    trace::task_id() as u32
}

/// Number of the process (`getpid`), in the initial PID namespace.
#[inline]
pub fn pid() -> u32 {
    (trace::task_id() >> 32) as u32
}

/// User, in the initial user namespace.
#[inline]
pub fn uid() -> u32 {
    trace::task_user() as u32
}

/// Group, in the initial user namespace.
#[inline]
pub fn gid() -> u32 {
    (trace::task_user() >> 32) as u32
}

/// Name of the thread, padded with NULs.
#[inline]
pub fn comm() -> [u8; 16] {
    trace::task_comm()
}
