// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! The runtime in user space, for tests: the same functions, the same promises.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::ptr::NonNull;
use std::slice;
use std::string::String;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

pub(crate) use super::host_held::*;
pub(crate) use super::host_map::*;
pub(crate) use super::host_trace::*;
use super::kreloc::Resolved;
use super::packet::{TcEntry, XdpEntry};
use crate::abi;
use crate::{Errno, TcAction, TcContext, XdpAction, XdpContext, host};

/// CPUs of the machine that tests see.
pub(crate) const CPUS: u32 = 4;

/// State that the kernel would keep: see [`host::World`].
#[derive(Default)]
pub(crate) struct State {
    /// By address of the static that declares it.
    pub(super) maps: Mutex<HashMap<usize, Store>>,
    pub(crate) params: Mutex<HashMap<usize, u64>>,
    pub(crate) log: Mutex<Vec<(u32, String)>>,
    pub(crate) task: Mutex<host::Task>,
    /// Where the last redirection goes, by XDP and TC programs.
    pub(crate) redirected: Mutex<Option<u32>>,
    pub(crate) copies: Mutex<Vec<(u32, Vec<u8>)>>,
    /// Pieces of memory, those of user space with true, by their address.
    memory: Mutex<BTreeMap<(bool, u64), Vec<u8>>>,
    /// Nanoseconds; 0 follows the real clock.
    pub(crate) clock: AtomicU64,
    random: AtomicU32,
    /// By type and member.
    pub(crate) kernel: Mutex<HashMap<(String, String), Resolved>>,
}

impl State {
    pub(crate) fn put_memory(&self, user: bool, addr: u64, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        while !(addr + bytes.len() as u64).is_multiple_of(64) {
            bytes.push(0);
        }
        lock(&self.memory).insert((user, addr), bytes);
    }

    /// What there is from an address on, to the end of its piece.
    pub(crate) fn memory_at(&self, user: bool, addr: u64) -> Option<Vec<u8>> {
        let memory = lock(&self.memory);
        let (&(_, start), bytes) = memory.range((user, 0)..=(user, addr)).next_back()?;
        bytes.get((addr - start) as usize..).filter(|b| !b.is_empty()).map(<[u8]>::to_vec)
    }
}

std::thread_local! {
    pub(crate) static WORLD: RefCell<Arc<State>> = RefCell::default();
    pub(crate) static CPU: Cell<u32> = const { Cell::new(0) };
}

pub(crate) fn world() -> Arc<State> {
    WORLD.with(|w| w.borrow().clone())
}

pub(crate) fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn fail(e: Errno) -> u64 {
    -i64::from(e.get()) as u64
}

