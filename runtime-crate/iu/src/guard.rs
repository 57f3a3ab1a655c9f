// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Guards beside those of locks. Each ends when it is dropped, and the runtime ends it
//! if the program panics or is ended. They stay on their CPU.

use crate::sys::guard;

/// Interrupts are off on this CPU while it lives; guards nest, in any order.
#[must_use = "a guard that is dropped at once protects nothing"]
pub struct IrqsOff {
    _held: guard::IrqsOff,
}

impl IrqsOff {
    /// Turns interrupts off. Nested too deep (250) is a fault.
    #[allow(clippy::new_without_default)]
    #[inline(always)]
    pub fn new() -> IrqsOff {
        IrqsOff { _held: guard::IrqsOff::new() }
    }
}

/// An RCU read-side critical section. A run of a program is one anyway; this makes it
/// visible to the kernel's own checks.
#[must_use = "a guard that is dropped at once protects nothing"]
pub struct Rcu {
    _held: guard::Rcu,
}

impl Rcu {
    /// Begins a critical section. Nested too deep (250) is a fault.
    #[allow(clippy::new_without_default)]
    #[inline(always)]
    pub fn new() -> Rcu {
        Rcu { _held: guard::Rcu::new() }
    }
}
