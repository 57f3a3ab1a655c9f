// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! The words of a line, such as the keys of a `get`.

/// The words of a line in order, as memcached splits it: at spaces, of which several count as one.
#[derive(Clone)]
pub struct Words<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut rest = self.rest;
        while let [b' ', after @ ..] = rest {
            rest = after;
        }
        if rest.is_empty() {
            return None;
        }
        let end = rest.iter().position(|&b| b == b' ').unwrap_or(rest.len());
        let (word, rest) = rest.split_at_checked(end)?;
        self.rest = rest;
        Some(word)
    }
}
