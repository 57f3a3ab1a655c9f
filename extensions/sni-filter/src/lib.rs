// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! Blocks TLS connections by the name that their ClientHello asks for, before the network stack sees it.
//!
//! A connection is followed from its SYN until its ClientHello is over; segments that come too early
//! are dropped meanwhile, so that the sender repeats them in order and no order hides a name.

#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]

pub mod hello;
pub mod names;
mod reset;
#[cfg(test)]
mod tests;

use hello::{Found, Hello};
use iu::net::{Cursor, Flow, Piece, TcpView};
use iu::prelude::*;

/// TCP port of the servers.
#[param(default = 443, min = 1, max = 65535)]
static PORT: Param<u16>;

/// Reset blocked connections; else their segments are dropped.
#[param(default = false)]
static RESET: Param<bool>;

/// A connection whose ClientHello is not over, or that is blocked.
#[plain]
struct Connection {
    /// Of its flow: an entry that is evicted while it is read may become another's.
    check: u32,
    at: u32,
    blocked: u64,
    hello: Hello,
}

/// In tests fewer, as the host's map looks for the oldest one by one.
const ROOM: u32 = if cfg!(test) { 512 } else { 8192 };

#[map]
static CONNECTIONS: LruHash<Flow, Connection, ROOM> = LruHash::new();

/// Counters, by [`Count`].
#[map]
static STATS: PerCpuArray<u64, 7> = PerCpuArray::new();

/// What `STATS` counts, in its order.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Count {
    /// ClientHellos with a name.
    Hellos = 0,
    /// Connections blocked.
    Blocked = 1,
    /// Resets sent.
    Resets = 2,
    /// Segments of blocked connections dropped.
    Dropped = 3,
    /// Segments dropped because one before them was missing.
    Held = 4,
    /// ClientHellos without a name.
    Unnamed = 5,
    /// Connections that do not begin with a ClientHello.
    Other = 6,
}

fn count(what: Count) {
    STATS.update(what as u32, |n: u64| n.wrapping_add(1));
}

enum Verdict {
    Pass,
    Hold,
    Block,
}

#[xdp(on_fault = pass)]
fn filter(mut ctx: XdpContext) -> XdpAction {
    let seen = net::layers(ctx.packet()).and_then(|l| l.tcp());
    let verdict = match seen {
        Some(v) if v.tcp.dst_port.get() == PORT.get() => judge(&v),
        _ => Verdict::Pass,
    };
    match verdict {
        Verdict::Pass => XdpAction::Pass,
        Verdict::Hold => {
            count(Count::Held);
            XdpAction::Drop
        }
        Verdict::Block if RESET.get() && reset::turn_around(&mut ctx).is_some() => {
            count(Count::Resets);
            XdpAction::Tx
        }
        Verdict::Block => {
            count(Count::Dropped);
            XdpAction::Drop
        }
    }
}

fn judge(v: &TcpView<'_>) -> Verdict {
    let flow = Flow::of_tcp(v);
    let check = flow.hash(0) as u32;
    let (seq, flags) = (v.tcp.seq.get(), v.tcp.flags);
    if flags & net::TCP_RST != 0 {
        let _ = CONNECTIONS.remove(&flow);
        return Verdict::Pass;
    }
    let fresh = |at: Cursor| Connection { check, at: at.next, blocked: 0, hello: Hello::new() };
    let (mut conn, from) = if flags & net::TCP_SYN != 0 {
        (fresh(Cursor::after_syn(seq)), seq.wrapping_add(1))
    } else if let Some(conn) = CONNECTIONS.get(&flow).filter(|c| c.check == check) {
        (conn, seq)
    } else if let [22, 3, ..] = v.payload {
        // It was open before, or has been evicted: what may begin a ClientHello is taken for one.
        (fresh(Cursor { next: seq }), seq)
    } else {
        return Verdict::Pass;
    };
    if conn.blocked != 0 {
        return Verdict::Block;
    }
    let mut at = Cursor { next: conn.at };
    let found = match at.take(from, v.payload) {
        Piece::Gap => return Verdict::Hold,
        Piece::Seen if flags & net::TCP_SYN == 0 => return Verdict::Pass,
        Piece::Seen => Found::Nothing,
        Piece::Next(bytes) => conn.hello.feed(bytes),
    };
    conn.at = at.next;
    match found {
        Found::Nothing => {
            let _ = CONNECTIONS.insert(&flow, &conn);
            return Verdict::Pass;
        }
        Found::Name => {
            count(Count::Hellos);
            if names::blocked(conn.hello.name()) {
                count(Count::Blocked);
                conn.blocked = 1;
                let _ = CONNECTIONS.insert(&flow, &conn);
                return Verdict::Block;
            }
        }
        Found::Unnamed => count(Count::Unnamed),
        Found::Other => count(Count::Other),
    }
    let _ = CONNECTIONS.remove(&flow);
    Verdict::Pass
}
