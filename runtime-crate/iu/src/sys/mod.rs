// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Everything unsafe: bindings of the runtime's symbols and the few safe
//! primitives over them that the rest of the crate is made of.
//!
//! `rt` is the runtime: `kernel` binds the symbols of `iu_abi.h`, `host` has the
//! same functions in user space. Both keep the promises written in `kernel`.

pub(crate) mod arena;
pub(crate) mod guard;
#[cfg(not(target_os = "none"))]
pub(crate) mod host;
#[cfg(not(target_os = "none"))]
mod host_held;
#[cfg(not(target_os = "none"))]
mod host_map;
#[cfg(not(target_os = "none"))]
mod host_trace;
#[cfg(target_os = "none")]
pub(crate) mod kernel;
pub(crate) mod kreloc;
pub(crate) mod locked;
pub(crate) mod packet;
pub(crate) mod param;
pub(crate) mod ring;
pub(crate) mod trace;
pub(crate) mod value;

#[cfg(not(target_os = "none"))]
pub(crate) use host as rt;
#[cfg(target_os = "none")]
pub(crate) use kernel as rt;

#[inline(always)]
pub(crate) fn ktime_ns() -> u64 {
    // SAFETY: no arguments, callable in any context.
    unsafe { rt::iu_rt_ktime_ns() }
}

#[inline(always)]
pub(crate) fn cpu() -> u32 {
    // SAFETY: no arguments, callable in any context.
    unsafe { rt::iu_rt_cpu() }
}

#[inline(always)]
pub(crate) fn random() -> u32 {
    // SAFETY: no arguments, callable in any context.
    unsafe { rt::iu_rt_random() }
}

pub(crate) fn log(level: u32, msg: &[u8]) {
    // SAFETY: pointer and length are a slice's; the runtime copies it.
    unsafe { rt::iu_rt_log(level, msg.as_ptr(), msg.len() as u64) }
}
