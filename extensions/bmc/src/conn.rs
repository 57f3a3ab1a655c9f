// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! TCP connections to memcached: where in the stream of requests one is, which
//! changes are under way on it, and which replies have come.
//!
//! A stream is followed from its SYN on, segment by segment, as long as every one
//! begins where the last ended and all requests are understood. Else the
//! connection is *lost*: whatever comes on it may have changed anything, until the
//! server has acknowledged all that was seen and a segment begins with a request. Replies are
//! counted from the SYN on too; a connection that was lost is not counted again, and its changes are
//! under way until they must have been carried out. Whoever deceives this about what they send hides
//! changes of their own only.

use iu::prelude::*;

use crate::cache::Pending;
use crate::clock::{LATE, settle};
use crate::packet::{ACK, FIN, Ip, RST, SYN, Tcp, URG};
use crate::proto::ascii::{self, Reply};
use crate::proto::binary::{self, Header};
use crate::proto::{Expiry, Replies};
use crate::report::{FLIGHTS, Report};

/// Sets; a power of two.
const SETS: u32 = 1024;
const WAYS: usize = 4;

/// Longest request line that is put together from segments; also [`binary::MAX_HEAD`].
const LINE: usize = 320;

/// Milliseconds after which a change may no longer be under way although its reply has not come.
const LONG_AGO: u32 = (LATE / 2 / 1_000_000) as u32;

/// Where `Conn` stands in its stream.
mod state {
    /// Nowhere: no connection.
    pub const FREE: u8 = 0;
    /// Unknown. `rx_next` is the end of what was seen.
    pub const LOST: u8 = 1;
    /// At `rx_next`, where a request may or may not begin.
    pub const RESYNC: u8 = 2;
    /// At `rx_next`, and followed.
    pub const SYNCED: u8 = 3;
}

/// What a connection speaks, by its first byte.
mod kind {
    pub const UNKNOWN: u8 = 0;
    pub const ASCII: u8 = 1;
    pub const BINARY: u8 = 2;
}

/// Replies are counted.
const COUNTED: u8 = 1;
/// A request was sent that gets a reply only if it fails.
const QUIET: u8 = 2;
/// The client has closed its side, or asked the server to close.
const CLOSING: u8 = 4;
/// The server has accepted; `tx_next` counts.
const OPEN: u8 = 8;
/// Within a line that is longer than `LINE` and changes nothing.
const LONG: u8 = 16;

/// Both ends of a connection, but for memcached's port.
#[plain]
#[derive(PartialEq, Eq)]
pub struct Ends {
    client: Ip,
    server: Ip,
    port: u32,
}

impl Ends {
    /// The client's address and port, and the server's address.
    pub fn new(client: Ip, port: u16, server: Ip) -> Ends {
        Ends { client, server, port: u32::from(port) }
    }

    fn set(&self) -> u32 {
        let mut h = self.port;
        for word in self.client.as_chunks::<4>().0.iter().chain(self.server.as_chunks::<4>().0) {
            h = (h ^ u32::from_ne_bytes(*word)).wrapping_mul(0x9e37_79b1);
            h ^= h >> 15;
        }
        h & (SETS - 1)
    }
}

/// A change under way.
#[plain]
struct Flight {
    change: Pending,
    /// The reply that ends it; 0: no change.
    reply: u32,
}

#[plain]
struct Conn {
    ends: Ends,
    state: u8,
    kind: u8,
    flags: u8,
    unused: u8,
    /// The set's `tick` when it was last used.
    used: u32,
    rx_next: u32,
    /// What the server has acknowledged.
    rx_acked: u32,
    /// When the first came of what it has not, CLOCK_MONOTONIC in ms.
    rx_at: u32,
    /// Bytes of data to skip, line end included for ASCII.
    rx_skip: u32,
    tx_next: u32,
    tx_skip: u32,
    /// The last change whose data follows it: the key's hash, in halves, and what it
    /// does to expiry, see [`Conn::open`].
    open_hash: [u32; 2],
    open_kind: u32,
    open_time: i32,
    /// The reply that ends it, see `report::Item`; 0: none is awaited.
    open_reply: u32,
    open_quiet: u32,
    /// Replies that requests so far get, and that came; both start at 1.
    expected: u32,
    answered: u32,
    /// With that reply, all requests without one have been carried out.
    quiet_at: u32,
    /// Bytes in use of the lines.
    rx_len: u32,
    tx_len: u32,
    rx_line: [u8; LINE],
    tx_line: [u8; LINE],
    flights: [Flight; FLIGHTS],
}

