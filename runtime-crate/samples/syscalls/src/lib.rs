// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! System calls: counts them, times them, tells of some as a filter of them would, makes
//! those of chosen processes fail, and says where time goes, by stacks.

#![no_std]
#![forbid(unsafe_code)]

use iu::kernel_struct;
use iu::prelude::*;

kernel_struct! {
    tracepoint "raw_syscalls/sys_enter" as Entered { id: i64, args: [u64; 6] }
    tracepoint "raw_syscalls/sys_exit" as Left { id: i64, ret: i64 }
}

/// Only system calls of this process are timed and told of.
#[param(default = 0)]
static PROCESS: Param<u32>;

/// Calls of openat: entered, left.
#[map]
static OPENS: Array<u64, 2> = Array::new();

/// By number of the system call: calls, those that failed, nanoseconds.
#[map]
static COUNTS: HashMap<u32, u64, 512> = HashMap::new();
#[map]
static FAILURES: HashMap<u32, u64, 512> = HashMap::new();
#[map]
static LATENCY: HashMap<u32, u64, 512> = HashMap::new();

/// When a thread entered the system call that it is in.
#[map]
static ENTERED: HashMap<u32, u64, 1024> = HashMap::new();

/// By process: the errno that its removals of files give. User space sets it.
#[map]
static ERRNOS: HashMap<u32, u32, 64> = HashMap::new();

#[plain]
struct Place {
    comm: [u8; 16],
    /// Keys of the map `stacks`, `u32::MAX` if there is none.
    kernel: u32,
    user: u32,
}

/// Samples by thread's name and stacks.
#[map]
static PLACES: HashMap<Place, u64, 10000> = HashMap::new();
#[map]
static STACKS: StackTrace<10000> = StackTrace::new();

fn add(map: &HashMap<u32, u64, 512>, key: u32, n: u64) {
    // Two CPUs may find no key at once; the one that comes second adds to the first's.
    if map.fetch_add(&key, n).is_none() && map.insert_new(&key, &n).is_err() {
        map.fetch_add(&key, n);
    }
}

#[tracepoint]
fn duplicating(_: TracepointContext) {
    if task::pid() == PROCESS.get() {
        info!("dup by process {} on CPU {}", task::pid(), cpu::id());
    }
}

#[tracepoint]
fn opening(_: TracepointContext) {
    OPENS.fetch_add(0, 1);
}

#[tracepoint]
fn opened(_: TracepointContext) {
    OPENS.fetch_add(1, 1);
}

/// What eBPF does by a tail call for each system call.
fn tell(number: i64, args: [u64; 6]) {
    const READ: i64 = 0;
    const WRITE: i64 = 1;
    const MMAP: i64 = 9;
    const GETUID: i64 = 102;
    const GETSID: i64 = 124;
    let [fd, buf, size, ..] = args;
    match number {
        WRITE if size == 512 => info!("write(fd={fd}, buf={buf:x}, size={size})"),
        READ if size > 128 && size <= 1024 => info!("read(fd={fd}, buf={buf:x}, size={size})"),
        MMAP => info!("mmap"),
        GETUID..=GETSID => info!("syscall={number} (one of get/set uid/pid/gid)"),
        _ => {}
    }
}

#[tracepoint]
fn entering(ctx: TracepointContext) {
    if task::pid() != PROCESS.get() {
        return;
    }
    let at = ctx.record::<Entered>();
    let (Ok(number), Ok(args)) = (at.id(), at.args()) else { return };
    add(&COUNTS, number as u32, 1);
    let _ = ENTERED.insert(&task::tid(), &time::ktime_ns());
    tell(number, args);
}

#[tracepoint]
fn leaving(ctx: TracepointContext) {
    if task::pid() != PROCESS.get() {
        return;
    }
    let at = ctx.record::<Left>();
    let (Ok(number), Ok(ret)) = (at.id(), at.ret()) else { return };
    if ret < 0 {
        add(&FAILURES, number as u32, 1);
    }
    if let Some(start) = ENTERED.get(&task::tid()) {
        add(&LATENCY, number as u32, time::ktime_ns() - start);
        let _ = ENTERED.remove(&task::tid());
    }
}

#[lsm(on_fault = allow)]
fn failing(_: LsmContext) -> LsmAction {
    match ERRNOS.get(&task::pid()).and_then(Errno::from_number) {
        Some(e) => LsmAction::Deny(e),
        None => LsmAction::Allow,
    }
}

#[perf_event]
fn profiling(_: PerfEventContext) {
    let place = Place {
        comm: task::comm(),
        kernel: STACKS.kernel().unwrap_or(u32::MAX),
        user: STACKS.user().unwrap_or(u32::MAX),
    };
    if PLACES.fetch_add(&place, 1).is_none() {
        let _ = PLACES.insert_new(&place, &1);
    }
}

#[cfg(test)]
mod tests;
