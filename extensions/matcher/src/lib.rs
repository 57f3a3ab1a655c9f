// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! Finds the patterns of `rules.txt` in incoming packets: in each UDP datagram, and in TCP streams across their
//! segments.

#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]

pub mod dfa;
pub mod rules;
#[cfg(test)]
mod tests;

use dfa::{Dfa, Size};
use iu::net::{Cursor, Flow, Piece, TcpView};
use iu::prelude::*;
use rules::{Action, Rules};

/// Only what goes to this TCP or UDP port; 0: all.
#[param(default = 0)]
static PORT: Param<u16>;

/// Drop segments that come too early.
#[param(default = false)]
static IN_ORDER: Param<bool>;

static RULES: Rules = Rules::parse(include_bytes!("../rules.txt"));
const SIZE: Size = dfa::size(&Rules::parse(include_bytes!("../rules.txt")));
static DFA: Dfa<{ SIZE.states }, { SIZE.states * SIZE.classes }> =
    Dfa::new(&Rules::parse(include_bytes!("../rules.txt")));

/// The rules that drop.
const DROPS: u64 = with(Action::Drop);
const LOGS: u64 = with(Action::Log);

const fn with(action: Action) -> u64 {
    let rules = Rules::parse(include_bytes!("../rules.txt"));
    let (mut set, mut i) = (0, 0);
    while i < rules.len() {
        if rules.action(i) as u32 == action as u32 {
            set |= 1 << i;
        }
        i += 1;
    }
    set
}

/// Matches of each rule, in the order of the file.
#[map]
static HITS: PerCpuArray<u64, { rules::RULES as u32 }> = PerCpuArray::new();

/// One direction of a connection.
#[plain]
struct Stream {
    /// Of its flow: an entry that is evicted while it is read may become another's.
    check: u32,
    /// Sequence number of the byte that comes next.
    next: u32,
    /// The automaton's.
    state: u32,
    /// A rule that drops has matched.
    blocked: u32,
}

/// In tests fewer, as the host's map looks for the oldest one by one.
const ROOM: u32 = if cfg!(test) { 512 } else { 65536 };

#[map]
static STREAMS: LruHash<Flow, Stream, ROOM> = LruHash::new();

/// Counters, by [`Count`].
#[map]
static STATS: PerCpuArray<u64, 6> = PerCpuArray::new();

/// What `STATS` counts, in its order.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Count {
    /// TCP segments with data.
    Segments = 0,
    /// UDP datagrams.
    Datagrams = 1,
    /// Bytes looked at.
    Bytes = 2,
    /// Matches of all rules.
    Matches = 3,
    /// Packets dropped for a rule.
    Dropped = 4,
    /// Segments that came too early.
    Early = 5,
}

fn count(what: Count, n: usize) {
    STATS.update(what as u32, |old: u64| old.wrapping_add(n as u64));
}

#[xdp(on_fault = pass)]
fn scan(ctx: XdpContext) -> XdpAction {
    let Some(layers) = net::layers(ctx.packet()) else {
        return XdpAction::Pass;
    };
    let wanted = |port: u16| PORT.get() == 0 || PORT.get() == port;
    let pass = if let Some(v) = layers.tcp() {
        !wanted(v.tcp.dst_port.get()) || segment(&v)
    } else if let Some(v) = layers.udp().filter(|v| wanted(v.udp.dst_port.get())) {
        count(Count::Datagrams, 1);
        let (_, found) = walk(0, v.payload);
        found & DROPS == 0
    } else {
        true
    };
    if pass {
        return XdpAction::Pass;
    }
    XdpAction::Drop
}

/// Looks at bytes from a state on: the state behind them, and the rules that matched.
fn walk(mut state: u32, bytes: &[u8]) -> (u32, u64) {
    count(Count::Bytes, bytes.len());
    let mut all = 0;
    for b in bytes {
        let (next, found) = DFA.step(state, *b);
        state = next;
        if found != 0 {
            note(found);
            all |= found;
        }
    }
    if all & DROPS != 0 {
        count(Count::Dropped, 1);
    }
    (state, all)
}

#[inline(never)]
fn note(mut found: u64) {
    while found != 0 {
        let rule = found.trailing_zeros();
        found &= found - 1;
        count(Count::Matches, 1);
        HITS.update(rule, |n| n + 1);
        if LOGS & 1 << rule != 0 {
            iu::info!("{} matches", RULES.name(rule as usize));
        }
    }
}

/// Whether it may pass.
fn segment(v: &TcpView<'_>) -> bool {
    let flow = Flow::of_tcp(v);
    let check = flow.hash(0) as u32;
    let (seq, flags) = (v.tcp.seq.get(), v.tcp.flags);
    if flags & net::TCP_RST != 0 {
        let _ = STREAMS.remove(&flow);
        return true;
    }
    let syn = flags & net::TCP_SYN != 0;
    let from = if syn { seq.wrapping_add(1) } else { seq };
    if v.payload.is_empty() && !syn {
        return true;
    }
    // A stream that was open before is followed from here on.
    let fresh = Stream { check, next: from, state: 0, blocked: 0 };
    let mut stream = match STREAMS.get(&flow) {
        Some(s) if s.check == check && !syn => s,
        _ => fresh,
    };
    if stream.blocked != 0 {
        count(Count::Dropped, 1);
        return false;
    }
    count(Count::Segments, usize::from(!v.payload.is_empty()));
    let mut at = Cursor { next: stream.next };
    let bytes = match at.take(from, v.payload) {
        Piece::Next(bytes) => bytes,
        Piece::Seen if syn => &[],
        Piece::Seen => return true,
        Piece::Gap => {
            count(Count::Early, 1);
            if IN_ORDER.get() {
                return false;
            }
            // What is before it comes later, if at all, and is not looked at again.
            at.next = from.wrapping_add(v.payload.len() as u32);
            stream.state = 0;
            v.payload
        }
    };
    let (state, found) = walk(stream.state, bytes);
    (stream.state, stream.next) = (state, at.next);
    stream.blocked = u32::from(found & DROPS != 0);
    let _ = STREAMS.insert(&flow, &stream);
    stream.blocked == 0
}
