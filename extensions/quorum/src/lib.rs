// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! The fast path of a replicated log (Multi-Paxos with a leader that stays), in the manner of Electrode (Zhou et al.,
//! NSDI '23): a replica accepts and acknowledges in the kernel, and a leader's kernel counts acknowledgments and wakes
//! user space once per slot.
//!
//! Elections, gaps and everything unusual are user space's: it gets what is not understood here, untouched.

#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;
pub mod wire;

use iu::prelude::*;
use iu::zerocopy::IntoBytes;
use wire::{ACCEPT, ACK, HEADER, Header, VALUE};

/// UDP port of the replicas.
#[param(default = 5005, min = 1)]
static PORT: Param<u16>;

/// Number of this replica.
#[param(default = 0, max = 63)]
static NODE: Param<u8>;

/// Acknowledgments of others that decide a slot.
#[param(default = 1, min = 1, max = 63)]
static QUORUM: Param<u32>;

/// What user space has decided: the ballot that is accepted here, and the one that this replica
/// leads; 0: none. To promise a higher ballot it first writes it here, and then reads [`LOG`] to its end: what was
/// acknowledged before is there.
#[map]
pub static STATE: Array<u64, 2> = Array::new();
const PROMISED: u32 = 0;
const LEADING: u32 = 1;

/// What was accepted, in the order of acceptance: a [`Header`] and the value.
#[map]
pub static LOG: RingBuf<1048576> = RingBuf::new();

/// A slot that was accepted last in its place of a window.
#[plain]
struct Accepted {
    ballot: u64,
    slot: u64,
}

/// Votes for a slot.
#[plain]
struct Votes {
    ballot: u64,
    slot: u64,
    /// Who has voted, a bit for each.
    voters: u64,
}

const WINDOW: u32 = 4096;

#[map]
static ACCEPTED: LockedArray<Accepted, WINDOW> = LockedArray::new();
#[map]
static VOTES: LockedArray<Votes, WINDOW> = LockedArray::new();

/// Counters, by [`Count`].
#[map]
static STATS: PerCpuArray<u64, 6> = PerCpuArray::new();

/// What `STATS` counts, in its order.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Count {
    /// Values accepted and acknowledged here.
    Accepted = 0,
    /// Acknowledged again.
    Repeated = 1,
    /// Messages left to user space.
    Left = 2,
    /// Acknowledgments counted here.
    Votes = 3,
    /// Slots decided.
    Decided = 4,
    /// Acknowledgments dropped, as their slot was decided.
    Late = 5,
}

fn count(what: Count) {
    STATS.update(what as u32, |n: u64| n.wrapping_add(1));
}

#[xdp(on_fault = pass)]
fn fast(mut ctx: XdpContext) -> XdpAction {
    let Some((header, value)) = wire::message(ctx.packet(), PORT.get()) else {
        return XdpAction::Pass;
    };
    let verdict = match header.kind {
        ACCEPT => accept(&header, value).and_then(|()| {
            let ack = Header { kind: ACK, node: NODE.get(), ..header };
            wire::reply(&mut ctx, &ack).map(|()| XdpAction::Tx)
        }),
        ACK => vote(&header),
        _ => None,
    };
    verdict.unwrap_or_else(|| {
        count(Count::Left);
        XdpAction::Pass
    })
}

/// The place of a slot in a window, and how old the ballot and slot there may be.
fn place(header: &Header) -> (u32, u64, u64) {
    let slot = header.slot.get();
    ((slot % u64::from(WINDOW)) as u32, header.ballot.get(), slot)
}

/// Accepts a value: it is in the log, and may be acknowledged.
#[inline(never)]
fn accept(header: &Header, value: &[u8]) -> Option<()> {
    let (at, ballot, slot) = place(header);
    let promised = || ballot != 0 && STATE.get(PROMISED) == Some(ballot);
    if !promised() {
        return None;
    }
    let mut record = [0; HEADER + VALUE];
    let record = record.get_mut(..HEADER + value.len())?;
    let (head, body) = record.split_at_mut_checked(HEADER)?;
    head.copy_from_slice(header.as_bytes());
    body.copy_from_slice(value);
    let new = {
        // Held until it is in the log: no other CPU acknowledges the slot before.
        let mut seen = ACCEPTED.lock(at)?;
        let new = (seen.ballot, seen.slot) != (ballot, slot);
        if new {
            if (seen.ballot, seen.slot) > (ballot, slot) {
                return None;
            }
            LOG.output(record).ok()?;
            (seen.ballot, seen.slot) = (ballot, slot);
        }
        new
    };
    // If user space has promised a higher ballot meanwhile, it may have read the log before this was in it. If not,
    // it will find it there. The submission is a full barrier.
    if !promised() {
        return None;
    }
    count(if new { Count::Accepted } else { Count::Repeated });
    Some(())
}

/// Counts an acknowledgment. The one that decides a slot goes to user space, and each that is repeated after, since then
/// user space has not seen it.
#[inline(never)]
fn vote(header: &Header) -> Option<XdpAction> {
    let (at, ballot, slot) = place(header);
    let bit = 1u64.checked_shl(header.node.into())?;
    if ballot == 0 || STATE.get(LEADING) != Some(ballot) || header.node == NODE.get() {
        return None;
    }
    let mut votes = VOTES.lock(at)?;
    if (votes.ballot, votes.slot) != (ballot, slot) {
        if (votes.ballot, votes.slot) > (ballot, slot) {
            return None;
        }
        *votes = Votes { ballot, slot, voters: 0 };
    }
    let before = votes.voters;
    votes.voters |= bit;
    let (had, has) = (before.count_ones(), votes.voters.count_ones());
    drop(votes);
    count(Count::Votes);
    let quorum = QUORUM.get();
    if had == has && has >= quorum {
        return Some(XdpAction::Pass);
    }
    if had < quorum && has >= quorum {
        count(Count::Decided);
        return Some(XdpAction::Pass);
    }
    if had >= quorum {
        count(Count::Late);
    }
    Some(XdpAction::Drop)
}