#[plain]
struct Set {
    conns: [Conn; WAYS],
    tick: u32,
}

#[map]
static CONNS: LockedArray<Set, SETS> = LockedArray::new();

impl Flight {
    const NONE: Flight = Flight { change: Pending::NONE, reply: 0 };
}

impl Set {
    fn find(&mut self, ends: &Ends) -> Option<&mut Conn> {
        let tick = self.tick.wrapping_add(1);
        self.tick = tick;
        let conn = self.conns.iter_mut().find(|c| c.state != state::FREE && c.ends == *ends)?;
        conn.used = tick;
        Some(conn)
    }

    /// Room for a connection, another's if need be.
    fn make(&mut self, ends: &Ends, report: &mut Report) -> Option<&mut Conn> {
        let tick = self.tick;
        let rank = |c: &Conn| {
            if c.state == state::FREE {
                u64::MAX
            } else if c.ends == *ends {
                u64::MAX - 1
            } else {
                u64::from(tick.wrapping_sub(c.used)) | if c.flags & OPEN == 0 { 1 << 32 } else { 0 }
            }
        };
        // One that is there already comes first, wherever it stands.
        let at = match self.conns.iter().position(|c| c.state != state::FREE && c.ends == *ends) {
            Some(at) => at,
            None => self.conns.iter().enumerate().max_by_key(|(_, c)| rank(c))?.0,
        };
        let conn = self.conns.get_mut(at)?;
        conn.ends = *ends;
        conn.used = tick;
        (conn.kind, conn.flags) = (kind::UNKNOWN, 0);
        (conn.rx_skip, conn.tx_skip, conn.rx_len, conn.tx_len) = (0, 0, 0, 0);
        (conn.expected, conn.answered, conn.quiet_at) = (1, 1, 1);
        conn.give_up(report);
        Some(conn)
    }
}

/// What [`received`] found.
pub enum Seen {
    /// Nothing that matters.
    Nothing,
    /// Requests, all understood.
    Followed,
    /// Requests on a connection that is lost.
    Lost,
}

/// A segment from a client. Its changes are noted in `report`.
pub fn received(ends: &Ends, tcp: Tcp, payload: &[u8], now: u64, report: &mut Report) -> Seen {
    let Some(mut set) = CONNS.lock(ends.set()) else {
        return Seen::Nothing;
    };
    if tcp.flags & (SYN | RST | FIN) == 0 && payload.is_empty() {
        return Seen::Nothing;
    }
    let ms = (now / 1_000_000) as u32;
    let found = set.find(ends).is_some();
    if tcp.flags & RST != 0 {
        // What it sent before may still be carried out.
        if let Some(conn) = set.find(ends) {
            conn.state = state::FREE;
            conn.give_up(report);
        }
        return Seen::Nothing;
    }
    if tcp.flags & SYN != 0 {
        let Some(conn) = set.make(ends, report) else {
            return Seen::Nothing;
        };
        conn.state = state::SYNCED;
        conn.flags = COUNTED;
        conn.rx_next = tcp.seq.wrapping_add(1);
        conn.rx_acked = conn.rx_next;
        conn.rx_at = ms;
        if payload.is_empty() {
            return Seen::Nothing;
        }
        // Data in a SYN is taken or not, which is not known here.
        conn.lose(tcp.seq.wrapping_add(1).wrapping_add(payload.len() as u32), payload, report);
        return Seen::Lost;
    }
    let made = if found { set.find(ends) } else { set.make(ends, report) };
    let Some(conn) = made else {
        return Seen::Nothing;
    };
    if !found {
        if payload.is_empty() {
            conn.state = state::FREE;
            return Seen::Nothing;
        }
        conn.state = state::LOST;
        conn.rx_next = tcp.seq;
    }
    if tcp.flags & FIN != 0 {
        conn.flags |= CLOSING;
    }
    if payload.is_empty() {
        return Seen::Nothing;
    }
    let end = tcp.seq.wrapping_add(payload.len() as u32);
    if conn.state == state::SYNCED && (end.wrapping_sub(conn.rx_next) as i32) <= 0 {
        conn.repeated(end, ms, report);
        return Seen::Followed;
    }
    let follows = matches!(conn.state, state::SYNCED | state::RESYNC)
        && tcp.seq == conn.rx_next
        && tcp.flags & URG == 0;
    if follows && conn.follow(payload, report) {
        if conn.flags & COUNTED == 0 {
            conn.give_up(report);
        }
        if conn.rx_acked == conn.rx_next {
            conn.rx_at = ms;
        }
        conn.rx_next = end;
        conn.state = state::SYNCED;
        return Seen::Followed;
    }
    conn.lose(end, payload, report);
    Seen::Lost
}

