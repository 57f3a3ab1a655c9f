// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! A cache in front of memcached, in the kernel.
//!
//! `rx` answers `get` requests over UDP before the network stack sees them, and
//! watches for requests that change items, over UDP and TCP. `tx` fills the cache
//! from memcached's own answers. Whatever is not understood goes to memcached
//! untouched. The design follows BMC (Ghigoff et al., NSDI '21).

#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]

pub mod cache;
pub mod packet;
pub mod proto;
#[cfg(test)]
mod tests;

use iu::prelude::*;
use packet::{HEADERS, Packet};
use proto::{Change, UDP_HEADER};

/// memcached's port, UDP and TCP.
#[param(default = 11211, min = 1, max = 65535)]
static PORT: Param<u16>;

/// Counters, by [`Count`].
#[map]
static STATS: PerCpuArray<u64, 6> = PerCpuArray::new();

/// What `STATS` counts, in its order.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Count {
    /// Requests answered from the cache.
    Hits = 0,
    /// `get` requests that went to memcached.
    Misses = 1,
    /// Items taken over from memcached's answers.
    Fills = 2,
    /// Keys forgotten because a request may change them.
    Changes = 3,
    /// Times that everything was forgotten.
    Flushes = 4,
    /// Hits whose reply found no room in the packet.
    NoRoom = 5,
}

fn count(what: Count) {
    STATS.update(what as u32, |n: u64| n.wrapping_add(1));
}

/// Longest reply in bytes: the frame header, one or more texts, `END`.
const MAX_REPLY: usize = UDP_HEADER + cache::MAX_TEXT + END.len();
const END: &[u8] = b"END\r\n";

#[xdp(on_fault = pass)]
fn rx(mut ctx: XdpContext) -> XdpAction {
    match packet::parse(ctx.packet()) {
        Packet::Udp { port, payload } if port == PORT.get() => {
            let mut reply = [0; MAX_REPLY];
            match answer(ctx.packet(), payload, &mut reply) {
                Some(len) => send(&mut ctx, reply.get(..len).unwrap_or(&[])),
                None => XdpAction::Pass,
            }
        }
        Packet::Tcp { port, payload } if port == PORT.get() => {
            watch(payload);
            XdpAction::Pass
        }
        Packet::Opaque => {
            invalidate_all();
            XdpAction::Pass
        }
        _ => XdpAction::Pass,
    }
}

/// Writes the reply to a datagram and returns its length; `None` if memcached
/// must see the request.
fn answer(frame: &[u8], payload: &[u8], reply: &mut [u8]) -> Option<usize> {
    let Some((request, message)) = proto::single_datagram(payload) else {
        // memcached refuses requests of several datagrams, but it is not for us
        // to rely on that.
        invalidate_all();
        return None;
    };
    let Some(keys) = proto::parse_get(message) else {
        watch(message);
        return None;
    };
    let client = packet::udp_client(frame, false, request)?;

    let mut end = UDP_HEADER;
    let mut missed = false;
    for key in keys {
        let hash = cache::hash(key);
        match cache::read(key, hash, reply, end) {
            Some(next) => end = next,
            None => {
                cache::ask(hash, client, time::ktime_ns());
                missed = true;
            }
        }
    }
    let total = end + END.len();
    // Served only whole: memcached answers all keys or none of them.
    if missed || total > MAX_REPLY {
        count(Count::Misses);
        return None;
    }
    reply.get_mut(end..total)?.copy_from_slice(END);
    reply.get_mut(..UDP_HEADER)?.copy_from_slice(payload.get(..UDP_HEADER)?);
    Some(total)
}

/// Puts the reply into the request's packet and sends it back.
fn send(ctx: &mut XdpContext, reply: &[u8]) -> XdpAction {
    let want = HEADERS + reply.len();
    let have = ctx.packet().len();
    let Ok(delta) = i32::try_from(want as i64 - have as i64) else {
        return XdpAction::Pass;
    };
    if ctx.adjust_tail(delta).is_err() {
        count(Count::NoRoom);
        return XdpAction::Pass;
    }
    let frame = ctx.packet_mut();
    let filled = packet::turn_around(frame, reply.len()).is_some();
    match frame.get_mut(HEADERS..want) {
        Some(to) if filled => {
            to.copy_from_slice(reply);
            count(Count::Hits);
            XdpAction::Tx
        }
        // The packet is no request any more, so nobody may see it.
        _ => XdpAction::Drop,
    }
}

fn watch(stream: &[u8]) {
    proto::changes(stream, |change| match change {
        Change::Key(key) => {
            cache::invalidate(cache::hash(key));
            count(Count::Changes);
        }
        Change::All => invalidate_all(),
    });
}

fn invalidate_all() {
    cache::invalidate_all(time::ktime_ns());
    count(Count::Flushes);
}

#[tc(on_fault = unspec)]
fn tx(ctx: TcContext) -> TcAction {
    let mut headers = [0; HEADERS];
    if ctx.load(0, &mut headers).is_ok() && packet::is_udp_from(&headers, PORT.get()) {
        let mut frame = [0; HEADERS + MAX_REPLY];
        // A longer answer is of several datagrams, or of an item that is not kept.
        if let Some(frame) = frame.get_mut(..ctx.len())
            && ctx.load(0, frame).is_ok()
        {
            take_over(frame);
        }
    }
    TcAction::Unspec
}

/// Fills the cache from one of memcached's answers.
fn take_over(frame: &[u8]) -> Option<()> {
    let (request, mut reply) = proto::single_datagram(frame.get(HEADERS..)?)?;
    let client = packet::udp_client(frame, true, request)?;
    while let Some((value, rest)) = proto::split_value(reply) {
        if cache::fill(cache::hash(value.key), client, value.text) {
            count(Count::Fills);
        }
        reply = rest;
    }
    Some(())
}
