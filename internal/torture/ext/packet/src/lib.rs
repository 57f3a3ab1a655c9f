// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Programs at the hooks that see packets, which do wrong what `MODE` says.

#![no_std]
#![forbid(unsafe_code)]

use iu::prelude::*;

mod modes;

#[xdp(on_fault = tx)]
fn bad_xdp(_ctx: XdpContext) -> XdpAction {
    modes::misbehave(0);
    XdpAction::Drop
}

#[tc(on_fault = shot)]
fn bad_tc(_ctx: TcContext) -> TcAction {
    modes::misbehave(1);
    TcAction::Ok
}
