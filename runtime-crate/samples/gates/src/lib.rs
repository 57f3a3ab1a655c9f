// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! The hooks of cgroups and sockets: cgroup_sock_addr, cgroup_skb, socket_filter.

#![no_std]
#![forbid(unsafe_code)]

use core::net::Ipv4Addr;
use iu::prelude::*;

/// Connections to this TCP port go to the loopback interface; 0 changes none.
#[param(default = 0)]
static FROM: Param<u16>;
/// Port that they go to there.
#[param(default = 0)]
static TO: Param<u16>;
/// UDP packets to this port are dropped; 0 drops none.
#[param(default = 0)]
static CLOSED: Param<u16>;

/// Connections sent elsewhere, packets dropped, bytes sent, bytes received.
#[map]
static COUNTS: Array<u64, 4> = Array::new();
const MOVED: u32 = 0;
const DROPPED: u32 = 1;
const SENT: u32 = 2;
const RECEIVED: u32 = 3;

#[cgroup_sock_addr(on_fault = allow)]
fn connecting(mut ctx: SockAddrContext) -> CgroupAction {
    if FROM.get() != 0
        && ctx.protocol() == 6
        && ctx.port() == FROM.get()
        && ctx.set_ip(Ipv4Addr::LOCALHOST.into()).is_ok()
        && ctx.set_port(TO.get()).is_ok()
    {
        COUNTS.fetch_add(MOVED, 1);
    }
    CgroupAction::Allow
}

/// The port that an IPv4 packet goes to if it is UDP.
fn udp_port(ctx: &CgroupSkbContext) -> Option<u16> {
    let mut ip = [0; 20];
    ctx.load(0, &mut ip).ok()?;
    if ip[0] >> 4 != 4 || ip[9] != 17 {
        return None;
    }
    let mut port = [0; 2];
    ctx.load(usize::from(ip[0] & 15) * 4 + 2, &mut port).ok()?;
    Some(u16::from_be_bytes(port))
}

#[cgroup_skb(on_fault = allow)]
fn sending(ctx: CgroupSkbContext) -> CgroupAction {
    if CLOSED.get() != 0 && udp_port(&ctx) == Some(CLOSED.get()) {
        COUNTS.fetch_add(DROPPED, 1);
        return CgroupAction::Deny;
    }
    COUNTS.fetch_add(SENT, ctx.len() as u64);
    CgroupAction::Allow
}

#[cgroup_skb(on_fault = allow)]
fn receiving(ctx: CgroupSkbContext) -> CgroupAction {
    COUNTS.fetch_add(RECEIVED, ctx.len() as u64);
    CgroupAction::Allow
}

/// Of a UDP socket: drops datagrams that start with `no`, cuts others to four bytes.
#[socket_filter(on_fault = keep)]
fn filtering(ctx: SocketFilterContext) -> SocketFilterAction {
    const UDP: usize = 8;
    let mut start = [0; 2];
    match ctx.load(UDP, &mut start) {
        Ok(()) if &start == b"no" => SocketFilterAction::Drop,
        _ => SocketFilterAction::Truncate(UDP as u32 + 4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iu::host::{self, Packet, SockAddr};

    #[test]
    fn connections() {
        let there = SockAddr::tcp(Ipv4Addr::new(10, 0, 0, 1), 80);
        let mut a = there.clone();
        assert_eq!(a.run(connecting), CgroupAction::Allow);
        assert_eq!(a, there);
        host::set_param(&FROM, 80);
        host::set_param(&TO, 8080);
        a.run(connecting);
        assert_eq!(a, SockAddr::tcp(Ipv4Addr::LOCALHOST, 8080));
        assert_eq!(COUNTS.get(MOVED), Some(1));
    }

    /// IPv4 and UDP headers.
    fn udp(port: u16) -> Packet {
        let mut b = [0; 28];
        b[0] = 0x45;
        b[9] = 17;
        b[22..24].copy_from_slice(&port.to_be_bytes());
        Packet::new(&b).linear(20)
    }

    #[test]
    fn packets() {
        assert_eq!(udp(9).cgroup_skb(sending), CgroupAction::Allow);
        host::set_param(&CLOSED, 9);
        assert_eq!(udp(9).cgroup_skb(sending), CgroupAction::Deny);
        assert_eq!(udp(10).cgroup_skb(sending), CgroupAction::Allow);
        assert_eq!(Packet::new(&[0x45; 10]).cgroup_skb(sending), CgroupAction::Allow);
        udp(9).cgroup_skb(receiving);
        assert_eq!(
            (COUNTS.get(DROPPED), COUNTS.get(SENT), COUNTS.get(RECEIVED)),
            (Some(1), Some(66), Some(28))
        );
    }

    #[test]
    fn datagrams() {
        assert_eq!(Packet::new(b"........no").socket_filter(filtering), SocketFilterAction::Drop);
        let cut = SocketFilterAction::Truncate(12);
        assert_eq!(Packet::new(b"........yes").socket_filter(filtering), cut);
        assert_eq!(Packet::new(b"........").socket_filter(filtering), cut);
    }
}
