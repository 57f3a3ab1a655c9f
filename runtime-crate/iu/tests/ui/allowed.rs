// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! All that the macros generate passes with unsafe code forbidden.
#![forbid(unsafe_code)]
use iu::prelude::*;

#[plain]
pub struct V {
    a: u32,
    b: [u8; 4],
}

#[map]
pub static ARRAY: Array<V, 2> = Array::new();
#[map(name = "other")]
static HASH: HashMap<V, u64, 2> = HashMap::new();
#[map]
static LOCKED: LockedArray<V, 2> = LockedArray::new();
#[param(default = -5, min = -10, max = 10)]
static SIGNED: Param<i64>;
#[param(default = true)]
static FLAG: Param<bool>;

#[xdp(on_fault = drop, name = "first")]
fn program(mut ctx: XdpContext) -> XdpAction {
    let _ = HASH.insert(&V { a: 1, b: [0; 4] }, &1);
    if let Some(mut g) = LOCKED.lock(0) {
        g.a += SIGNED.get() as u32;
    }
    let n = ctx.packet().len();
    iu::info!("{} bytes, {n:x}, {flag}", n, flag = FLAG.get());
    ctx.packet_mut()[0] = 1;
    XdpAction::Pass
}

#[tc]
fn second(_: TcContext<'_>) -> TcAction {
    TcAction::Ok
}
