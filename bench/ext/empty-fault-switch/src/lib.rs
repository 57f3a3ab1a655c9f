// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! As good as empty, but its proven stack bound is more than a run may take of the
//! stack that it finds, so it gets its own. It could panic as well. The test of
//! the parameter counts as part of the dispatch: two instructions.

#![no_std]
#![forbid(unsafe_code)]

use iu::prelude::*;

/// Whether to use the stack.
#[param(default = false)]
static DEEP: Param<bool>;

#[map]
static TEXT: Array<[u8; 2048], 1> = Array::new();

#[xdp(on_fault = pass)]
fn empty(ctx: XdpContext) -> XdpAction {
    if DEEP.get() { deep(ctx.packet()) } else { XdpAction::Pass }
}

#[cold]
#[inline(never)]
fn deep(packet: &[u8]) -> XdpAction {
    let mut text = TEXT.get(0).unwrap();
    for (to, from) in text.iter_mut().zip(packet) {
        *to ^= from;
    }
    match TEXT.set(0, text) {
        Ok(()) => XdpAction::Pass,
        Err(_) => XdpAction::Drop,
    }
}
