// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! The hooks with registers and records: kprobe, kretprobe, uprobe, tracepoint, perf_event.

#![no_std]
#![forbid(unsafe_code)]

use iu::prelude::*;

/// Calls of each program, as [`REMOVING`] and so on.
#[map]
static CALLS: Array<u64, 6> = Array::new();
const REMOVING: u32 = 0;
const REMOVED: u32 = 1;
const CALLED: u32 = 2;
const RETURNED: u32 = 3;
const STARTED: u32 = 4;
const SAMPLED: u32 = 5;

/// What the last call of each returned, for [`REMOVED`] and [`RETURNED`], sign-extended;
/// samples in user space, for [`SAMPLED`].
#[map]
static RESULTS: Array<u64, 6> = Array::new();

/// The last file removed, the last program started.
#[map]
static NAMES: Array<[u8; 64], 2> = Array::new();

/// `int do_unlinkat(int dfd, struct filename *name)`; `struct filename` starts with a
/// pointer to the name.
#[kprobe]
fn removing(ctx: KprobeContext) {
    CALLS.fetch_add(REMOVING, 1);
    let mut name = [0; 64];
    if let Ok(at) = ctx.arg::<KernelPtr>(1).read::<u64>() {
        let _ = KernelPtr::new(at).read_str(&mut name);
    }
    let _ = NAMES.set(0, name);
}

#[kretprobe]
fn removed(ctx: KretprobeContext) {
    CALLS.fetch_add(REMOVED, 1);
    let _ = RESULTS.set(REMOVED, i64::from(ctx.ret::<i32>()) as u64);
}

#[uprobe]
fn called(_: UprobeContext) {
    CALLS.fetch_add(CALLED, 1);
}

#[uprobe]
fn returned(ctx: UprobeContext) {
    CALLS.fetch_add(RETURNED, 1);
    let _ = RESULTS.set(RETURNED, i64::from(ctx.ret::<i32>()) as u64);
}

/// The record's first field, at offset 8, is `__data_loc char[] filename`.
#[tracepoint]
fn started(ctx: TracepointContext) {
    CALLS.fetch_add(STARTED, 1);
    let mut name = [0; 64];
    if let Some((at, _len)) = ctx.dynamic(8) {
        let _ = at.read_str(&mut name);
    }
    let _ = NAMES.set(1, name);
}

#[perf_event]
fn sampled(ctx: PerfEventContext) {
    CALLS.fetch_add(SAMPLED, 1);
    if ctx.user() {
        RESULTS.fetch_add(SAMPLED, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iu::host;

    #[test]
    fn removals() {
        host::put_kernel(KernelPtr::new(0x1000), &0x2000u64.to_ne_bytes());
        host::put_kernel(KernelPtr::new(0x2000), b"/tmp/x\0");
        host::kprobe(host::entry_regs(&[-100i64 as u64, 0x1000]), removing);
        host::kretprobe(host::return_regs(-2i32 as u32 as u64), removed);
        assert_eq!(&NAMES.get(0).unwrap()[..7], b"/tmp/x\0");
        assert_eq!(RESULTS.get(REMOVED), Some(-2i64 as u64));
    }

    #[test]
    fn functions_programs_and_time() {
        host::uprobe(host::entry_regs(&[]), called);
        host::uprobe(host::return_regs(42), returned);
        assert_eq!(RESULTS.get(RETURNED), Some(42));
        let mut record = (9u32 << 16 | 20).to_ne_bytes().to_vec();
        record.extend([0; 8]);
        record.extend(b"/bin/true\0");
        host::tracepoint(&record, 20, started);
        assert_eq!(&NAMES.get(1).unwrap()[..10], b"/bin/true\0");
        for user in [false, true, true] {
            host::perf_event(host::Sample { user, ..Default::default() }, sampled);
        }
        assert_eq!((CALLS.get(SAMPLED), RESULTS.get(SAMPLED)), (Some(3), Some(2)));
    }
}
