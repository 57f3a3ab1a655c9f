// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Turns UDP datagrams back to their sender. `parse_rewrite` in
//! bench/ebpf/baseline.bpf.c checks and writes the same fields.

#![no_std]
#![forbid(unsafe_code)]

use iu::prelude::*;

#[xdp(on_fault = pass)]
fn parse_rewrite(mut ctx: XdpContext) -> XdpAction {
    let Some(p) = net::udp4_mut(ctx.packet_mut()) else {
        return XdpAction::Pass;
    };
    p.eth.swap();
    p.ip.swap();
    p.ip.ttl = 64;
    p.ip.fill_checksum();
    p.udp.swap();
    p.udp.checksum = Default::default();
    XdpAction::Tx
}
