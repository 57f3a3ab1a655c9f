// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
use iu::prelude::*;

#[xdp] //~ borrowed data escapes
fn program(ctx: XdpContext<'static>) -> XdpAction {
    KEPT.set(ctx);
    XdpAction::Pass
}

struct Cell;
static KEPT: Cell = Cell;
impl Cell {
    fn set(&self, _: XdpContext<'static>) {}
}
