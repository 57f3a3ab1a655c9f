// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Copies from memory that is not the program's own.
//!
//! An address is a number; a read from one that is not mapped is an error and not a crash.
//! Nothing can be written.

use core::mem::MaybeUninit;

use crate::map::Plain;
use crate::sys::guard;
use crate::{Errno, sys};

macro_rules! reads {
    ($value:ident, $bytes:ident, $text:ident, $what:literal, $helper:literal) => {
        #[doc = concat!("Reads a value at an address of ", $what, ". [`Errno::FAULT`] if it is not mapped there;")]
        /// [`Errno::PERM`] if the kernel is locked down.
        #[doc = concat!("(`bpf_probe_read_", $helper, "`)")]
        #[inline]
        pub fn $value<T: Plain>(address: u64) -> Result<T, Errno> {
            sys::value::fill(MaybeUninit::uninit(), |to| guard::$bytes(to, address))
        }

        #[doc = concat!("As [`", stringify!($value), "`], bytes.")]
        #[inline]
        pub fn $bytes(to: &mut [u8], address: u64) -> Result<(), Errno> {
            guard::$bytes(to, address)
        }

        #[doc = concat!("Reads a string that a NUL ends, at an address of ", $what, ", cut if `to` is shorter; gives what was read, without the NUL.")]
        #[doc = concat!("(`bpf_probe_read_", $helper, "_str`)")]
        pub fn $text(to: &mut [u8], address: u64) -> Result<&[u8], Errno> {
            text(to, address, guard::$bytes)
        }
    };
}

reads! { kernel, read_kernel, kernel_str, "the kernel", "kernel" }
reads! { user, read_user, user_str, "the current task", "user" }

/// In pieces that end where an aligned piece ends: what lies behind the NUL may not be
/// mapped, but a page is never mapped in part.
fn text(
    to: &mut [u8],
    address: u64,
    read: fn(&mut [u8], u64) -> Result<(), Errno>,
) -> Result<&[u8], Errno> {
    const PIECE: usize = 64;
    let mut n = 0;
    while n < to.len() {
        let from = address.checked_add(n as u64).ok_or(Errno::FAULT)?;
        let end = (n + PIECE - from as usize % PIECE).min(to.len());
        let piece = to.get_mut(n..end).ok_or(Errno::FAULT)?;
        read(piece, from)?;
        if let Some(at) = piece.iter().position(|b| *b == 0) {
            return to.get(..n + at).ok_or(Errno::FAULT);
        }
        n = end;
    }
    Ok(to)
}
