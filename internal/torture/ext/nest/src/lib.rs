// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Programs that interrupt each other, which do wrong what `MODE` says.

#![no_std]
#![forbid(unsafe_code)]

use iu::prelude::*;

mod modes;

#[fentry]
fn in_task(_ctx: FentryContext<(u32, u32)>) {
    modes::misbehave(0);
}

#[fentry]
fn in_hardirq(_ctx: FentryContext<(u32, u32)>) {
    modes::misbehave(1);
}

#[fentry]
fn in_nmi(_ctx: FentryContext<(u32, u32)>) {
    modes::misbehave(2);
}
