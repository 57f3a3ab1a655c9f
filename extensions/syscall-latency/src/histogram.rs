// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! Log-linear histograms, as HdrHistogram has them: every power of two is cut into the same number of
//! buckets, so that the relative error is the same everywhere.

use iu::prelude::*;

/// Buckets to a power of two, as a power of two. What is below `1 << SUB` is exact.
const SUB: u32 = 4;
/// Powers of two that are told apart; longer times are in the last bucket. 2^40 ns are 18 minutes.
const TOP: u32 = 40;
/// Buckets of a histogram.
pub const BUCKETS: u32 = (TOP - SUB + 1) << SUB;

/// The bucket of a value.
pub const fn bucket(v: u64) -> u32 {
    if v < 1 << SUB {
        return v as u32;
    }
    let shift = v.ilog2() - SUB;
    let at = (shift << SUB) + (v >> shift) as u32;
    if at < BUCKETS { at } else { BUCKETS - 1 }
}

/// The greatest value of a bucket. It exceeds the least by a sixteenth at most.
pub const fn greatest(bucket: u32) -> u64 {
    if bucket < 1 << SUB {
        return bucket as u64;
    }
    let shift = (bucket >> SUB) - 1;
    let first = ((bucket & ((1 << SUB) - 1)) | 1 << SUB) as u64;
    ((first + 1) << shift) - 1
}

/// Quantiles that are computed, in 1/1000; the last is the maximum.
pub const QUANTILES: [u64; 5] = [500, 900, 990, 999, 1000];

/// One histogram after the other, `ROWS` of them.
pub struct Rows<const CELLS: u32>(pub &'static Array<u64, CELLS>);

impl<const CELLS: u32> Rows<CELLS> {
    /// Counts a value.
    #[inline]
    pub fn add(&self, row: u32, v: u64) {
        self.0.fetch_add(row * BUCKETS + bucket(v), 1);
    }

    fn count(&self, row: u32, bucket: u32) -> u64 {
        self.0.get(row * BUCKETS + bucket).unwrap_or(0)
    }

    /// [`QUANTILES`] of what was counted: for each the greatest value of the first bucket up to
    /// which there is at least that part of all. Other CPUs may count meanwhile: then each is
    /// between what it was before and after.
    pub fn quantiles(&self, row: u32) -> [u64; QUANTILES.len()] {
        let all: u64 = (0..BUCKETS).map(|b| self.count(row, b)).sum();
        let mut found = [0; QUANTILES.len()];
        let mut want = QUANTILES.iter().zip(&mut found).peekable();
        let mut seen = 0;
        for b in 0..BUCKETS {
            seen += self.count(row, b);
            while let Some((_, to)) = want.next_if(|(q, _)| seen > 0 && seen * 1000 >= **q * all) {
                *to = greatest(b);
            }
        }
        found
    }
}
