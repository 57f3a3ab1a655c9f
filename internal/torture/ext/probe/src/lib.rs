// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Programs at a probe and at a return probe, which do wrong what `MODE` says.

#![no_std]
#![forbid(unsafe_code)]

use iu::prelude::*;

mod modes;

#[kprobe]
fn bad_kprobe(_ctx: KprobeContext) {
    modes::misbehave(0);
}

#[kretprobe]
fn bad_kretprobe(_ctx: KretprobeContext) {
    modes::misbehave(1);
}
