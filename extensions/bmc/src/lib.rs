// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! A cache in front of memcached, in the kernel.
//!
//! `rx` answers `get` requests over UDP before the network stack sees them, and
//! watches for requests that change items, over UDP and TCP. `tx` watches what
//! memcached answers: it fills the cache from replies to `get`, and sees by the others that
//! changes were carried out. Whatever is not understood goes to memcached untouched. The
//! design follows BMC (Ghigoff et al., NSDI '21), and is stricter about what may fill the
//! cache: see `cache.rs`.

#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]

pub mod asks;
pub mod cache;
pub mod clock;
pub mod conn;
pub mod packet;
pub mod proto;
pub mod report;
#[cfg(test)]
mod tests;
pub mod ttl;

use asks::{Asker, Key};
use conn::{Ends, Seen};
use iu::prelude::*;
use packet::{Packet, Place};
use proto::ascii;
use proto::get::{self, END, UDP_HEADER, key_hash, text_is_of};
use report::Report;

/// memcached's port, UDP and TCP.
#[param(default = 11211, min = 1, max = 65535)]
static PORT: Param<u16>;

/// Counters, by [`Count`].
#[map]
static STATS: PerCpuArray<u64, 9> = PerCpuArray::new();

/// What `STATS` counts, in its order.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Count {
    /// Requests answered from the cache.
    Hits = 0,
    /// `get` requests that went to memcached.
    Misses = 1,
    /// Items taken over from memcached's replies.
    Fills = 2,
    /// Items not taken over, as a change was under way or had come in between.
    Overtaken = 3,
    /// Items not taken over, as it is not known when they expire.
    Ageless = 4,
    /// Changes to keys.
    Changes = 5,
    /// Times that everything was forgotten.
    Flushes = 6,
    /// Segments on connections of which it was not known where in the stream they are.
    Lost = 7,
    /// Hits whose reply found no room in the packet.
    NoRoom = 8,
}

fn count(what: Count) {
    STATS.update(what as u32, |n: u64| n.wrapping_add(1));
}

fn count_by(what: Count, by: u64) {
    if by > 0 {
        STATS.update(what as u32, |n: u64| n.wrapping_add(by));
    }
}

fn close_gaps(now: u64) {
    count_by(Count::Flushes, u64::from(clock::close_gaps(now)));
}

/// Longest reply in bytes: the frame header, one or more texts, `END`.
const MAX_REPLY: usize = UDP_HEADER + cache::MAX_TEXT + END.len();

#[xdp(on_fault = pass)]
fn rx(mut ctx: XdpContext) -> XdpAction {
    let frame = ctx.packet();
    match packet::parse(frame, frame.len()) {
        Packet::Udp(place) if place.to == PORT.get() => datagram(&mut ctx, &place),
        Packet::Tcp(place) if place.to == PORT.get() => {
            segment(frame, &place);
            XdpAction::Pass
        }
        _ => XdpAction::Pass,
    }
}

/// Serves a datagram, or watches it go by.
#[inline(always)]
fn datagram(ctx: &mut XdpContext, place: &Place) -> XdpAction {
    let frame = ctx.packet();
    let Some(payload) = frame.get(place.start..place.end) else {
        return XdpAction::Pass;
    };
    let request =
        get::single_datagram(payload).and_then(|(id, message)| Some((id, get::get_line(message)?)));
    // What the stack would drop or answer elsewhere is left to it.
    let Some((id, line)) =
        request.filter(|_| place.plain && packet::header_is_intact(frame, place))
    else {
        watch(frame, place, payload);
        return XdpAction::Pass;
    };
    let Some(hash) = key_hash(line) else {
        return several(ctx, place, id);
    };
    if let Some(verdict) = hit(ctx, place, id, hash) {
        return verdict;
    }
    miss(ctx.packet(), place, id);
    XdpAction::Pass
}

/// Answers a request for one key from the cache.
#[inline(always)]
fn hit(ctx: &mut XdpContext, place: &Place, id: u16, hash: u64) -> Option<XdpAction> {
    cache::read(hash, |text| {
        let key = ctx.packet().get(place.start + UDP_HEADER + 4..place.end - 2)?;
        if !text_is_of(text, key) {
            return None;
        }
        send(ctx, place, id, text.len(), |to| {
            to.copy_from_slice(text);
            Some(())
        })
    })
}