/// Runs an XDP program as the dispatcher does.
pub(crate) fn run_xdp(
    frame: &mut host::XdpFrame,
    program: impl FnOnce(XdpContext<'_>) -> XdpAction,
) -> XdpAction {
    let _release = Release::new();
    // SAFETY: the frame outlives the call, and nothing else reaches it meanwhile.
    let entry = unsafe { XdpEntry::new(NonNull::from(frame).cast()) };
    program(XdpContext::new(entry.into_packet()))
}

/// Runs a TC program as the dispatcher does.
pub(crate) fn run_tc(
    frame: &mut host::TcFrame,
    program: impl FnOnce(TcContext<'_>) -> TcAction,
) -> TcAction {
    let _release = Release::new();
    // SAFETY: the frame outlives the call, and nothing else reaches it meanwhile.
    let entry = unsafe { TcEntry::new(NonNull::from(frame).cast()) };
    program(TcContext::new(entry.into_packet()))
}

pub(crate) unsafe fn iu_rt_ktime_ns() -> u64 {
    use std::time::{SystemTime, UNIX_EPOCH};
    match world().clock.load(Ordering::Relaxed) {
        0 => SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64),
        t => t,
    }
}

pub(crate) unsafe fn iu_rt_cpu() -> u32 {
    CPU.get()
}

/// The same sequence in every test.
pub(crate) unsafe fn iu_rt_random() -> u32 {
    let w = world();
    let mut x = w.random.load(Ordering::Relaxed) ^ 0x9e37_79b9;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    w.random.store(x, Ordering::Relaxed);
    x
}

pub(crate) unsafe fn iu_rt_log(level: u32, msg: *const u8, len: u64) {
    // SAFETY: the caller's message has len bytes.
    let msg = unsafe { slice::from_raw_parts(msg, len as usize) };
    lock(&world().log).push((level, String::from_utf8_lossy(msg).into_owned()));
}

pub(crate) unsafe fn param_value(p: *const abi::Param) -> u64 {
    // SAFETY: a live descriptor, which nothing writes in user space.
    let default = unsafe { (*p).value };
    lock(&world().params).get(&(p as usize)).copied().unwrap_or(default)
}

/// What the test has set; else it does not exist.
pub(crate) fn kreloc(r: &abi::KReloc) -> Resolved {
    let text =
        |b: &[u8]| String::from_utf8_lossy(b.split(|c| *c == 0).next().unwrap_or(b)).into_owned();
    lock(&world().kernel).get(&(text(&r.type_name), text(&r.field))).copied().unwrap_or_default()
}

pub(crate) unsafe fn iu_rt_xdp_adjust_head(ctx: *mut abi::XdpBuff, delta: i32) -> u64 {
    // SAFETY: every context in user space is the first field of a frame.
    unsafe { &mut *ctx.cast::<host::XdpFrame>() }.adjust_head(delta).map_or_else(fail, |()| 0)
}

pub(crate) unsafe fn iu_rt_xdp_adjust_tail(ctx: *mut abi::XdpBuff, delta: i32) -> u64 {
    // SAFETY: as above.
    unsafe { &mut *ctx.cast::<host::XdpFrame>() }.adjust_tail(delta).map_or_else(fail, |()| 0)
}

pub(crate) unsafe fn iu_rt_xdp_redirect(ifindex: u32) -> u64 {
    *lock(&world().redirected) = Some(ifindex);
    4
}

pub(crate) unsafe fn iu_rt_tc_redirect(ifindex: u32, _flags: u64) -> u64 {
    *lock(&world().redirected) = Some(ifindex);
    7
}

/// Interface 0 is none; a test may have any other.
pub(crate) unsafe fn iu_rt_tc_clone(ctx: *mut abi::CtxTc, ifindex: u32, _flags: u64) -> u64 {
    if ifindex == 0 {
        return fail(Errno::INVAL);
    }
    // SAFETY: every context in user space is the first field of a frame.
    let bytes = unsafe { &mut *ctx.cast::<host::TcFrame>() }.copy();
    lock(&world().copies).push((ifindex, bytes));
    0
}

pub(crate) unsafe fn iu_rt_tc_pull(ctx: *mut abi::CtxTc, len: u32) -> u64 {
    // SAFETY: as above.
    unsafe { &mut *ctx.cast::<host::TcFrame>() }.pull(len as usize).map_or_else(fail, |()| 0)
}

pub(crate) unsafe fn iu_rt_tc_load(ctx: *mut abi::CtxTc, off: u32, to: *mut u8, len: u32) -> u64 {
    // SAFETY: as above, and `to` has len bytes.
    let (frame, to) =
        unsafe { (&*ctx.cast::<host::TcFrame>(), slice::from_raw_parts_mut(to, len as usize)) };
    frame.load(off as usize, to).map_or_else(fail, |()| 0)
}

pub(crate) unsafe fn iu_rt_tc_store(
    ctx: *mut abi::CtxTc,
    off: u32,
    from: *const u8,
    len: u32,
) -> u64 {
    // SAFETY: as above, and `from` has len bytes.
    let (frame, from) =
        unsafe { (&mut *ctx.cast::<host::TcFrame>(), slice::from_raw_parts(from, len as usize)) };
    frame.store(off as usize, from).map_or_else(fail, |()| 0)
}

pub(crate) unsafe fn iu_rt_xdp_len(ctx: *mut abi::XdpBuff) -> u64 {
    // SAFETY: as above.
    unsafe { &*ctx.cast::<host::XdpFrame>() }.len() as u64
}

pub(crate) unsafe fn iu_rt_xdp_load(
    ctx: *mut abi::XdpBuff,
    off: u32,
    to: *mut u8,
    len: u32,
) -> u64 {
    // SAFETY: as above, and `to` has len bytes.
    let (frame, to) =
        unsafe { (&*ctx.cast::<host::XdpFrame>(), slice::from_raw_parts_mut(to, len as usize)) };
    frame.load(off as usize, to).map_or_else(fail, |()| 0)
}

pub(crate) unsafe fn iu_rt_xdp_store(
    ctx: *mut abi::XdpBuff,
    off: u32,
    from: *const u8,
    len: u32,
) -> u64 {
    // SAFETY: as above, and `from` has len bytes.
    let (frame, from) =
        unsafe { (&mut *ctx.cast::<host::XdpFrame>(), slice::from_raw_parts(from, len as usize)) };
    frame.store(off as usize, from).map_or_else(fail, |()| 0)
}

pub(crate) unsafe fn iu_rt_tc_change_head(ctx: *mut abi::CtxTc, room: u32) -> u64 {
    // SAFETY: as above.
    unsafe { &mut *ctx.cast::<host::TcFrame>() }.change_head(room as usize);
    0
}

pub(crate) unsafe fn iu_rt_tc_change_tail(ctx: *mut abi::CtxTc, len: u32) -> u64 {
    // SAFETY: as above.
    unsafe { &mut *ctx.cast::<host::TcFrame>() }.change_tail(len as usize).map_or_else(fail, |()| 0)
}

pub(crate) unsafe fn iu_rt_tc_adjust_room(
    ctx: *mut abi::CtxTc,
    delta: i32,
    mode: u32,
    _flags: u64,
) -> u64 {
    // SAFETY: as above.
    unsafe { &mut *ctx.cast::<host::TcFrame>() }.adjust_room(delta, mode).map_or_else(fail, |()| 0)
}

pub(crate) unsafe fn iu_rt_tc_vlan_push(ctx: *mut abi::CtxTc, proto: u32, tci: u32) -> u64 {
    // SAFETY: as above.
    unsafe { &mut *ctx.cast::<host::TcFrame>() }.vlan_push(proto as u16, tci as u16);
    0
}

pub(crate) unsafe fn iu_rt_tc_vlan_pop(ctx: *mut abi::CtxTc) -> u64 {
    // SAFETY: as above.
    unsafe { &mut *ctx.cast::<host::TcFrame>() }.vlan_pop();
    0
}

/// Both helpers alike: the checksum at `off` after `from` became `to`; a size of 0 in
/// `flags` means that `to` is a difference.
unsafe fn csum(ctx: *mut abi::CtxTc, off: u32, from: u64, to: u64, flags: u64) -> u64 {
    // SAFETY: as above.
    let frame = unsafe { &mut *ctx.cast::<host::TcFrame>() };
    let mut sum = [0; 2];
    if let Err(e) = frame.load(off as usize, &mut sum) {
        return fail(e);
    }
    let old = u16::from_be_bytes(sum);
    let new = match flags & 15 {
        2 => {
            crate::net::checksum::update16(old, u16::from_be(from as u16), u16::from_be(to as u16))
        }
        4 => {
            crate::net::checksum::update32(old, u32::from_be(from as u32), u32::from_be(to as u32))
        }
        0 => crate::net::checksum::update32(old, 0, u32::from_be(to as u32)),
        _ => return fail(Errno::INVAL),
    };
    frame.store(off as usize, &new.to_be_bytes()).map_or_else(fail, |()| 0)
}

pub(crate) unsafe fn iu_rt_tc_csum_l3(
    ctx: *mut abi::CtxTc,
    off: u32,
    from: u64,
    to: u64,
    flags: u64,
) -> u64 {
    // SAFETY: passed on from the caller.
    unsafe { csum(ctx, off, from, to, flags) }
}

pub(crate) unsafe fn iu_rt_tc_csum_l4(
    ctx: *mut abi::CtxTc,
    off: u32,
    from: u64,
    to: u64,
    flags: u64,
) -> u64 {
    // SAFETY: passed on from the caller.
    unsafe { csum(ctx, off, from, to, flags) }
}

/// What a test has put there, else user space's own memory: of that the kernel copies,
/// so that an address where nothing is gives an error here too.
///
/// # Safety
/// `to` has len bytes.
unsafe fn read(user: bool, to: *mut u8, from: u64, len: u32) -> u64 {
    // SAFETY: the caller's promise.
    let to = unsafe { slice::from_raw_parts_mut(to, len as usize) };
    let there = world().memory_at(user, from);
    if let Some(b) = there.as_deref().and_then(|b| b.get(..to.len())) {
        to.copy_from_slice(b);
        return 0;
    }
    if there.is_none() && own_memory(to, from) {
        return 0;
    }
    to.fill(0);
    fail(Errno::FAULT)
}

#[cfg(not(miri))]
fn own_memory(to: &mut [u8], from: u64) -> bool {
    use std::os::unix::fs::FileExt;
    std::fs::File::open("/proc/self/mem").is_ok_and(|f| f.read_exact_at(to, from).is_ok())
}

/// Miri has no such file, and finds it out itself if a test's address is wrong.
#[cfg(miri)]
fn own_memory(to: &mut [u8], from: u64) -> bool {
    let from = std::ptr::with_exposed_provenance::<u8>(from as usize);
    if from.is_null() {
        return false;
    }
    // SAFETY: tests pass addresses of their own live values.
    unsafe { from.copy_to(to.as_mut_ptr(), to.len()) };
    true
}

pub(crate) unsafe fn iu_rt_read_kernel(to: *mut u8, from: u64, len: u32) -> u64 {
    // SAFETY: passed on from the caller.
    unsafe { read(false, to, from, len) }
}

pub(crate) unsafe fn iu_rt_read_user(to: *mut u8, from: u64, len: u32) -> u64 {
    // SAFETY: passed on from the caller.
    unsafe { read(true, to, from, len) }
}
