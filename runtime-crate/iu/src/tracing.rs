// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Hooks with typed arguments.

use core::marker::PhantomData;

use crate::Errno;
use crate::args::{Args, Ret};
use crate::sys::trace;

/// A stub hands over as many arguments as the loader has found in the function; one
/// of somebody else's may have fewer, and then the program does not run.
#[inline(always)]
fn read<A: Args>(raw: &trace::Words) -> A {
    A::from_words(|n| raw.get(n).expect("the stub hands over fewer arguments"))
}

macro_rules! contexts {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// `A` is a tuple of the first arguments; it may leave out the last ones. The
        /// loader compares it with the kernel's BTF, and refuses to attach where number,
        /// size, sign or pointers differ. Only the runtime makes a context, for the time
        /// of one call. It stays on its CPU.
        pub struct $name<'a, A = ()> {
            raw: trace::Words,
            _call: PhantomData<(&'a mut (), fn() -> A)>,
        }

        impl<A: Args> $name<'_, A> {
            pub(crate) fn new(raw: trace::Words) -> Self {
                $name { raw, _call: PhantomData }
            }

            /// The arguments.
            #[inline(always)]
            pub fn args(&self) -> A {
                read(&self.raw)
            }

            /// How many words of arguments the function has.
            #[inline(always)]
            pub fn count(&self) -> usize {
                self.raw.len()
            }

            /// Argument number `n`, from 0, whatever it is; `None` if there are fewer.
            #[inline(always)]
            pub fn word(&self, n: usize) -> Option<u64> {
                self.raw.get(n)
            }
        }
    )*};
}

contexts! {
    /// A kernel function at its entry.
    FentryContext;
    /// A tracepoint with the arguments that the kernel passes to it.
    TpBtfContext;
    /// A hook of the Linux security modules. Unlike the others it decides: see [`LsmAction`].
    LsmContext;
}

/// A kernel function at its return, with its arguments as they were at its entry.
///
/// `A` is a tuple of the first arguments, `R` what it returns; either may be `()`. The
/// loader compares both with the kernel's BTF. Only the runtime makes a context, for the
/// time of one call. It stays on its CPU.
pub struct FexitContext<'a, A = (), R = ()> {
    raw: trace::Words,
    _call: PhantomData<(&'a mut (), fn() -> (A, R))>,
}

impl<A: Args, R: Ret> FexitContext<'_, A, R> {
    pub(crate) fn new(raw: trace::Words) -> Self {
        FexitContext { raw, _call: PhantomData }
    }

    /// The arguments.
    #[inline(always)]
    pub fn args(&self) -> A {
        read(&self.raw)
    }

    /// How many words of arguments the function has.
    #[inline(always)]
    pub fn count(&self) -> usize {
        self.raw.len()
    }

    /// Argument number `n`, from 0, whatever it is; `None` if there are fewer.
    #[inline(always)]
    pub fn word(&self, n: usize) -> Option<u64> {
        self.raw.get(n)
    }

    /// What the function returns.
    #[inline(always)]
    pub fn ret(&self) -> R {
        R::from_word(self.raw.ret())
    }
}

/// Verdict of an lsm program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LsmAction {
    /// This module has no objection; others are asked too.
    Allow,
    /// The operation fails with this error.
    Deny(Errno),
}

impl LsmAction {
    /// The operation fails with `EPERM`.
    pub const DENY: LsmAction = LsmAction::Deny(Errno::PERM);

    pub(crate) const fn number(self) -> i32 {
        match self {
            LsmAction::Allow => 0,
            LsmAction::Deny(e) => -e.get(),
        }
    }
}