/// Makes a reply of the request's packet, in which `write` writes `len` bytes of
/// text. `None`: there is no room, and the packet is as it was.
#[inline(always)]
fn send(
    ctx: &mut XdpContext,
    place: &Place,
    id: u16,
    len: usize,
    write: impl FnOnce(&mut [u8]) -> Option<()>,
) -> Option<XdpAction> {
    let headers = packet::reply_headers(place);
    let payload = UDP_HEADER + len + END.len();
    let total = headers + payload;
    let delta = i32::try_from(total as i64 - ctx.packet().len() as i64).ok()?;
    if ctx.adjust_tail(delta).is_err() && !grow_in_front(ctx, place.start, delta) {
        count(Count::NoRoom);
        return None;
    }
    let fill = || {
        let frame = ctx.packet_mut().get_mut(..total)?;
        let (frame_header, text) =
            frame.get_mut(headers..)?.split_first_chunk_mut::<UDP_HEADER>()?;
        let [i0, i1] = id.to_be_bytes();
        *frame_header = [i0, i1, 0, 0, 0, 1, 0, 0];
        let (text, end) = text.split_last_chunk_mut()?;
        *end = *END;
        write(text)?;
        packet::turn_around(frame, place, payload)
    };
    match fill() {
        Some(()) => {
            count(Count::Hits);
            Some(XdpAction::Tx)
        }
        // The packet is no request any more, so nobody may see it.
        None => Some(XdpAction::Drop),
    }
}

/// Makes a packet with little room behind it, such as veth hands over, longer by moving its start. Whether there was room.
#[cold]
#[inline(never)]
fn grow_in_front(ctx: &mut XdpContext, headers: usize, delta: i32) -> bool {
    if delta <= 0 || ctx.adjust_head(-delta).is_err() {
        return false;
    }
    let from = delta as usize;
    if let Some(all) = ctx.packet_mut().get_mut(..from + headers)
        && from <= all.len()
    {
        all.copy_within(from.., 0);
    }
    true
}

/// Serves a request for several keys, if every one is here.
#[inline(never)]
fn several(ctx: &mut XdpContext, place: &Place, id: u16) -> XdpAction {
    let mut text = [0; cache::MAX_TEXT];
    match collect(ctx.packet(), place, &mut text) {
        Some(len) => {
            let text = text.get(..len).unwrap_or(&[]);
            let verdict = send(ctx, place, id, len, |to| {
                to.copy_from_slice(text);
                Some(())
            });
            verdict.unwrap_or(XdpAction::Pass)
        }
        None => {
            miss(ctx.packet(), place, id);
            XdpAction::Pass
        }
    }
}

fn line_at<'a>(frame: &'a [u8], place: &Place) -> Option<&'a [u8]> {
    get::get_line(frame.get(place.start + UDP_HEADER..place.end)?)
}

fn collect(frame: &[u8], place: &Place, to: &mut [u8]) -> Option<usize> {
    let mut len = 0;
    for key in get::keys(line_at(frame, place)?)? {
        len = cache::read(key_hash(key)?, |text| {
            let end = len + text.len();
            if !text_is_of(text, key) {
                return None;
            }
            to.get_mut(len..end)?.copy_from_slice(text);
            Some(end)
        })?;
    }
    Some(len)
}

/// Notes a request that memcached gets to see, so that its reply may fill the cache.
#[inline(never)]
fn miss(frame: &[u8], place: &Place, id: u16) -> Option<()> {
    count(Count::Misses);
    let now = time::ktime_ns();
    close_gaps(now);
    let (client, _) = packet::addresses(frame, place)?;
    let asker = Asker::new(client, place.from, id);
    let mut noted = [Key::NONE; asks::MAX_KEYS];
    let mut room = noted.iter_mut();
    let mut asked = 0;
    let Some(keys) = get::keys(line_at(frame, place)?) else {
        // Several requests in one, perhaps.
        asks::note_other(&asker, now);
        return None;
    };
    for key in keys {
        asked += 1;
        let hash = key_hash(key)?;
        if let Some(version) = cache::version(hash, now) {
            match room.next() {
                Some(to) => *to = Key::new(hash, version),
                None => break,
            }
        } else {
            count(Count::Overtaken);
        }
    }
    asks::note(&asker, asked, &noted, now);
    Some(())
}

/// A datagram to memcached that is not one plain `get`.
#[inline(never)]
fn watch(frame: &[u8], place: &Place, payload: &[u8]) {
    let mut report = Report::new(false);
    if place.fragment {
        // What is in the others is not known, nor when they come.
        report.all(true);
        return apply(&mut report, clock::LATE);
    }
    let Some((header, message)) = payload.split_first_chunk::<UDP_HEADER>() else {
        return;
    };
    if message.first() == Some(&proto::binary::REQUEST) {
        report.all(true);
    } else {
        ascii::scan(message, &mut |c| report.add(c));
    }
    apply(&mut report, clock::settle());
    let [id0, id1, ..] = *header;
    if let Some((client, _)) = packet::addresses(frame, place) {
        let id = u16::from_be_bytes([id0, id1]);
        asks::note_other(&Asker::new(client, place.from, id), time::ktime_ns());
    }
}

fn apply(report: &mut Report, hold: u64) {
    let now = time::ktime_ns();
    close_gaps(now);
    let applied = report.apply(now, hold);
    count_by(Count::Changes, applied.keys);
    count_by(Count::Flushes, u64::from(applied.all));
}

