// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! The runtime's symbols (`IU_RT_FUNCTIONS` of `iu_abi.h`) and the panic handler.
//!
//! What the runtime promises, and `sys::host` keeps as well:
//! - pointers from `iu_rt_map_lookup` hold a whole value, aligned to 8 bytes,
//!   until the program returns (RCU); its content may change under the reader;
//! - keys, values and packet pieces are copied before a call returns;
//! - a reservation is the program's alone until it is submitted or discarded, and a
//!   pool's region until it is given back; the runtime does either if the program
//!   ends early;
//! - `adjust` and `pull` refresh the context, and only they and `store` change it.

use core::panic::PanicInfo;

use super::kreloc::Resolved;
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
    pub(crate) fn iu_rt_map_push(map: *mut abi::Map, value: *const u8, flags: u64) -> u64;
    pub(crate) fn iu_rt_map_pop(map: *mut abi::Map, value: *mut u8) -> u64;
    pub(crate) fn iu_rt_map_peek(map: *mut abi::Map, value: *mut u8) -> u64;
    pub(crate) fn iu_rt_map_redirect(map: *mut abi::Map, key: u32, flags: u64) -> u64;
    pub(crate) fn iu_rt_ringbuf_reserve(map: *mut abi::Map, size: u64) -> *mut u8;
    pub(crate) fn iu_rt_ringbuf_submit(sample: *mut u8, flags: u64);
    pub(crate) fn iu_rt_ringbuf_discard(sample: *mut u8, flags: u64);
    pub(crate) fn iu_rt_ringbuf_output(
        map: *mut abi::Map,
        data: *const u8,
        size: u64,
        flags: u64,
    ) -> u64;
    pub(crate) fn iu_rt_perf_output(
        map: *mut abi::Map,
        flags: u64,
        data: *const u8,
        size: u64,
    ) -> u64;
    pub(crate) fn iu_rt_stack_id(map: *mut abi::Map, flags: u64) -> u64;
    pub(crate) fn iu_rt_irq_off();
    pub(crate) fn iu_rt_irq_on();
    pub(crate) fn iu_rt_rcu_lock();
    pub(crate) fn iu_rt_rcu_unlock();
    pub(crate) fn iu_rt_pool_take(words: *mut u32, n: u32) -> u64;
    pub(crate) fn iu_rt_pool_give(word: *mut u32);
    pub(crate) fn iu_rt_read_kernel(to: *mut u8, from: u64, len: u32) -> u64;
    pub(crate) fn iu_rt_read_user(to: *mut u8, from: u64, len: u32) -> u64;
    pub(crate) fn iu_rt_lock(lock: *mut u32);
    pub(crate) fn iu_rt_unlock(lock: *mut u32);
    pub(crate) fn iu_rt_ktime_ns() -> u64;
    pub(crate) fn iu_rt_cpu() -> u32;
    pub(crate) fn iu_rt_random() -> u32;
    pub(crate) fn iu_rt_log(level: u32, msg: *const u8, len: u64);
    pub(crate) fn iu_rt_xdp_adjust_head(ctx: *mut abi::XdpBuff, delta: i32) -> u64;
    pub(crate) fn iu_rt_xdp_adjust_tail(ctx: *mut abi::XdpBuff, delta: i32) -> u64;
    pub(crate) fn iu_rt_xdp_len(ctx: *mut abi::XdpBuff) -> u64;
    pub(crate) fn iu_rt_xdp_load(ctx: *mut abi::XdpBuff, off: u32, to: *mut u8, len: u32) -> u64;
    pub(crate) fn iu_rt_xdp_store(
        ctx: *mut abi::XdpBuff,
        off: u32,
        from: *const u8,
        len: u32,
    ) -> u64;
    pub(crate) fn iu_rt_xdp_redirect(ifindex: u32) -> u64;
    pub(crate) fn iu_rt_tc_redirect(ifindex: u32, flags: u64) -> u64;
    pub(crate) fn iu_rt_tc_clone(ctx: *mut abi::CtxTc, ifindex: u32, flags: u64) -> u64;
    pub(crate) fn iu_rt_tc_pull(ctx: *mut abi::CtxTc, len: u32) -> u64;
    pub(crate) fn iu_rt_tc_load(ctx: *mut abi::CtxTc, off: u32, to: *mut u8, len: u32) -> u64;
    pub(crate) fn iu_rt_tc_store(ctx: *mut abi::CtxTc, off: u32, from: *const u8, len: u32) -> u64;
    pub(crate) fn iu_rt_tc_change_head(ctx: *mut abi::CtxTc, room: u32) -> u64;
    pub(crate) fn iu_rt_tc_change_tail(ctx: *mut abi::CtxTc, len: u32) -> u64;
    pub(crate) fn iu_rt_tc_adjust_room(
        ctx: *mut abi::CtxTc,
        delta: i32,
        mode: u32,
        flags: u64,
    ) -> u64;
    pub(crate) fn iu_rt_tc_vlan_push(ctx: *mut abi::CtxTc, proto: u32, tci: u32) -> u64;
    pub(crate) fn iu_rt_tc_vlan_pop(ctx: *mut abi::CtxTc) -> u64;
    pub(crate) fn iu_rt_tc_csum_l3(
        ctx: *mut abi::CtxTc,
        off: u32,
        from: u64,
        to: u64,
        flags: u64,
    ) -> u64;
    pub(crate) fn iu_rt_tc_csum_l4(
        ctx: *mut abi::CtxTc,
        off: u32,
        from: u64,
        to: u64,
        flags: u64,
    ) -> u64;
    pub(crate) fn iu_rt_task_id() -> u64;
    pub(crate) fn iu_rt_task_user() -> u64;
    pub(crate) fn iu_rt_task_comm(to: *mut u8);
}

/// Value of a parameter: the runtime set it before the program could run, and it
/// stays.
#[inline(always)]
pub(crate) unsafe fn param_value(p: *const abi::Param) -> u64 {
    // SAFETY: the caller passes a parameter's static.
    unsafe { (*p).value }
}

/// What the runtime has set before the program could run, and stays.
#[inline(always)]
pub(crate) fn kreloc(r: &abi::KReloc) -> Resolved {
    Resolved { exists: r.exists != 0, offset: r.offset, size: r.size, bits: r.bits, value: r.value }
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
