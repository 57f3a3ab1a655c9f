// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! As good as empty, but it could panic, so a way out of it must be kept. The test
//! of the parameter counts as part of the dispatch: two instructions.

#![no_std]
#![forbid(unsafe_code)]

use iu::prelude::*;

/// Whether to panic.
#[param(default = false)]
static PANIC: Param<bool>;

#[xdp(on_fault = pass)]
fn empty(_ctx: XdpContext) -> XdpAction {
    if PANIC.get() {
        panic!("asked to");
    }
    XdpAction::Pass
}
