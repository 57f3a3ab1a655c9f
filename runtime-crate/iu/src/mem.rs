// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Memory behind addresses.
//!
//! An address is a number: nothing says that memory is there, or that it stays what
//! it was. So it is copied, see [`read`](crate::read); this module only says of an
//! address whose it is.

use core::fmt;
use core::marker::PhantomData;

use crate::Errno;
use crate::map::Plain;
use crate::read;

/// The kernel's memory.
#[derive(Clone, Copy)]
pub enum Kernel {}
/// The current task's memory.
#[derive(Clone, Copy)]
pub enum User {}

/// An address in the kernel.
pub type KernelPtr = Ptr<Kernel>;
/// An address in user space, of the task that is current when it is read.
pub type UserPtr = Ptr<User>;

/// An address that may be read: [`KernelPtr`] or [`UserPtr`].
pub struct Ptr<S>(u64, PhantomData<S>);

impl<S> Clone for Ptr<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Ptr<S> {}

impl<S> PartialEq for Ptr<S> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<S> Eq for Ptr<S> {}

impl<S> fmt::Debug for Ptr<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl<S> Ptr<S> {
    /// Any number: reading what is not there is an error.
    #[inline(always)]
    pub const fn new(addr: u64) -> Self {
        Ptr(addr, PhantomData)
    }

    /// The address.
    #[inline(always)]
    pub const fn addr(self) -> u64 {
        self.0
    }

    /// Whether it is null.
    #[inline(always)]
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }

    /// The address `bytes` further; it wraps.
    #[inline(always)]
    pub const fn offset(self, bytes: i64) -> Self {
        Ptr::new(self.0.wrapping_add_signed(bytes))
    }
}

macro_rules! reads {
    ($($space:ident: $value:ident $bytes:ident $text:ident;)*) => {$(
        impl Ptr<$space> {
            /// Copies a value. [`Errno::FAULT`] if not all of it can be read.
            #[inline(always)]
            pub fn read<T: Plain>(self) -> Result<T, Errno> {
                read::$value(self.0)
            }

            /// Copies bytes. [`Errno::FAULT`] if not all can be read.
            #[inline(always)]
            pub fn read_bytes(self, to: &mut [u8]) -> Result<(), Errno> {
                read::$bytes(to, self.0)
            }

            /// Copies a string that ends with a NUL, as much as fits, and returns it
            /// without the NUL. [`Errno::FAULT`] if it cannot be read.
            #[inline]
            pub fn read_str(self, to: &mut [u8]) -> Result<&[u8], Errno> {
                read::$text(to, self.0)
            }
        }
    )*};
}

reads! {
    Kernel: kernel read_kernel kernel_str;
    User: user read_user user_str;
}