impl Conn {
    /// A segment came again that has been followed, up to `end`.
    ///
    /// If the server has it already, this one is nothing. If it has not, what it asks for is carried out
    /// only now: that is no news where a reply is awaited for every change, for as long as one is.
    fn repeated(&mut self, end: u32, ms: u32, report: &mut Report) {
        let acked = (end.wrapping_sub(self.rx_acked) as i32) <= 0;
        let awaited =
            self.flags & (COUNTED | QUIET) == COUNTED && ms.wrapping_sub(self.rx_at) < LONG_AGO;
        if !acked && !awaited {
            report.all(false);
        }
    }

    /// Gives up on all replies that are awaited, as no reply will be known for what it is.
    fn give_up(&mut self, report: &mut Report) {
        for flight in &mut self.flights {
            if flight.reply != 0 {
                report.give_up(flight.change);
                flight.reply = 0;
            }
        }
    }

    /// Gives up following. `end` is the end of this segment.
    fn lose(&mut self, end: u32, payload: &[u8], report: &mut Report) {
        report.doubt();
        self.give_up(report);
        // In ASCII, every change is seen wherever it stands. In anything else there is no telling.
        report.all(self.kind != kind::ASCII);
        ascii::scan(payload, &mut |c| report.add(c));
        let later = end.wrapping_sub(self.rx_next) as i32 > 0;
        if self.state != state::LOST || later {
            self.rx_next = if later { end } else { self.rx_next };
        }
        self.state = state::LOST;
        self.flags &= !(COUNTED | LONG);
        (self.rx_skip, self.rx_len) = (0, 0);
    }

    /// Follows a segment. False if it is not understood.
    fn follow(&mut self, payload: &[u8], report: &mut Report) -> bool {
        if self.kind == kind::UNKNOWN || self.state == state::RESYNC {
            self.kind = match payload.first() {
                Some(&binary::REQUEST) => kind::BINARY,
                Some(b'a'..=b'z' | b' ') => kind::ASCII,
                _ => return false,
            };
            // After a loss, only what is a request from its start on is one.
            if self.state == state::RESYNC && !self.begins_with_request(payload) {
                return false;
            }
        }
        let mut rest = payload;
        let mut opened_before = self.rx_skip > 0;
        while !rest.is_empty() {
            let next = if self.kind == kind::BINARY {
                self.binary(rest, report)
            } else {
                self.ascii(rest, report)
            };
            match next {
                Some(next) => rest = next,
                None => return false,
            }
            if opened_before && self.rx_skip == 0 {
                opened_before = false;
                self.complete(report);
            }
        }
        true
    }

    /// Remembers the change noted at `from`, whose data follows it.
    fn open(&mut self, report: &mut Report, from: usize) {
        self.open_kind = 0;
        let Some(item) = report.items_mut(from).first() else {
            return;
        };
        self.open_hash = [item.hash as u32, (item.hash >> 32) as u32];
        (self.open_kind, self.open_time) = match item.expiry {
            Expiry::Keep => (1, 0),
            Expiry::Becomes(time) => (2, time),
            Expiry::Maybe(time) => (3, time),
            Expiry::Unknown => (4, 0),
        };
        self.open_reply = item.reply;
        self.open_quiet = u32::from(item.quiet);
    }

    /// The data of a change that came in an earlier segment is here: only now can it be carried out,
    /// so it is noted again, however long that was.
    fn complete(&mut self, report: &mut Report) {
        let expiry = match self.open_kind {
            1 => Expiry::Keep,
            2 => Expiry::Becomes(self.open_time),
            3 => Expiry::Maybe(self.open_time),
            4 => Expiry::Unknown,
            _ => return,
        };
        let [low, high] = self.open_hash;
        let from = report.len();
        report.hashed(u64::from(low) | u64::from(high) << 32, expiry);
        self.await_reply(self.open_reply, self.open_quiet != 0, report, from);
    }

