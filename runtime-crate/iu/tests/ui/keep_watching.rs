// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Contexts, registers and packets cannot outlive the call or leave the CPU.
use iu::prelude::*;
use std::sync::Mutex;

static KEPT: Mutex<Option<&'static iu::Regs>> = Mutex::new(None);

#[kprobe]
fn keeps_registers(ctx: KprobeContext) {
    *KEPT.lock().unwrap() = Some(ctx.regs()); //~ does not live long enough
}

fn sends<T: Send>(_: T) {}

#[fentry]
fn sends_context(ctx: FentryContext<(u32,)>) {
    sends(ctx); //~ cannot be sent between threads safely
}

#[cgroup_sock_addr]
fn sends_address(ctx: SockAddrContext) -> CgroupAction {
    sends(ctx); //~ cannot be sent between threads safely
    CgroupAction::Allow
}
