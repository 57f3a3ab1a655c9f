// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Programs before and after a function, which do wrong what `MODE` says.

#![no_std]
#![forbid(unsafe_code)]

use iu::prelude::*;

mod modes;

#[fentry]
fn bad_fentry(_ctx: FentryContext<(u32, u32)>) {
    modes::misbehave(0);
}

#[fexit]
fn bad_fexit(_ctx: FexitContext<(u32, u32), i32>) {
    modes::misbehave(1);
}