    fn begins_with_request(&self, payload: &[u8]) -> bool {
        if self.kind == kind::BINARY {
            return Header::request(payload).is_some();
        }
        let Some(end) = payload.iter().position(|&b| b == b'\n') else {
            return false;
        };
        let line = payload.get(..end).unwrap_or(&[]);
        ascii::request(ascii::strip_cr(line), &mut |_| {}).is_some()
    }

    /// Takes one piece off ASCII requests: data, or a line or a part of it.
    fn ascii<'a>(&mut self, rest: &'a [u8], report: &mut Report) -> Option<&'a [u8]> {
        if self.rx_skip > 0 {
            let n = rest.len().min(self.rx_skip as usize);
            let (data, after) = rest.split_at_checked(n)?;
            self.rx_skip -= n as u32;
            // The last two bytes are the line end, else memcached goes on elsewhere than here.
            let end = match (self.rx_skip, data) {
                (0, [.., b'\r', b'\n'] | [b'\n']) | (1, [.., b'\r']) => true,
                (0 | 1, _) => false,
                _ => true,
            };
            return end.then_some(after);
        }
        let end = rest.iter().position(|&b| b == b'\n');
        let (part, after) = match end {
            Some(end) => (rest.get(..end)?, rest.get(end + 1..)?),
            None => (rest, &[][..]),
        };
        if self.flags & LONG != 0 {
            if end.is_some() {
                self.flags &= !LONG;
            }
            return Some(after);
        }
        let len = self.rx_len as usize;
        if end.is_some() && len == 0 {
            self.line(part, report)?;
            return Some(after);
        }
        let Some(to) = self.rx_line.get_mut(len..len + part.len()) else {
            // Only a request for many keys is longer.
            if !self.is_long_get(part) {
                return None;
            }
            self.expect(Replies::One, report, report.len());
            self.rx_len = 0;
            if end.is_none() {
                self.flags |= LONG;
            }
            return Some(after);
        };
        to.copy_from_slice(part);
        self.rx_len += part.len() as u32;
        if end.is_some() {
            let (line, len) = (self.rx_line, self.rx_len as usize);
            self.rx_len = 0;
            self.line(line.get(..len)?, report)?;
        }
        Some(after)
    }

    fn is_long_get(&self, part: &[u8]) -> bool {
        let begun = self.rx_line.get(..self.rx_len as usize).unwrap_or(&[]);
        let head = if begun.is_empty() { part } else { begun };
        head.starts_with(b"get ") || head.starts_with(b"gets ")
    }

    fn line(&mut self, line: &[u8], report: &mut Report) -> Option<()> {
        let from = report.len();
        let request = ascii::request(ascii::strip_cr(line), &mut |c| report.add(c))?;
        self.rx_skip = request.data;
        if request.quits {
            self.flags |= CLOSING;
        }
        self.expect(request.replies, report, from);
        self.open(report, from);
        Some(())
    }

    /// Takes one piece off binary requests.
    fn binary<'a>(&mut self, rest: &'a [u8], report: &mut Report) -> Option<&'a [u8]> {
        if self.rx_skip > 0 {
            let n = rest.len().min(self.rx_skip as usize);
            self.rx_skip -= n as u32;
            return rest.get(n..);
        }
        let rest = gather(&mut self.rx_line, &mut self.rx_len, rest, binary::HEADER)?;
        if (self.rx_len as usize) < binary::HEADER {
            return Some(rest);
        }
        let header = Header::request(&self.rx_line)?;
        let rest = gather(&mut self.rx_line, &mut self.rx_len, rest, header.head())?;
        if (self.rx_len as usize) < header.head() {
            return Some(rest);
        }
        let from = report.len();
        let request = binary::request(&header, &self.rx_line, &mut |c| report.add(c))?;
        self.rx_len = 0;
        self.rx_skip = header.value();
        if request.quits {
            self.flags |= CLOSING;
        }
        self.expect(request.replies, report, from);
        self.open(report, from);
        Some(rest)
    }

    /// Notes which reply ends the changes noted from `from` on.
    fn expect(&mut self, replies: Replies, report: &mut Report, from: usize) {
        match replies {
            Replies::One => {
                self.expected = next(self.expected);
                self.await_reply(self.expected, false, report, from);
            }
            Replies::None => {
                // Requests are carried out in their order, so the reply to the next that has one will do.
                self.flags |= QUIET;
                self.quiet_at = next(self.expected);
                self.await_reply(self.quiet_at, true, report, from);
            }
            Replies::Unknown => self.flags &= !COUNTED,
        }
    }

    /// Notes that a reply ends the changes noted from `from` on; `quiet`: see `report::Item`.
    fn await_reply(&mut self, reply: u32, quiet: bool, report: &mut Report, from: usize) {
        if self.flags & COUNTED != 0 && reply != 0 {
            let free = self.flights.iter().filter(|f| f.reply == 0).count();
            let taken = report.items_mut(0).iter().filter(|i| i.reply != 0).count();
            // Those that can do without leave some for the others.
            let spare = if quiet { FLIGHTS / 2 } else { 0 };
            let room = free.saturating_sub(taken + spare);
            let items = report.items_mut(from);
            if items.len() > room {
                // As if no reply were awaited for the rest.
                self.flags |= QUIET;
            }
            for item in items.iter_mut().take(room) {
                item.reply = reply;
                item.quiet = quiet;
            }
        }
    }

    /// No request whose only reply would be an error is waiting.
    fn are_quiet_done(&self) -> bool {
        self.answered.wrapping_sub(self.quiet_at) as i32 >= 0
    }

    /// Takes a piece of the server's stream. `None`: not understood.
    fn replies<'a>(&mut self, rest: &'a [u8]) -> Option<&'a [u8]> {
        if self.kind == kind::BINARY {
            let rest = gather(&mut self.tx_line, &mut self.tx_len, rest, binary::HEADER)?;
            if self.tx_len as usize == binary::HEADER {
                let header = Header::reply(&self.tx_line)?;
                self.tx_len = 0;
                self.tx_skip = header.value() + (header.head() - binary::HEADER) as u32;
                if header.is_reply_counted() {
                    self.answered = next(self.answered);
                }
            }
            return Some(rest);
        }
        let end = rest.iter().position(|&b| b == b'\n');
        let (part, after) = match end {
            Some(end) => (rest.get(..end)?, rest.get(end + 1..)?),
            None => (rest, &[][..]),
        };
        let len = self.tx_len as usize;
        self.tx_line.get_mut(len..len + part.len())?.copy_from_slice(part);
        self.tx_len += part.len() as u32;
        if end.is_some() {
            let (line, len) = (self.tx_line, self.tx_len as usize);
            self.tx_len = 0;
            match ascii::reply(ascii::strip_cr(line.get(..len)?))? {
                Reply::Part(data) => self.tx_skip = data,
                Reply::Last(data) => {
                    self.tx_skip = data;
                    self.answered = next(self.answered);
                }
                Reply::Error if self.are_quiet_done() => self.answered = next(self.answered),
                // It may answer a request of which no reply is expected.
                Reply::Error => return None,
            }
        }
        Some(after)
    }
}

