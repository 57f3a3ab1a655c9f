// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! The servers, and the table that is made from them here, by whichever packet comes when they have changed.

use iu::prelude::*;

use crate::maglev::{self, PLACES, SERVERS, Share};

/// There is no server in this place.
pub const ABSENT: u8 = 0;
/// It gets connections.
pub const UP: u8 = 1;
/// It keeps those it has.
pub const DRAINING: u8 = 2;

/// A server, as user space puts it into the map.
#[plain]
#[derive(PartialEq, Eq, Debug)]
pub struct Server {
    /// Of its network card, on the same link.
    pub mac: [u8; 6],
    /// Its share beside the others', 1 to 16.
    pub weight: u8,
    /// [`UP`], [`DRAINING`]; anything else: down.
    pub state: u8,
}

impl Server {
    /// The address as a number.
    pub fn id(&self) -> u64 {
        let [a, b, c, d, e, f] = self.mac;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    /// Whether connections that it has may stay.
    pub fn serves(&self) -> bool {
        matches!(self.state, UP | DRAINING)
    }

    fn share(&self) -> Share {
        let turns = if self.state == UP { self.weight.clamp(1, 16) } else { 0 };
        Share { id: self.id(), turns }
    }
}

/// The servers; what is zero is none.
#[map]
pub static POOL: Array<Server, { SERVERS as u32 }> = Array::new();

/// Two tables, one behind the other: one is used while the other is made. Places hold
/// the server's number and 1.
#[map]
static TABLE: Array<u32, { 2 * PLACES }> = Array::new();

/// Which table is used, and when the pool is looked at next.
#[map]
static CURRENT: Array<u64, 2> = Array::new();
const TABLE_IN_USE: u32 = 0;
const NEXT_LOOK: u32 = 1;

/// Who makes a table.
#[plain]
struct Maker {
    /// Since when; 0: nobody.
    since: u64,
    /// Of the pool that the table in use was made from.
    print: u64,
}

#[map]
static MAKER: LockedArray<Maker, 1> = LockedArray::new();

/// A program that was ended while it made a table is not waited for longer, ns.
const GIVEN_UP: u64 = 1_000_000_000;

/// Looks at the pool if it is time to, and makes a new table if it has changed. True if one was made.
pub fn refresh(now: u64, every_ms: u64) -> bool {
    now >= CURRENT.get(NEXT_LOOK).unwrap_or(0) && look(now, every_ms)
}

/// The pool is to be looked at by the next packet: something in it is not as the table says.
pub fn hurry() {
    let _ = CURRENT.set(NEXT_LOOK, 0);
}

#[inline(never)]
fn look(now: u64, every_ms: u64) -> bool {
    let old = {
        let Some(mut maker) = MAKER.lock(0) else {
            return false;
        };
        if maker.since != 0 && now.saturating_sub(maker.since) < GIVEN_UP {
            return false;
        }
        maker.since = now.max(1);
        maker.print
    };
    let _ = CURRENT.set(NEXT_LOOK, now.saturating_add(every_ms.saturating_mul(1_000_000)));
    let mut shares = [Share::default(); SERVERS];
    // Never 0, so that the first look makes a table of an empty pool too.
    let mut print = 1u64;
    for (i, share) in (0..).zip(&mut shares) {
        if let Some(server) = POOL.get(i) {
            *share = server.share();
        }
        print = (print ^ share.id << 8 ^ u64::from(share.turns)).wrapping_mul(0x100_0000_01b3) | 1;
    }
    if print != old {
        let other = CURRENT.get(TABLE_IN_USE).unwrap_or(0) & 1 ^ 1;
        let base = other as u32 * PLACES;
        let any = maglev::fill(&shares, |place, server| {
            let _ = TABLE.set(base + place, server + 1);
        });
        if !any {
            (0..PLACES).for_each(|place| {
                let _ = TABLE.set(base + place, 0);
            });
        }
        let _ = CURRENT.set(TABLE_IN_USE, other);
    }
    if let Some(mut maker) = MAKER.lock(0) {
        (maker.since, maker.print) = (0, print);
    }
    print != old
}

/// The server at a place, as the table says; it may have gone down since.
pub fn at(hash: u64) -> Option<u32> {
    let base = (CURRENT.get(TABLE_IN_USE)? as u32 & 1) * PLACES;
    TABLE.get(base + (hash % u64::from(PLACES)) as u32)?.checked_sub(1)
}
