// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Programs at the hooks of cgroups and sockets, which do wrong what `MODE` says.

#![no_std]
#![forbid(unsafe_code)]

use iu::prelude::*;

mod modes;

#[cgroup_skb(on_fault = deny)]
fn bad_egress(_ctx: CgroupSkbContext) -> CgroupAction {
    modes::misbehave(0);
    CgroupAction::Allow
}

#[cgroup_skb(on_fault = deny)]
fn bad_ingress(_ctx: CgroupSkbContext) -> CgroupAction {
    modes::misbehave(1);
    CgroupAction::Allow
}

#[cgroup_sock_addr(on_fault = deny)]
fn bad_connect(_ctx: SockAddrContext) -> CgroupAction {
    modes::misbehave(2);
    CgroupAction::Allow
}

#[socket_filter(on_fault = drop)]
fn bad_filter(_ctx: SocketFilterContext) -> SocketFilterAction {
    modes::misbehave(3);
    SocketFilterAction::Keep
}