/// Replies are numbered from 2 on, so that 0 is none of them.
fn next(n: u32) -> u32 {
    n.wrapping_add(1).max(2)
}

/// Moves bytes from `rest` to the end of what is in `line` until it has `want`.
fn gather<'a>(
    line: &mut [u8; LINE],
    len: &mut u32,
    rest: &'a [u8],
    want: usize,
) -> Option<&'a [u8]> {
    let have = *len as usize;
    let n = want.saturating_sub(have).min(rest.len());
    let (part, after) = rest.split_at_checked(n)?;
    line.get_mut(have..have + n)?.copy_from_slice(part);
    *len += n as u32;
    Some(after)
}

/// Notes the changes of a report as under way; it has been applied, at `now`.
pub fn under_way(ends: &Ends, report: &mut Report, now: u64) {
    if !report.items_mut(0).iter().any(|i| i.reply != 0) {
        return;
    }
    note_flights(ends, report);
    // By now the connection may be gone, or its replies be counted no more.
    // A loop that polls, see `Report::apply_given_up`.
    for i in 0..report.len() {
        if let Some(item) = report.items_mut(0).get(i)
            && item.reply != 0
        {
            item.pending.give_up(now.saturating_add(settle()));
        }
    }
}

fn note_flights(ends: &Ends, report: &mut Report) -> Option<()> {
    let mut set = CONNS.lock(ends.set())?;
    let conn = set.find(ends)?;
    if conn.flags & COUNTED == 0 {
        return None;
    }
    let free = conn.flights.iter_mut().filter(|f| f.reply == 0);
    let items = report.items_mut(0).iter_mut().filter(|i| i.reply != 0);
    for (flight, item) in free.zip(items) {
        *flight = Flight { change: item.pending, reply: item.reply };
        item.reply = 0;
    }
    Some(())
}

