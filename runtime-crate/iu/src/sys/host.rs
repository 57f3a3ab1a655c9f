// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! The runtime in user space, for tests: the same functions, the same promises.

use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ptr::NonNull;
use std::string::String;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;
use std::{slice, thread};

use super::packet::{TcEntry, XdpEntry};
use crate::abi::{self, map_type, update};
use crate::{Errno, TcAction, TcContext, XdpAction, XdpContext, host};

/// CPUs of the machine that tests see.
pub(crate) const CPUS: u32 = 4;

/// State that the kernel would keep: see [`host::World`].
#[derive(Default)]
pub(crate) struct State {
    /// By address of the static that declares it.
    maps: Mutex<HashMap<usize, Store>>,
    pub(crate) params: Mutex<HashMap<usize, u64>>,
    pub(crate) log: Mutex<Vec<(u32, String)>>,
    /// Nanoseconds; 0 follows the real clock.
    pub(crate) clock: AtomicU64,
    random: AtomicU32,
}

std::thread_local! {
    pub(crate) static WORLD: RefCell<Arc<State>> = RefCell::default();
    pub(crate) static CPU: Cell<u32> = const { Cell::new(0) };
    static HELD: Cell<*mut u32> = const { Cell::new(std::ptr::null_mut()) };
}

pub(crate) fn world() -> Arc<State> {
    WORLD.with(|w| w.borrow().clone())
}

pub(crate) fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A value's memory: never moved or freed while the world lives, since a program
/// may hold its address.
struct Value(Box<[Cell<u64>]>);

// SAFETY: only the address is used; access is as racy as it is in the kernel, by
// volatile copies, atomics or under the value's lock.
unsafe impl Send for Value {}

impl Value {
    fn new(size: u32) -> Value {
        Value((0..size.div_ceil(8)).map(|_| Cell::new(0)).collect())
    }

    fn ptr(&self) -> *mut u8 {
        self.0.as_ptr() as *mut u8
    }
}

enum Store {
    /// All values of all CPUs: index + cpu * max_entries.
    Array(Vec<Value>),
    Hash {
        live: HashMap<Vec<u8>, Value>,
        dead: Vec<Value>,
    },
}

/// Runs `f` on the storage behind a descriptor, made at the first use.
unsafe fn with_store<T>(map: *mut abi::Map, f: impl FnOnce(&abi::Map, &mut Store) -> T) -> T {
    // SAFETY: a live descriptor, which nothing writes in user space.
    let desc = unsafe { &*map };
    let world = world();
    let mut maps = lock(&world.maps);
    let store = maps.entry(map as usize).or_insert_with(|| {
        let per_cpu = if desc.map_type == map_type::PERCPU_ARRAY { CPUS } else { 1 };
        match desc.map_type {
            map_type::HASH => Store::Hash { live: HashMap::new(), dead: Vec::new() },
            _ => Store::Array(
                (0..desc.max_entries * per_cpu).map(|_| Value::new(desc.value_size)).collect(),
            ),
        }
    });
    f(desc, store)
}

unsafe fn key_bytes<'a>(desc: &abi::Map, key: *const u8) -> &'a [u8] {
    // SAFETY: the caller's key has the map's key size.
    unsafe { slice::from_raw_parts(key, desc.key_size as usize) }
}

fn fail(e: Errno) -> u64 {
    -i64::from(e.get()) as u64
}

pub(crate) unsafe fn iu_rt_map_lookup(map: *mut abi::Map, key: *const u8) -> *mut u8 {
    // SAFETY: passed on from the caller.
    unsafe {
        with_store(map, |desc, store| {
            let key = key_bytes(desc, key);
            match store {
                Store::Hash { live, .. } => live.get(key).map(Value::ptr),
                Store::Array(values) => index(desc, key).map(|i| values[i].ptr()),
            }
            .unwrap_or(std::ptr::null_mut())
        })
    }
}

/// Place of an array's value; a per-CPU array gives this CPU's.
fn index(desc: &abi::Map, key: &[u8]) -> Option<usize> {
    let i = u32::from_ne_bytes(key.try_into().ok()?);
    let cpu = if desc.map_type == map_type::PERCPU_ARRAY { CPU.get() } else { 0 };
    (i < desc.max_entries).then_some((cpu * desc.max_entries + i) as usize)
}

