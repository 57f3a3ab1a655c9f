// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

/// An option of an IPv4 or a TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opt<'a> {
    /// Its number, copied flag and class of IPv4 included.
    pub kind: u8,
    /// What follows its kind and length.
    pub data: &'a [u8],
}

/// Options one after the other, until their end or the first that is malformed. Those
/// that only fill (kind 1) are left out.
///
/// ```
/// use iu::net::{Opt, Options, TCP_OPT_MSS};
/// let mut all = Options::new(&[2, 4, 5, 180, 1, 3, 3, 7, 0, 9]);
/// assert_eq!(all.next(), Some(Opt { kind: TCP_OPT_MSS, data: &[5, 180] }));
/// assert_eq!(all.next(), Some(Opt { kind: 3, data: &[7] }));
/// assert_eq!(all.next(), None);
/// ```
#[derive(Clone, Debug)]
pub struct Options<'a>(&'a [u8]);

/// Maximum segment size, 2 bytes.
pub const TCP_OPT_MSS: u8 = 2;
/// Window scale, 1 byte.
pub const TCP_OPT_WINDOW: u8 = 3;
/// Selective acknowledgments are allowed.
pub const TCP_OPT_SACK_OK: u8 = 4;
/// Selective acknowledgments, 8 bytes each.
pub const TCP_OPT_SACK: u8 = 5;
/// Timestamps, two of 4 bytes.
pub const TCP_OPT_TIMESTAMP: u8 = 8;

impl<'a> Options<'a> {
    /// Of the bytes between the fixed part of a header and its end.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Options<'a> {
        Options(bytes)
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = Opt<'a>;

    #[inline]
    fn next(&mut self) -> Option<Opt<'a>> {
        loop {
            match *self.0 {
                [1, ref rest @ ..] => self.0 = rest,
                [kind, len, ..] if kind != 0 && len >= 2 => {
                    let (option, rest) = self.0.split_at_checked(len.into())?;
                    self.0 = rest;
                    return Some(Opt { kind, data: option.get(2..)? });
                }
                _ => {
                    self.0 = &[];
                    return None;
                }
            }
        }
    }
}
