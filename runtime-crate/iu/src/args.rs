// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Typed arguments of kernel functions.

use crate::abi::arg;
use crate::mem::Ptr;

mod sealed {
    pub trait Sealed {}
}

/// What an argument of a kernel function can be taken for: integers, `bool`,
/// [`KernelPtr`](crate::mem::KernelPtr) and [`UserPtr`](crate::mem::UserPtr), which both
/// are any pointer, and [`Any`]. The loader compares it with the kernel's BTF.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a kernel function",
    label = "arguments are integers, bool, KernelPtr, UserPtr or Any"
)]
pub trait Arg: sealed::Sealed + Copy {
    #[doc(hidden)]
    const KIND: u64;
    #[doc(hidden)]
    fn from_word(w: u64) -> Self;
}

/// 64 bits of an argument whatever its type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Any(pub u64);

macro_rules! args {
    ($($t:ty: $kind:ident, |$w:ident| $from:expr;)*) => {$(
        impl sealed::Sealed for $t {}
        impl Arg for $t {
            const KIND: u64 = arg::$kind;
            #[inline(always)]
            fn from_word($w: u64) -> Self {
                $from
            }
        }
    )*};
}

args! {
    u8: U8, |w| w as u8;
    u16: U16, |w| w as u16;
    u32: U32, |w| w as u32;
    u64: U64, |w| w;
    i8: I8, |w| w as i8;
    i16: I16, |w| w as i16;
    i32: I32, |w| w as i32;
    i64: I64, |w| w as i64;
    bool: BOOL, |w| w as u8 != 0;
    Any: ANY, |w| Any(w);
}

impl<S> sealed::Sealed for Ptr<S> {}
impl<S> Arg for Ptr<S> {
    const KIND: u64 = arg::PTR;
    #[inline(always)]
    fn from_word(w: u64) -> Self {
        Ptr::new(w)
    }
}

/// What a kernel function's return value can be taken for: an [`Arg`], or `()` if it
/// does not matter.
pub trait Ret: sealed::Sealed {
    #[doc(hidden)]
    const KIND: u64;
    #[doc(hidden)]
    fn from_word(w: u64) -> Self;
}

impl Ret for () {
    const KIND: u64 = 0;
    #[inline(always)]
    fn from_word(_: u64) -> Self {}
}

impl<T: Arg> Ret for T {
    const KIND: u64 = <T as Arg>::KIND;
    #[inline(always)]
    fn from_word(w: u64) -> Self {
        Arg::from_word(w)
    }
}

/// The first arguments of a kernel function: a tuple of up to twelve [`Arg`]s.
pub trait Args: sealed::Sealed {
    #[doc(hidden)]
    const KINDS: u64;
    #[doc(hidden)]
    const COUNT: usize;
    #[doc(hidden)]
    fn from_words(word: impl Fn(usize) -> u64) -> Self;
}

macro_rules! tuples {
    ($($n:literal: $($t:ident $i:literal),*;)*) => {$(
        impl<$($t: Arg),*> Args for ($($t,)*) {
            const KINDS: u64 = 0 $(| <$t as Arg>::KIND << (4 * $i))*;
            const COUNT: usize = $n;
            #[inline(always)]
            #[allow(clippy::unused_unit)]
            fn from_words(_word: impl Fn(usize) -> u64) -> Self {
                ($($t::from_word(_word($i)),)*)
            }
        }
    )*};
}

impl sealed::Sealed for () {}

macro_rules! seal_tuples {
    ($($($t:ident)+;)*) => {$(
        impl<$($t: Arg),+> sealed::Sealed for ($($t,)+) {}
    )*};
}

seal_tuples! {
    A; A B; A B C; A B C D; A B C D E; A B C D E F; A B C D E F G; A B C D E F G H;
    A B C D E F G H I; A B C D E F G H I J; A B C D E F G H I J K; A B C D E F G H I J K L;
}

tuples! {
    0: ;
    1: A 0;
    2: A 0, B 1;
    3: A 0, B 1, C 2;
    4: A 0, B 1, C 2, D 3;
    5: A 0, B 1, C 2, D 3, E 4;
    6: A 0, B 1, C 2, D 3, E 4, F 5;
    7: A 0, B 1, C 2, D 3, E 4, F 5, G 6;
    8: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7;
    9: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8;
    10: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9;
    11: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10;
    12: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11;
}
