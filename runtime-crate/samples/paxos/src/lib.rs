// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! The steady state of a replicated log (Multi-Paxos, Viewstamped Replication) in the
//! kernel, and everything else in user space: the leader sends one packet and a copy goes to
//! each replica, replicas log what comes in order and answer it at once, and of the
//! answers the leader's process sees only the one that makes the majority.

#![no_std]
#![forbid(unsafe_code)]

use iu::prelude::*;
use iu::zerocopy::FromBytes;
use iu::{Way, net::U32};

/// UDP port of the protocol.
#[param(default = 12345, min = 1)]
static PORT: Param<u16>;
/// Number of this replica.
#[param(default = 0, max = 7)]
static ME: Param<u8>;
/// Answers that make a majority together with the leader's own.
#[param(default = 2, min = 1, max = 7)]
static MAJORITY: Param<u8>;

const MAGIC: [u8; 4] = *b"iuPX";
const PREPARE: u8 = 1;
const PREPARED: u8 = 2;

/// What the packets carry.
#[plain]
pub struct Message {
    magic: [u8; 4],
    kind: u8,
    /// Who answers.
    replica: u8,
    /// Not 0: for all replicas, still to be copied.
    all: u8,
    reserved: u8,
    view: U32,
    /// Number of the operation.
    op: U32,
    operation: [u8; 16],
}

#[plain]
struct Replica {
    mac: [u8; 6],
    ip: [u8; 4],
    port: [u8; 2],
}

/// The replicas, by number; one without a port is none. User space sets them.
#[map]
static REPLICAS: Array<Replica, 8> = Array::new();

#[plain]
struct State {
    view: u32,
    last_op: u32,
}

#[map]
static STATE: LockedArray<State, 1> = LockedArray::new();

#[plain]
struct Entry {
    op: u32,
    operation: [u8; 16],
}

/// Operations in order, for user space to execute.
#[map]
static LOG: RingBuf<{ 1 << 16 }> = RingBuf::new();

#[plain]
struct Round {
    view: u32,
    op: u32,
    /// A bit for each that answered.
    replicas: u64,
}

const ROUNDS_KEPT: u32 = 1024;
/// Rounds by the last digits of the operation.
#[map]
static ROUNDS: LockedArray<Round, ROUNDS_KEPT> = LockedArray::new();

fn message(payload: &[u8]) -> Option<Message> {
    let (m, _) = Message::read_from_prefix(payload).ok()?;
    (m.magic == MAGIC).then_some(m)
}

#[xdp(on_fault = pass)]
fn receiving(mut ctx: XdpContext) -> XdpAction {
    let m = match net::udp4(ctx.packet()) {
        Some(p) if p.udp.dst_port.get() == PORT.get() => message(p.payload),
        _ => None,
    };
    match m {
        Some(m) if m.kind == PREPARE => prepare(&mut ctx, &m),
        Some(m) if m.kind == PREPARED => count(&m),
        _ => XdpAction::Pass,
    }
}

/// Follower: logs the operation if it is the next one, and answers.
fn prepare(ctx: &mut XdpContext, m: &Message) -> XdpAction {
    let op = m.op.get();
    // Without room, user space sees the packet itself.
    let Some(room) = LOG.reserve::<Entry>() else { return XdpAction::Pass };
    let entry = room.write(Entry { op, operation: m.operation });
    {
        let Some(mut state) = STATE.lock(0) else { return XdpAction::Pass };
        if m.view.get() < state.view {
            return XdpAction::Drop;
        }
        // Another leader, or something is missing: not what a kernel decides.
        if m.view.get() > state.view || op > state.last_op.saturating_add(1) {
            return XdpAction::Pass;
        }
        if op > state.last_op {
            state.last_op = op;
            // Under the lock, so that the log is in order.
            entry.submit();
        }
    }
    let Some(p) = net::udp4_mut(ctx.packet_mut()) else { return XdpAction::Pass };
    let Ok((answer, _)) = Message::mut_from_prefix(p.payload) else { return XdpAction::Pass };
    (answer.kind, answer.replica) = (PREPARED, ME.get());
    p.eth.swap();
    p.ip.swap();
    p.udp.swap();
    p.udp.checksum = Default::default();
    XdpAction::Tx
}

/// Leader: only the answer that makes the majority is of interest.
fn count(m: &Message) -> XdpAction {
    let (view, op) = (m.view.get(), m.op.get());
    let Some(mut round) = ROUNDS.lock(op % ROUNDS_KEPT) else { return XdpAction::Pass };
    if (round.view, round.op) != (view, op) {
        *round = Round { view, op, replicas: 0 };
    }
    let before = round.replicas.count_ones();
    round.replicas |= 1 << (m.replica & 63);
    let now = round.replicas.count_ones();
    if now > before && now == u32::from(MAJORITY.get()) { XdpAction::Pass } else { XdpAction::Drop }
}

/// Writes the address of a replica into the packet.
fn address(ctx: &mut TcContext, to: &Replica) -> Option<()> {
    let n = ctx.len();
    // The copy before may share the bytes.
    let p = net::udp4_mut(ctx.pull(n).ok()?)?;
    let (m, _) = Message::mut_from_prefix(p.payload).ok()?;
    m.all = 0;
    p.eth.dst = to.mac;
    p.ip.dst = to.ip;
    p.ip.fill_checksum();
    p.udp.dst_port = u16::from_be_bytes(to.port).into();
    p.udp.checksum = Default::default();
    Some(())
}

/// Leader: sends what is for all to each; the last one gets the packet itself.
#[tc(on_fault = ok)]
fn sending(mut ctx: TcContext) -> TcAction {
    let all = match net::udp4(ctx.linear()) {
        Some(p) if p.udp.dst_port.get() == PORT.get() => {
            message(p.payload).is_some_and(|m| m.kind == PREPARE && m.all != 0)
        }
        _ => false,
    };
    if !all {
        return TcAction::Ok;
    }
    let ifindex = ctx.ifindex();
    let mut waiting: Option<Replica> = None;
    for number in 0..REPLICAS.len() {
        let next = match REPLICAS.get(number) {
            Some(r) if number != u32::from(ME.get()) && r.port != [0; 2] => r,
            _ => continue,
        };
        if let Some(to) = waiting.replace(next) {
            if address(&mut ctx, &to).is_none() {
                return TcAction::Shot;
            }
            let _ = ctx.send_copy(ifindex, Way::Out);
        }
    }
    match waiting {
        Some(to) if address(&mut ctx, &to).is_some() => TcAction::Ok,
        _ => TcAction::Shot,
    }
}

#[cfg(test)]
mod tests;
