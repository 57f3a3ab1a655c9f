// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! A load balancer for connections: packets to a service go to one of the servers on the same link, which answer the
//! client themselves.
//!
//! A connection stays where it is as long as its server serves; a new one is placed by Maglev's
//! consistent hashing, so that another balancer, or this one without its memory, places it alike.

#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]

pub mod maglev;
pub mod pool;
#[cfg(test)]
mod tests;

use iu::net::{Ethernet, Flow};
use iu::prelude::*;
use iu::zerocopy::FromBytes;
use pool::{POOL, Server};

/// Milliseconds between two looks at the pool.
#[param(default = 100, min = 1, max = 10000)]
static REFRESH_MS: Param<u64>;

/// A connection without a packet for so many seconds is forgotten.
#[param(default = 300, min = 1, max = 86400)]
static IDLE_S: Param<u64>;

const SECOND: u64 = 1_000_000_000;

/// Where clients send to. An IPv4 address is mapped into IPv6.
#[plain]
#[derive(PartialEq, Eq)]
pub struct Service {
    /// Address.
    pub addr: [u8; 16],
    /// Port, in the machine's order.
    pub port: u16,
    /// `IPPROTO_TCP` or `IPPROTO_UDP`.
    pub protocol: u16,
}

/// The services; the value counts packets.
#[map]
pub static SERVICES: HashMap<Service, u64, 64> = HashMap::new();

/// A connection and its server.
#[plain]
struct Place {
    /// Address of the server's network card, as a number: its place in the pool may be given to another.
    id: u64,
    seen: u64,
    server: u32,
    /// Of the flow: an entry that is evicted while it is read may become another's.
    check: u32,
}

/// In tests fewer, as the host's map looks for the oldest one by one.
const ROOM: u32 = if cfg!(test) { 1024 } else { 65536 };

#[map]
static CONNECTIONS: LruHash<Flow, Place, ROOM> = LruHash::new();

/// Counters, by [`Count`].
#[map]
static STATS: PerCpuArray<u64, 5> = PerCpuArray::new();

/// What `STATS` counts, in its order.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Count {
    /// Packets of connections that have a server.
    Tracked = 0,
    /// Connections placed.
    Placed = 1,
    /// Of these, those whose server had gone.
    Moved = 2,
    /// Packets dropped for want of a server.
    NoServer = 3,
    /// Tables made.
    Tables = 4,
}

fn count(what: Count) {
    STATS.update(what as u32, |n: u64| n.wrapping_add(1));
}

/// Packets sent to each server.
#[map]
static SENT: PerCpuArray<u64, { maglev::SERVERS as u32 }> = PerCpuArray::new();

#[xdp(on_fault = pass)]
fn balance(mut ctx: XdpContext) -> XdpAction {
    let now = time::ktime_ns();
    if pool::refresh(now, REFRESH_MS.get()) {
        count(Count::Tables);
    }
    let Some((flow, ends)) = flow(ctx.packet()) else {
        return XdpAction::Pass;
    };
    let service = Service { addr: flow.dst, port: flow.dst_port, protocol: flow.protocol as u16 };
    if SERVICES.fetch_add(&service, 1).is_none() {
        return XdpAction::Pass;
    }
    let Some((number, server)) = place(&flow, now) else {
        count(Count::NoServer);
        return XdpAction::Drop;
    };
    if ends {
        let _ = CONNECTIONS.remove(&flow);
    }
    let Ok((eth, _)) = Ethernet::mut_from_prefix(ctx.packet_mut()) else {
        return XdpAction::Pass;
    };
    (eth.src, eth.dst) = (eth.dst, server.mac);
    SENT.update(number, |n| n + 1);
    XdpAction::Tx
}

/// The packet's flow, and whether it ends it.
fn flow(packet: &[u8]) -> Option<(Flow, bool)> {
    let layers = net::layers(packet)?;
    if let Some(v) = layers.tcp() {
        return Some((Flow::of_tcp(&v), v.tcp.flags & net::TCP_RST != 0));
    }
    layers.udp().map(|v| (Flow::of_udp(&v), false))
}

/// The server of a flow: the one it has, or a new one.
fn place(flow: &Flow, now: u64) -> Option<(u32, Server)> {
    let check = flow.hash(0) as u32;
    let known = CONNECTIONS.get(flow).filter(|p| {
        p.check == check && now.saturating_sub(p.seen) < IDLE_S.get().saturating_mul(SECOND)
    });
    if let Some(p) = &known {
        match POOL.get(p.server) {
            Some(server) if server.serves() && server.id() == p.id => {
                count(Count::Tracked);
                // Once a second is enough.
                if now.saturating_sub(p.seen) >= SECOND {
                    note(flow, p.server, &server, check, now);
                }
                return Some((p.server, server));
            }
            _ => count(Count::Moved),
        }
    }
    // The seed is fixed, so that every balancer places alike.
    let hash = flow.hash(1);
    let number = match pool::at(hash) {
        Some(n) if POOL.get(n).is_some_and(|s| s.state == pool::UP) => n,
        _ => {
            // The table is older than the pool.
            pool::hurry();
            if pool::refresh(now, REFRESH_MS.get()) {
                count(Count::Tables);
            }
            pool::at(hash)?
        }
    };
    let server = POOL.get(number).filter(|s| s.state == pool::UP)?;
    count(Count::Placed);
    note(flow, number, &server, check, now);
    Some((number, server))
}

fn note(flow: &Flow, server: u32, to: &Server, check: u32, now: u64) {
    let _ = CONNECTIONS.insert(flow, &Place { id: to.id(), seen: now, server, check });
}
