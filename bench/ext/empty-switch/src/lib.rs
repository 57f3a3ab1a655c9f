// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! As good as empty, but its proven stack bound is more than a run may take of the
//! stack that it finds, so it gets its own. Nothing in it can panic. The test of the
//! parameter counts as part of the dispatch: two instructions.

#![no_std]
#![forbid(unsafe_code)]

use iu::prelude::*;

/// Whether to use the stack.
#[param(default = false)]
static DEEP: Param<bool>;

#[map]
static TEXT: HashMap<u32, [u8; 1500], 1> = HashMap::new();

#[xdp(on_fault = pass)]
fn empty(_ctx: XdpContext) -> XdpAction {
    if DEEP.get() { deep() } else { XdpAction::Pass }
}

#[cold]
#[inline(never)]
fn deep() -> XdpAction {
    if let Some(mut text) = TEXT.get(&0) {
        text[0] ^= text[1499];
        let _ = TEXT.insert(&0, &text);
    }
    XdpAction::Pass
}
