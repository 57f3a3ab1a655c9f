// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Hooks whose context is a set of registers.

use core::marker::PhantomData;

use crate::abi;
use crate::args::Arg;
use crate::sys::trace;

pub use crate::abi::Regs;

/// An argument in the registers of a function that has just been entered (System V
/// ABI): the first six that are no floats. Panics at a greater number.
#[inline(always)]
fn arg<T: Arg>(r: &abi::Regs, n: usize) -> T {
    T::from_word([r.di, r.si, r.dx, r.cx, r.r8, r.r9][n])
}

macro_rules! contexts {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// Only the runtime makes a context, for the time of one call. It stays on its CPU.
        pub struct $name<'a> {
            raw: trace::Registers,
            _call: PhantomData<&'a mut ()>,
        }

        impl $name<'_> {
            pub(crate) fn new(raw: trace::Registers) -> Self {
                $name { raw, _call: PhantomData }
            }

            /// The registers.
            #[inline(always)]
            pub fn regs(&self) -> &Regs {
                self.raw.get()
            }
        }
    )*};
}

contexts! {
    /// A kernel function at its entry, or any instruction of the kernel.
    KprobeContext;
    /// A kernel function at its return.
    KretprobeContext;
    /// A program in user space, at an instruction or at the return of a function.
    UprobeContext;
}

impl KprobeContext<'_> {
    /// The function's argument number `n`, from 0, if the probe is at its entry and the
    /// compiler has kept the function's calling convention: nothing checks it.
    ///
    /// # Panics
    /// From 6 on: only six arguments are in registers.
    #[inline(always)]
    pub fn arg<T: Arg>(&self, n: usize) -> T {
        arg(self.raw.get(), n)
    }
}

impl KretprobeContext<'_> {
    /// What the function returns.
    #[inline(always)]
    pub fn ret<T: Arg>(&self) -> T {
        T::from_word(self.raw.get().ax)
    }
}

impl UprobeContext<'_> {
    /// The function's argument number `n`, from 0, if the probe is at its entry.
    ///
    /// # Panics
    /// From 6 on: only six arguments are in registers.
    #[inline(always)]
    pub fn arg<T: Arg>(&self, n: usize) -> T {
        arg(self.raw.get(), n)
    }

    /// What the function returns, if the probe is at its return.
    #[inline(always)]
    pub fn ret<T: Arg>(&self) -> T {
        T::from_word(self.raw.get().ax)
    }
}

/// A sample of a perf event: what the CPU was doing.
///
/// It interrupts anything, other programs too, and may come in NMI. Only the runtime
/// makes a context, for the time of one call.
pub struct PerfEventContext<'a> {
    raw: trace::Sample,
    _call: PhantomData<&'a mut ()>,
}

impl PerfEventContext<'_> {
    pub(crate) fn new(raw: trace::Sample) -> Self {
        PerfEventContext { raw, _call: PhantomData }
    }

    /// The registers that were interrupted.
    #[inline(always)]
    pub fn regs(&self) -> &Regs {
        self.raw.regs()
    }

    /// Whether user space was interrupted.
    #[inline(always)]
    pub fn user(&self) -> bool {
        self.raw.get().user != 0
    }

    /// The sample's period, in what the event counts.
    #[inline(always)]
    pub fn period(&self) -> u64 {
        self.raw.get().period
    }

    /// The address of the data that the event is about, 0 if there is none.
    #[inline(always)]
    pub fn addr(&self) -> u64 {
        self.raw.get().addr
    }
}
