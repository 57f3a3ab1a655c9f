// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! Maglev's lookup table (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI
//! '16, section 3.4): every server has a permutation of all places, and they take turns in taking the next place of theirs
//! that is free. A change of one server moves few places of the others.

/// Most servers.
pub const SERVERS: usize = 16;
/// Places; a prime, and 64 times the servers.
pub const PLACES: u32 = 1021;

/// What the table is made from: who a server is, and how many turns it has in a round; 0: none.
#[derive(Clone, Copy, Default)]
pub struct Share {
    /// Says where its permutation begins and how it goes on.
    pub id: u64,
    /// At most 16 make sense.
    pub turns: u8,
}

#[derive(Clone, Copy, Default)]
struct Walk {
    at: u32,
    skip: u32,
}

fn walk(id: u64) -> Walk {
    let h = (id ^ (id >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let h = (h ^ (h >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let h = h ^ (h >> 32);
    Walk {
        at: (h % u64::from(PLACES)) as u32,
        skip: 1 + ((h >> 20) % u64::from(PLACES - 1)) as u32,
    }
}

/// Calls `put(place, server)` for every place; false if nobody has a turn.
pub fn fill(shares: &[Share; SERVERS], mut put: impl FnMut(u32, u32)) -> bool {
    if shares.iter().all(|s| s.turns == 0) {
        return false;
    }
    let mut walks = [Walk::default(); SERVERS];
    for (w, s) in walks.iter_mut().zip(shares) {
        *w = walk(s.id);
    }
    let mut taken = [0u64; PLACES.div_ceil(64) as usize];
    let mut left = PLACES;
    loop {
        for ((server, share), w) in (0..).zip(shares).zip(&mut walks) {
            for _ in 0..share.turns {
                // There is a free place, and the permutation reaches all.
                loop {
                    let place = w.at;
                    w.at = (w.at + w.skip) % PLACES;
                    let Some(word) = taken.get_mut(place as usize / 64) else {
                        return false;
                    };
                    let bit = 1 << (place % 64);
                    if *word & bit == 0 {
                        *word |= bit;
                        put(place, server);
                        break;
                    }
                }
                left -= 1;
                if left == 0 {
                    return true;
                }
            }
        }
    }
}
