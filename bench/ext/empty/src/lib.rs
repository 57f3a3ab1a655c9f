// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! The least that an extension can do.

#![no_std]
#![forbid(unsafe_code)]

use iu::prelude::*;

#[xdp(on_fault = pass)]
fn empty(_ctx: XdpContext) -> XdpAction {
    XdpAction::Pass
}
