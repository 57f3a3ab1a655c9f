// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
use iu::prelude::*;

#[xdp]
fn other_hook(_: TcContext) -> XdpAction { //~ mismatched types
    XdpAction::Pass
}

#[xdp]
fn raw_context(_: *const u8) -> XdpAction { //~ mismatched types
    XdpAction::Pass
}

#[tc]
fn other_verdict(_: TcContext) -> XdpAction { //~ mismatched types
    XdpAction::Pass
}

#[xdp]
fn number(_: XdpContext) -> u32 { //~ mismatched types
    2
}
