// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Lines in the kernel log: [`error!`](crate::error), [`warn!`](crate::warn),
//! [`info!`](crate::info), [`debug!`](crate::debug).
//!
//! ```
//! # let (n, port, mac) = (3u32, 80u16, [0u8, 1, 2, 3, 4, 5]);
//! iu::info!("{} bytes to port {port}", n);
//! iu::warn!("odd frame {:x} from {mac:x}", n);
//! ```
//!
//! The runtime limits the rate. A line has 256 bytes; the rest is cut. A
//! placeholder is `{}` or `{name}`, or with `:x` in hexadecimal. Formatting is not
//! `core::fmt`, whose indirect calls and stack a kernel can do without.

use crate::sys;

/// Bytes of a line.
pub const LINE_MAX: usize = 256;

/// Levels, as the kernel's `KERN_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Level {
    /// `KERN_ERR`.
    Error = 3,
    /// `KERN_WARNING`.
    Warn = 4,
    /// `KERN_INFO`.
    Info = 6,
    /// `KERN_DEBUG`.
    Debug = 7,
}

/// What can be logged.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be logged",
    label = "log integers, bool, char, str, byte slices and arrays, addresses"
)]
pub trait Show {
    /// Appends the value.
    fn show(&self, line: &mut Line);
    /// Appends the value in hexadecimal.
    fn show_hex(&self, line: &mut Line);
}

/// A line being written.
pub struct Line {
    buf: [u8; LINE_MAX],
    len: usize,
}

impl Line {
    /// An empty line.
    #[allow(clippy::new_without_default)]
    #[inline(always)]
    pub const fn new() -> Line {
        Line { buf: [0; LINE_MAX], len: 0 }
    }

    /// What was written so far.
    pub fn as_bytes(&self) -> &[u8] {
        self.buf.get(..self.len).unwrap_or(&[])
    }

    /// Appends bytes as they are.
    #[inline(never)]
    pub fn bytes(&mut self, s: &[u8]) {
        if let Some(room) = self.buf.get_mut(self.len..) {
            let n = s.len().min(room.len());
            room[..n].copy_from_slice(&s[..n]);
            self.len += n;
        }
    }

    /// Appends a string.
    #[inline(always)]
    pub fn str(&mut self, s: &str) {
        self.bytes(s.as_bytes());
    }

    #[inline(always)]
    fn byte(&mut self, b: u8) {
        if let Some(p) = self.buf.get_mut(self.len) {
            *p = b;
            self.len += 1;
        }
    }

    /// Appends an unsigned number in decimal.
    #[inline(never)]
    pub fn unsigned(&mut self, mut v: u64) {
        let mut digits = [0u8; 20];
        let mut n = 0;
        for d in digits.iter_mut().rev() {
            *d = b'0' + (v % 10) as u8;
            v /= 10;
            n += 1;
            if v == 0 {
                break;
            }
        }
        self.bytes(digits.get(20 - n..).unwrap_or(&[]));
    }

    /// Appends a signed number in decimal.
    pub fn signed(&mut self, v: i64) {
        if v < 0 {
            self.byte(b'-');
        }
        self.unsigned(v.unsigned_abs());
    }

    /// Appends a number in hexadecimal, without a prefix.
    #[inline(never)]
    pub fn hex(&mut self, v: u64) {
        let mut skip = true;
        for i in (0..16).rev() {
            let d = (v >> (4 * i)) as u8 & 15;
            skip &= d == 0 && i != 0;
            if !skip {
                self.digit(d);
            }
        }
    }

    #[inline(always)]
    fn digit(&mut self, d: u8) {
        self.byte(if d < 10 { b'0' + d } else { b'a' + d - 10 });
    }

    /// Appends bytes in hexadecimal, two digits each.
    #[inline(never)]
    pub fn hex_bytes(&mut self, s: &[u8]) {
        for b in s {
            self.digit(b >> 4);
            self.digit(b & 15);
        }
    }

    /// Hands the line to the kernel log.
    #[inline(never)]
    pub fn emit(&self, level: Level) {
        sys::log(level as u32, self.as_bytes());
    }
}

macro_rules! ints {
    ($($t:ty as $wide:ty, $f:ident;)*) => {$(
        impl Show for $t {
            #[inline(always)]
            fn show(&self, line: &mut Line) {
                line.$f(*self as $wide)
            }
            #[inline(always)]
            fn show_hex(&self, line: &mut Line) {
                // Two's complement in the type's own width, as core::fmt has it.
                line.hex((*self as u64) & (u64::MAX >> (64 - <$t>::BITS)))
            }
        }
    )*};
}

ints! {
    u8 as u64, unsigned; u16 as u64, unsigned; u32 as u64, unsigned;
    u64 as u64, unsigned; usize as u64, unsigned;
    i8 as i64, signed; i16 as i64, signed; i32 as i64, signed;
    i64 as i64, signed; isize as i64, signed;
}

impl Show for bool {
    fn show(&self, line: &mut Line) {
        line.str(if *self { "true" } else { "false" })
    }
    fn show_hex(&self, line: &mut Line) {
        line.hex(*self as u64)
    }
}

impl Show for str {
    fn show(&self, line: &mut Line) {
        line.str(self)
    }
    fn show_hex(&self, line: &mut Line) {
        line.hex_bytes(self.as_bytes())
    }
}

impl Show for char {
    fn show(&self, line: &mut Line) {
        line.str(self.encode_utf8(&mut [0; 4]))
    }
    fn show_hex(&self, line: &mut Line) {
        line.hex(*self as u64)
    }
}

/// Bytes: printable ASCII as it is, the rest as `\xx`.
impl Show for [u8] {
    #[inline(never)]
    fn show(&self, line: &mut Line) {
        for b in self {
            if (b' '..=b'~').contains(b) && *b != b'\\' {
                line.byte(*b);
            } else {
                line.byte(b'\\');
                line.digit(b >> 4);
                line.digit(b & 15);
            }
        }
    }
    fn show_hex(&self, line: &mut Line) {
        line.hex_bytes(self)
    }
}

impl<const N: usize> Show for [u8; N] {
    fn show(&self, line: &mut Line) {
        self.as_slice().show(line)
    }
    fn show_hex(&self, line: &mut Line) {
        line.hex_bytes(self)
    }
}

impl Show for core::net::Ipv4Addr {
    fn show(&self, line: &mut Line) {
        let [a, b, c, d] = self.octets();
        line.unsigned(a as u64);
        for o in [b, c, d] {
            line.byte(b'.');
            line.unsigned(o as u64);
        }
    }
    fn show_hex(&self, line: &mut Line) {
        line.hex_bytes(&self.octets())
    }
}

/// The eight groups, not shortened.
impl Show for core::net::Ipv6Addr {
    fn show(&self, line: &mut Line) {
        for (i, s) in self.segments().iter().enumerate() {
            if i > 0 {
                line.byte(b':');
            }
            line.hex(*s as u64);
        }
    }
    fn show_hex(&self, line: &mut Line) {
        line.hex_bytes(&self.octets())
    }
}

impl Show for crate::Errno {
    fn show(&self, line: &mut Line) {
        line.unsigned(self.get() as u64)
    }
    fn show_hex(&self, line: &mut Line) {
        line.hex(self.get() as u64)
    }
}

impl<T: Show + ?Sized> Show for &T {
    #[inline(always)]
    fn show(&self, line: &mut Line) {
        (**self).show(line)
    }
    #[inline(always)]
    fn show_hex(&self, line: &mut Line) {
        (**self).show_hex(line)
    }
}