/// Changes that were carried out.
pub struct Done {
    flights: [Flight; FLIGHTS],
    /// They may not have been: their replies will not be known for what they are.
    given_up: bool,
    /// What was asked for so far counts no more: the server is gone, or may be, or
    /// changes that were not seen for what they are were received.
    pub outdates: bool,
}

impl Done {
    /// Lets the sets be filled again.
    pub fn apply(&self, now: u64) {
        for flight in self.flights.iter().filter(|f| f.reply != 0) {
            if self.given_up {
                flight.change.give_up(now.saturating_add(settle()));
            } else {
                flight.change.done();
            }
        }
    }
}

/// Bytes of a stream that are looked at at once.
const WINDOW: usize = 256;

/// A segment from memcached with `len` bytes of data, which `load` copies out of it.
pub fn sent(
    ends: &Ends,
    tcp: Tcp,
    len: usize,
    load: impl Fn(usize, &mut [u8]) -> bool,
) -> Option<Done> {
    let mut set = CONNS.lock(ends.set())?;
    let conn = set.find(ends)?;
    let mut done = Done { flights: [Flight::NONE; FLIGHTS], given_up: false, outdates: false };
    if tcp.flags & SYN != 0 {
        conn.tx_next = tcp.seq.wrapping_add(1);
        conn.flags |= OPEN;
        return None;
    }
    if tcp.flags & ACK != 0 {
        conn.rx_acked = tcp.ack;
    }
    if tcp.flags & ACK != 0 && conn.state == state::LOST && tcp.ack == conn.rx_next {
        // Nothing waits out of order any more; what was received is now carried out.
        conn.state = state::RESYNC;
        done.outdates = true;
    }
    // Nobody listens, or the server was ended.
    let reset = tcp.flags & RST != 0;
    if !reset && len > 0 && conn.flags & COUNTED != 0 {
        conn.count(tcp.seq, len, load);
    }
    // Only a socket that has been read to its end is closed with FIN.
    let closed = tcp.flags & FIN != 0;
    let counted = conn.flags & COUNTED != 0;
    done.given_up = !(reset || closed || counted);
    for (to, flight) in done.flights.iter_mut().zip(&mut conn.flights) {
        let answered = (conn.answered.wrapping_sub(flight.reply) as i32) >= 0;
        if flight.reply != 0 && (reset || closed || !counted || answered) {
            *to = *flight;
            flight.reply = 0;
        }
    }
    if reset {
        conn.state = state::FREE;
        done.outdates = true;
        return Some(done);
    }
    if closed {
        done.outdates |= conn.flags & CLOSING == 0;
        conn.state = state::FREE;
    }
    Some(done)
}

impl Conn {
    fn count(&mut self, seq: u32, len: usize, load: impl Fn(usize, &mut [u8]) -> bool) {
        let ahead = seq.wrapping_sub(self.tx_next) as i32;
        if ahead < 0 && (seq.wrapping_add(len as u32).wrapping_sub(self.tx_next) as i32) <= 0 {
            // Sent again.
            return;
        }
        if ahead != 0 || self.flags & OPEN == 0 || self.read_replies(len, load).is_none() {
            self.flags &= !COUNTED;
        }
        self.tx_next = seq.wrapping_add(len as u32);
    }

    fn read_replies(&mut self, len: usize, load: impl Fn(usize, &mut [u8]) -> bool) -> Option<()> {
        let mut at = 0;
        let mut window = [0; WINDOW];
        while at < len {
            if self.tx_skip > 0 {
                let n = (len - at).min(self.tx_skip as usize);
                self.tx_skip -= n as u32;
                at += n;
                continue;
            }
            let window = window.get_mut(..WINDOW.min(len - at))?;
            if !load(at, window) {
                return None;
            }
            let mut rest: &[u8] = window;
            while !rest.is_empty() && self.tx_skip == 0 {
                rest = self.replies(rest)?;
            }
            at += window.len() - rest.len();
        }
        Some(())
    }
}
