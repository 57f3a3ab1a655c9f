// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! How long system calls take: a log-linear histogram for each, and quantiles of it that are
//! computed here, so that whoever reads them reads numbers.
//!
//! No lock is held anywhere: buckets are added to atomically, and a computation that runs while others count is
//! off by what they count.

#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]

pub mod histogram;
#[cfg(test)]
mod tests;

use histogram::{BUCKETS, Rows};
use iu::prelude::*;

/// Only threads of this process; 0: all.
#[param(default = 0, max = 4194304)]
static PID: Param<u32>;

/// Calls of one kind between two computations of its quantiles.
#[param(default = 100, min = 1, max = 1000000)]
static EVERY: Param<u64>;

/// Numbers of system calls below this are told apart; the others count in row 0 only.
pub const SYSCALLS: u32 = 512;
/// Row 0 is of all calls, row 1 + n of system call n.
const ROWS: u32 = SYSCALLS + 1;
/// Numbers in a row of [`LATENCY`].
pub const WORDS: u32 = 8;

/// The numbers of a row: calls, sum of their times in ns, then the
/// [quantiles](histogram::QUANTILES), and of row 0 the calls whose entry was not seen.
#[map]
static LATENCY: Array<u64, { ROWS * WORDS }> = Array::new();
const CALLS: u32 = 0;
const SUM: u32 = 1;
const FIRST_QUANTILE: u32 = 2;
const LOST: u32 = 7;

#[map]
static BUCKETS_OF: Array<u64, { ROWS * BUCKETS }> = Array::new();
const HISTOGRAMS: Rows<{ ROWS * BUCKETS }> = Rows(&BUCKETS_OF);

/// A call that a thread is in.
#[plain]
struct Entry {
    at: u64,
    nr: u64,
}

/// By thread. Calls that never return (`exit`) leave theirs until it is evicted.
#[map]
static ENTRIES: LruHash<u32, Entry, 16384> = LruHash::new();

fn watched() -> bool {
    PID.get() == 0 || PID.get() == task::pid()
}

/// `(struct pt_regs *regs, long id)`
#[tp_btf]
fn entered(ctx: TpBtfContext<(KernelPtr, i64)>) {
    let (_, nr) = ctx.args();
    if watched() {
        let _ = ENTRIES.insert(&task::tid(), &Entry { at: time::ktime_ns(), nr: nr as u64 });
    }
}

/// `(struct pt_regs *regs, long ret)`
#[tp_btf]
fn left(_: TpBtfContext<(KernelPtr, i64)>) {
    if !watched() {
        return;
    }
    let (now, tid) = (time::ktime_ns(), task::tid());
    let Some(entry) = ENTRIES.get(&tid) else {
        // Entered before this was installed, or evicted.
        LATENCY.fetch_add(LOST, 1);
        return;
    };
    let _ = ENTRIES.remove(&tid);
    let ns = now.saturating_sub(entry.at);
    note(0, ns);
    if entry.nr < u64::from(SYSCALLS) {
        note(1 + entry.nr as u32, ns);
    }
}

fn note(row: u32, ns: u64) {
    HISTOGRAMS.add(row, ns);
    LATENCY.fetch_add(row * WORDS + SUM, ns);
    let before = LATENCY.fetch_add(row * WORDS + CALLS, 1).unwrap_or(0);
    // The first ones at once, so that a rare call is not without quantiles.
    if before < 8 || (before + 1) % EVERY.get() == 0 {
        for (i, v) in (0..).zip(HISTOGRAMS.quantiles(row)) {
            let _ = LATENCY.set(row * WORDS + FIRST_QUANTILE + i, v);
        }
    }
}
