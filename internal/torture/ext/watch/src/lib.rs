// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Programs at a tracepoint, in user space and at events, which do wrong what `MODE` says.

#![no_std]
#![forbid(unsafe_code)]

use iu::prelude::*;

mod modes;

#[tracepoint]
fn bad_tracepoint(_ctx: TracepointContext) {
    modes::misbehave(0);
}

#[uprobe]
fn bad_uprobe(_ctx: UprobeContext) {
    modes::misbehave(1);
}

#[perf_event]
fn bad_page(_ctx: PerfEventContext) {
    modes::misbehave(2);
}

#[perf_event]
fn bad_switch(_ctx: PerfEventContext) {
    modes::misbehave(3);
}

#[perf_event]
fn bad_clock(_ctx: PerfEventContext) {
    modes::misbehave(4);
}
