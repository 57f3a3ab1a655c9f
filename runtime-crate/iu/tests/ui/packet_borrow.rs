// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
use iu::prelude::*;

#[xdp]
fn head(mut ctx: XdpContext) -> XdpAction {
    let old = ctx.packet();
    let _ = ctx.adjust_head(4); //~ cannot borrow `ctx` as mutable
    if old[0] == 0 { XdpAction::Pass } else { XdpAction::Drop }
}

#[xdp]
fn tail(mut ctx: XdpContext) -> XdpAction {
    let old = ctx.packet_mut();
    let _ = ctx.adjust_tail(4); //~ cannot borrow `ctx` as mutable
    old[0] = 0;
    XdpAction::Pass
}

#[tc]
fn pull(mut ctx: TcContext) -> TcAction {
    let old = ctx.linear();
    let _ = ctx.pull(64); //~ cannot borrow `ctx` as mutable
    if old[0] == 0 { TcAction::Ok } else { TcAction::Shot }
}

#[tc]
fn store(mut ctx: TcContext) -> TcAction {
    let old = ctx.linear();
    let _ = ctx.store(0, &[1]); //~ cannot borrow `ctx` as mutable
    if old[0] == 0 { TcAction::Ok } else { TcAction::Shot }
}

fn escape(ctx: XdpContext<'_>) -> &[u8] {
    ctx.packet() //~ cannot return value referencing
}
