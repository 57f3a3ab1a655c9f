// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use core::marker::PhantomData;

use crate::abi;
use crate::sys::param::ParamCell;

/// A value that the user sets at install: a static with [`macro@crate::param`].
///
/// The runtime accepts only values in its range, and sets it before a program may
/// run; it does not change after.
#[repr(transparent)]
pub struct Param<T> {
    cell: ParamCell,
    _value: PhantomData<T>,
}

mod sealed {
    pub trait Sealed {}
}

/// Types of parameters: `bool`, `u8`, `u16`, `u32`, `u64`, `i64`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a parameter",
    label = "a parameter is bool, u8, u16, u32, u64 or i64"
)]
pub trait ParamValue: sealed::Sealed + Copy {
    #[doc(hidden)]
    const TYPE: u32;
    #[doc(hidden)]
    const MIN: Self;
    #[doc(hidden)]
    const MAX: Self;
    #[doc(hidden)]
    fn from_raw(v: u64) -> Self;
    #[doc(hidden)]
    fn to_raw(self) -> u64;
}

/// What `#[param]` accepts.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a parameter",
    label = "a parameter is a `static NAME: Param<T>;`"
)]
pub trait IsParam: sealed::Sealed {
    type Value: ParamValue;
}

impl<T: ParamValue> sealed::Sealed for Param<T> {}

impl<T: ParamValue> IsParam for Param<T> {
    type Value = T;
}

impl<T: ParamValue> Param<T> {
    /// The value set for this installation.
    #[inline(always)]
    pub fn get(&self) -> T {
        T::from_raw(self.cell.value())
    }

    #[cfg(not(target_os = "none"))]
    pub(crate) fn descriptor(&self) -> &abi::Param {
        self.cell.descriptor()
    }
}

macro_rules! values {
    ($($t:ident $kind:ident $min:expr, $max:expr, $from:expr;)*) => {$(
        impl sealed::Sealed for $t {}

        impl ParamValue for $t {
            const TYPE: u32 = abi::param_type::$kind;
            const MIN: $t = $min;
            const MAX: $t = $max;

            #[inline(always)]
            fn from_raw(v: u64) -> $t {
                let from: fn(u64) -> $t = $from;
                from(v)
            }

            fn to_raw(self) -> u64 {
                self as u64
            }
        }

        impl Param<$t> {
            #[doc(hidden)]
            pub const fn __new(name: &str, default: $t, min: $t, max: $t) -> Self {
                assert!(
                    min as i128 <= default as i128 && default as i128 <= max as i128,
                    "the default is not between min and max"
                );
                Param {
                    cell: ParamCell::new(abi::Param {
                        name: abi::name(name),
                        param_type: abi::param_type::$kind,
                        reserved: 0,
                        min: min as u64,
                        max: max as u64,
                        value: default as u64,
                    }),
                    _value: PhantomData,
                }
            }
        }
    )*};
}

values! {
    bool BOOL false, true, |v| v != 0;
    u8 U64 0, u8::MAX, |v| v as u8;
    u16 U64 0, u16::MAX, |v| v as u16;
    u32 U64 0, u32::MAX, |v| v as u32;
    u64 U64 0, u64::MAX, |v| v;
    i64 I64 i64::MIN, i64::MAX, |v| v as i64;
}