pub(crate) unsafe fn iu_rt_map_update(
    map: *mut abi::Map,
    key: *const u8,
    value: *const u8,
    flags: u64,
) -> u64 {
    // SAFETY: passed on from the caller.
    unsafe {
        with_store(map, |desc, store| {
            let key = key_bytes(desc, key);
            let dst = match store {
                Store::Array(values) => match index(desc, key) {
                    Some(_) if flags == update::NOEXIST => return fail(Errno::EXIST),
                    Some(i) => values[i].ptr(),
                    None => return fail(Errno::TOO_BIG),
                },
                Store::Hash { live, dead } => {
                    match (live.contains_key(key), flags) {
                        (true, update::NOEXIST) => return fail(Errno::EXIST),
                        (false, update::EXIST) => return fail(Errno::NOENT),
                        (false, _) if live.len() >= desc.max_entries as usize => {
                            return fail(Errno::TOO_BIG);
                        }
                        _ => (),
                    }
                    let new = Value::new(desc.value_size);
                    let p = new.ptr();
                    dead.extend(live.insert(key.to_vec(), new));
                    p
                }
            };
            dst.copy_from_nonoverlapping(value, desc.value_size as usize);
            0
        })
    }
}

pub(crate) unsafe fn iu_rt_map_delete(map: *mut abi::Map, key: *const u8) -> u64 {
    // SAFETY: passed on from the caller.
    unsafe {
        with_store(map, |desc, store| match store {
            Store::Array(_) => fail(Errno::INVAL),
            Store::Hash { live, dead } => match live.remove(key_bytes(desc, key)) {
                Some(v) => {
                    dead.push(v);
                    0
                }
                None => fail(Errno::NOENT),
            },
        })
    }
}

pub(crate) unsafe fn iu_rt_lock(word: *mut u32) {
    assert!(HELD.get().is_null(), "a second lock is a fault: a program holds one at a time");
    // SAFETY: the lock word of a value that lives as long as the world.
    let word_ref = unsafe { AtomicU32::from_ptr(word) };
    while word_ref.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
        thread::yield_now();
    }
    HELD.set(word);
}

pub(crate) unsafe fn iu_rt_unlock(word: *mut u32) {
    HELD.set(std::ptr::null_mut());
    // SAFETY: as for the lock.
    unsafe { AtomicU32::from_ptr(word) }.store(0, Ordering::Release);
}

/// Releases what a program held when it returned or panicked, as the dispatcher
/// does: a lock whose guard was forgotten.
struct Release;

impl Drop for Release {
    fn drop(&mut self) {
        let held = HELD.get();
        if !held.is_null() {
            // SAFETY: the lock word of a value that lives as long as the world.
            unsafe { iu_rt_unlock(held) };
        }
    }
}

/// Runs an XDP program as the dispatcher does.
pub(crate) fn run_xdp(
    frame: &mut host::XdpFrame,
    program: impl FnOnce(XdpContext<'_>) -> XdpAction,
) -> XdpAction {
    let _release = Release;
    // SAFETY: the frame outlives the call, and nothing else reaches it meanwhile.
    let entry = unsafe { XdpEntry::new(NonNull::from(frame).cast()) };
    program(XdpContext::new(entry.into_packet()))
}

/// Runs a TC program as the dispatcher does.
pub(crate) fn run_tc(
    frame: &mut host::TcFrame,
    program: impl FnOnce(TcContext<'_>) -> TcAction,
) -> TcAction {
    let _release = Release;
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

pub(crate) unsafe fn iu_rt_xdp_adjust_head(ctx: *mut abi::XdpBuff, delta: i32) -> u64 {
    // SAFETY: every context in user space is the first field of a frame.
    unsafe { &mut *ctx.cast::<host::XdpFrame>() }.adjust_head(delta).map_or_else(fail, |()| 0)
}

pub(crate) unsafe fn iu_rt_xdp_adjust_tail(ctx: *mut abi::XdpBuff, delta: i32) -> u64 {
    // SAFETY: as above.
    unsafe { &mut *ctx.cast::<host::XdpFrame>() }.adjust_tail(delta).map_or_else(fail, |()| 0)
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
