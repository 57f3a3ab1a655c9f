// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Counts packets. Two versions of it take turns under traffic: each packet must be in
//! one of the two counters.

#![no_std]
#![forbid(unsafe_code)]

use iu::prelude::*;

/// Which counter is this version's.
#[param(default = 0, max = 1)]
static WHICH: Param<u32>;

#[map]
static COUNTED: Array<u64, 2> = Array::new();

#[xdp(on_fault = aborted)]
fn count(_ctx: XdpContext) -> XdpAction {
    COUNTED.fetch_add(WHICH.get(), 1);
    XdpAction::Drop
}
