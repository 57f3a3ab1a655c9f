// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Programs at a tracepoint with typed arguments and at a security hook, which do wrong what `MODE` says.

#![no_std]
#![forbid(unsafe_code)]

use iu::prelude::*;

mod modes;

#[tp_btf]
fn bad_tp_btf(_ctx: TpBtfContext<(u32, u32)>) {
    modes::misbehave(0);
}

#[lsm(on_fault = deny)]
fn bad_lsm(_ctx: LsmContext<(i32, i32, i32, i32)>) -> LsmAction {
    modes::misbehave(1);
    LsmAction::Allow
}
