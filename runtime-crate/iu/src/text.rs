// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Text without `core::fmt`: numbers from bytes. eBPF needs helpers for these (`bpf_strtol`,
//! `bpf_strtoul`, `bpf_strncmp`, `bpf_snprintf`); here numbers are parsed below, strings are
//! compared with `==`, searched by the methods of slices, and written by
//! [`arena::String`](crate::arena::String) and [`log::Line`](crate::log::Line).

/// A number in decimal, or with a base from 2 to 36, that all of `s` is; no sign, no
/// prefix. `None` if it is none or does not fit.
///
/// ```
/// use iu::text::unsigned;
/// assert_eq!(unsigned(b"11211", 10), Some(11211));
/// assert_eq!(unsigned(b"ff", 16), Some(255));
/// assert_eq!(unsigned(b"", 10), None);
/// assert_eq!(unsigned(b"18446744073709551616", 10), None);
/// ```
pub fn unsigned(s: &[u8], base: u32) -> Option<u64> {
    let (n, used) = leading(s, base)?;
    (used == s.len()).then_some(n)
}

/// As [`unsigned`], with a `-` in front or not.
///
/// ```
/// use iu::text::signed;
/// assert_eq!(signed(b"-9223372036854775808", 10), Some(i64::MIN));
/// assert_eq!(signed(b"9223372036854775808", 10), None);
/// ```
pub fn signed(s: &[u8], base: u32) -> Option<i64> {
    match s.strip_prefix(b"-") {
        Some(s) => 0i64.checked_sub_unsigned(unsigned(s, base)?),
        None => i64::try_from(unsigned(s, base)?).ok(),
    }
}

/// The number that `s` begins with, and how many bytes it has. `None` if it begins with
/// none or it does not fit.
///
/// ```
/// assert_eq!(iu::text::leading(b"128\r\n", 10), Some((128, 3)));
/// ```
pub fn leading(s: &[u8], base: u32) -> Option<(u64, usize)> {
    let mut n = 0u64;
    let mut used = 0;
    for b in s {
        let Some(digit) = (*b as char).to_digit(base.clamp(2, 36)) else { break };
        n = n.checked_mul(base.clamp(2, 36).into())?.checked_add(digit.into())?;
        used += 1;
    }
    (used > 0).then_some((n, used))
}
