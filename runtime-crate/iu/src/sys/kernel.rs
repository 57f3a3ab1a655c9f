// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! The runtime's symbols (`IU_RT_FUNCTIONS` of `iu_abi.h`) and the panic handler.
//!
//! What the runtime promises, and `sys::host` keeps as well:
//! - pointers from `iu_rt_map_lookup` hold a whole value, aligned to 8 bytes,
//!   until the program returns (RCU); its content may change under the reader;
//! - keys, values and packet pieces are copied before a call returns;
//! - `adjust` and `pull` refresh the context, and only they and `store` change it.

use core::panic::PanicInfo;

use crate::abi;

unsafe extern "C" {
    pub(crate) fn iu_rt_panic(file: *const u8, file_len: u64, line: u32, col: u32) -> !;
    pub(crate) fn iu_rt_map_lookup(map: *mut abi::Map, key: *const u8) -> *mut u8;
    pub(crate) fn iu_rt_map_update(
        map: *mut abi::Map,
        key: *const u8,
        value: *const u8,
        flags: u64,
    ) -> u64;
    pub(crate) fn iu_rt_map_delete(map: *mut abi::Map, key: *const u8) -> u64;
    pub(crate) fn iu_rt_lock(lock: *mut u32);
    pub(crate) fn iu_rt_unlock(lock: *mut u32);
    pub(crate) fn iu_rt_ktime_ns() -> u64;
    pub(crate) fn iu_rt_cpu() -> u32;
    pub(crate) fn iu_rt_random() -> u32;
    pub(crate) fn iu_rt_log(level: u32, msg: *const u8, len: u64);
    pub(crate) fn iu_rt_xdp_adjust_head(ctx: *mut abi::XdpBuff, delta: i32) -> u64;
    pub(crate) fn iu_rt_xdp_adjust_tail(ctx: *mut abi::XdpBuff, delta: i32) -> u64;
    pub(crate) fn iu_rt_tc_pull(ctx: *mut abi::CtxTc, len: u32) -> u64;
    pub(crate) fn iu_rt_tc_load(ctx: *mut abi::CtxTc, off: u32, to: *mut u8, len: u32) -> u64;
    pub(crate) fn iu_rt_tc_store(ctx: *mut abi::CtxTc, off: u32, from: *const u8, len: u32) -> u64;
}

/// Value of a parameter: the runtime set it before the program could run, and it
/// stays.
#[inline(always)]
pub(crate) unsafe fn param_value(p: *const abi::Param) -> u64 {
    // SAFETY: the caller passes a parameter's static.
    unsafe { (*p).value }
}

/// Only the place goes out: formatting the message would link `core::fmt`.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let (file, line, col) = match info.location() {
        Some(l) => (l.file(), l.line(), l.column()),
        None => ("", 0, 0),
    };
    // SAFETY: pointer and length are a string's; the call does not return.
    unsafe { iu_rt_panic(file.as_ptr(), file.len() as u64, line, col) }
}