/// A segment to memcached.
#[inline(never)]
fn segment(frame: &[u8], place: &Place) -> Option<()> {
    let mut report = Report::new(!place.fragment);
    if place.fragment {
        // What is in the others is not known, nor when they come.
        report.all(true);
        apply(&mut report, clock::LATE);
        return None;
    }
    let header = packet::tcp(frame, place)?;
    let (client, server) = packet::addresses(frame, place)?;
    let ends = Ends::new(client, place.from, server);
    let now = time::ktime_ns();
    match conn::received(&ends, header, frame.get(place.start..place.end)?, now, &mut report) {
        Seen::Nothing => {
            report.apply_given_up(now);
            return None;
        }
        Seen::Followed => {}
        Seen::Lost => count(Count::Lost),
    }
    apply(&mut report, clock::settle());
    conn::under_way(&ends, &mut report, now);
    Some(())
}

#[tc(on_fault = unspec)]
fn tx(ctx: TcContext) -> TcAction {
    let mut headers = [0; packet::MAX_HEADERS];
    let len = ctx.len().min(packet::MAX_HEADERS);
    if let Some(headers) = headers.get_mut(..len)
        && ctx.load(0, headers).is_ok()
    {
        match packet::parse(headers, ctx.len()) {
            Packet::Udp(place) if place.from == PORT.get() => {
                take_over(&ctx, headers, &place);
            }
            Packet::Tcp(place) if place.from == PORT.get() => {
                acknowledge(&ctx, headers, &place);
            }
            _ => {}
        }
    }
    TcAction::Unspec
}

/// Bytes of most replies: that nothing was found, or an item of usual size.
const SHORT_REPLY: usize = 128;

/// Fills the cache from one of memcached's replies.
fn take_over(ctx: &TcContext, headers: &[u8], place: &Place) -> Option<()> {
    let len = place.end.checked_sub(place.start)?;
    // A buffer is cleared before it is written to.
    if len <= SHORT_REPLY {
        take_over_with::<SHORT_REPLY>(ctx, headers, place, len)
    } else {
        take_over_with::<MAX_REPLY>(ctx, headers, place, len)
    }
}

/// [`take_over`] with a buffer of `N` bytes, for a reply of `len`.
#[inline(never)]
fn take_over_with<const N: usize>(
    ctx: &TcContext,
    headers: &[u8],
    place: &Place,
    len: usize,
) -> Option<()> {
    let mut buffer = [0; N];
    let (_, client) = packet::addresses(headers, place)?;
    let now = time::ktime_ns();
    // Longer than what is kept: only what the start says matters.
    let payload = buffer.get_mut(..len.min(N))?;
    ctx.load(place.start, payload).ok()?;
    if let Some((id, part)) = get::part(payload) {
        let item = get::item_length(payload.get(UDP_HEADER..)?);
        let asker = Asker::new(client, place.to, id);
        asks::answered_in_part(&asker, part, len - UDP_HEADER, item, now);
        return None;
    }
    let (id, mut reply) = get::single_datagram(payload)?;
    let mut rest = reply;
    while let Some((_, after)) = get::split_value(rest) {
        rest = after;
    }
    let last = len <= MAX_REPLY && rest == END;
    let (keys, asked) = asks::answered(&Asker::new(client, place.to, id), last, now)?;
    while let Some((value, rest)) = get::split_value(reply) {
        keep(&keys, asked, &value, now);
        reply = rest;
    }
    Some(())
}

fn keep(keys: &asks::Keys, asked: u64, value: &get::Value<'_>, now: u64) -> Option<()> {
    let hash = key_hash(value.key)?;
    let key = keys.iter().find(|k| k.hash == hash)?;
    if !cache::is_kept(value.bytes) {
        return None;
    }
    let Some(good) = ttl::good_until(hash, now) else {
        count(Count::Ageless);
        return None;
    };
    let kept = cache::fill(hash, asked, key.version, good, value.text);
    count(if kept { Count::Fills } else { Count::Overtaken });
    Some(())
}

/// A segment from memcached: changes that it shows to be carried out are no longer under way.
#[inline(never)]
fn acknowledge(ctx: &TcContext, headers: &[u8], place: &Place) -> Option<()> {
    let header = packet::tcp(headers, place)?;
    let (server, client) = packet::addresses(headers, place)?;
    let ends = Ends::new(client, place.to, server);
    let len = place.end.saturating_sub(place.start);
    let done = conn::sent(&ends, header, len, |at, to| ctx.load(place.start + at, to).is_ok())?;
    let now = time::ktime_ns();
    done.apply(now);
    if done.outdates {
        clock::invalidate(now.saturating_add(clock::settle()));
        count(Count::Flushes);
    }
    Some(())
}
