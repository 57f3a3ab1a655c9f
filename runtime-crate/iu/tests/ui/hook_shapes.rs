// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
use iu::prelude::*;

#[xdp]
fn no_argument() -> XdpAction { //~ a program is `fn no_argument(ctx: XdpContext) -> XdpAction`
    XdpAction::Pass
}

#[xdp]
fn no_verdict(_: XdpContext) {} //~ a program is

#[xdp]
async fn later(_: XdpContext) -> XdpAction { //~ a program is
    XdpAction::Pass
}

#[xdp]
fn generic<T>(_: XdpContext) -> XdpAction { //~ a program is
    XdpAction::Pass
}

#[xdp(on_fault = shot)] //~ expected one of aborted, drop, pass, tx
fn verdict(_: XdpContext) -> XdpAction {
    XdpAction::Pass
}

#[xdp(on_error = drop)] //~ expected `on_fault` or `name`
fn argument(_: XdpContext) -> XdpAction {
    XdpAction::Pass
}

#[xdp]
fn a_name_that_is_longer_than_31_bytes(_: XdpContext) -> XdpAction { //~ is not a name
    XdpAction::Pass
}

#[xdp]
struct S; //~ expected `fn`
