// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
use iu::prelude::*;

fn send<T: Send>(_: T) {}

#[xdp]
fn program(ctx: XdpContext) -> XdpAction {
    send(ctx); //~ cannot be sent between threads safely
    XdpAction::Pass
}

struct Fake;
impl iu::ParamValue for Fake {} //~ not satisfied
