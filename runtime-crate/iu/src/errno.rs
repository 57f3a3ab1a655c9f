// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use core::fmt;
use core::num::NonZeroI32;

/// An error of the kernel (`include/uapi/asm-generic/errno.h`), a positive number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Errno(NonZeroI32);

macro_rules! errnos {
    ($($name:ident = $n:literal, $doc:literal;)*) => {
        impl Errno {
            $(#[doc = $doc] pub const $name: Errno = Errno::new($n);)*

            fn name(self) -> Option<&'static str> {
                match self.0.get() {
                    $($n => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

errnos! {
    PERM = 1, "Not permitted.";
    NOENT = 2, "No such element.";
    TOO_BIG = 7, "More than fits: a full hash map, an index beyond an array.";
    AGAIN = 11, "Try again.";
    NOMEM = 12, "Out of memory.";
    ACCES = 13, "Permission denied.";
    FAULT = 14, "Outside of the packet, or no memory at this address.";
    BUSY = 16, "Taken by another CPU or context.";
    EXIST = 17, "The element exists.";
    INVAL = 22, "An argument is out of range.";
    NOSPC = 28, "No room.";
    OPNOTSUPP = 95, "Not supported by this driver, map or packet.";
    NOTSUPP = 524, "Not supported for this kind of packet (internal to the kernel).";
}

impl Errno {
    const fn new(n: i32) -> Errno {
        match NonZeroI32::new(n) {
            Some(n) => Errno(n),
            None => panic!("errno is zero"),
        }
    }

    /// An error by its number, 1 to 4095 (`MAX_ERRNO`).
    ///
    /// ```
    /// use iu::prelude::*;
    /// assert_eq!(Errno::from_number(22), Some(Errno::INVAL));
    /// assert_eq!((Errno::from_number(0), Errno::from_number(4096)), (None, None));
    /// ```
    pub const fn from_number(n: u32) -> Option<Errno> {
        match NonZeroI32::new(n as i32) {
            Some(number) if n <= 4095 => Some(Errno(number)),
            _ => None,
        }
    }

    /// The positive number.
    pub const fn get(self) -> i32 {
        self.0.get()
    }

    /// Result of a runtime call: 0, or a negative errno as an unsigned 64-bit value.
    pub(crate) fn check(ret: u64) -> Result<(), Errno> {
        // Helpers that return int may leave the upper half clear.
        match NonZeroI32::new((ret as i32).wrapping_neg()) {
            None => Ok(()),
            Some(n) => Err(Errno(n)),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(s) => f.write_str(s),
            None => write!(f, "Errno({})", self.0),
        }
    }
}
