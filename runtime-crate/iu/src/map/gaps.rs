// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use crate::abi;
use crate::sys::value::MapCell;

/// How often the extension's programs may have missed something: one of them panicked or was
/// ended, was not run as it had faulted too often, or they were put in place. The runtime counts.
///
/// A program that draws conclusions from having seen everything compares the number with
/// the one that it drew them at, and starts anew if they differ: so it fails closed. The number has
/// changed before the hook gets the verdict that stands for the missing one, and before a lock that the
/// program held is free; read it while you hold that lock.
///
/// ```
/// use iu::prelude::*;
///
/// #[map]
/// static GAPS: Gaps = Gaps::new();
///
/// assert_eq!(GAPS.count(), 0);
/// ```
#[repr(transparent)]
pub struct Gaps<const N: u32 = 1> {
    cell: MapCell,
}

// There is one value; the number is there for the sake of what all maps have in common.
impl<const N: u32> Gaps<N> {
    #[doc(hidden)]
    pub const fn __named(self, name: &str) -> Self {
        Gaps { cell: self.cell.named(name) }
    }
}

impl Gaps {
    /// The initial value of a static with `#[map]`.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Gaps {
            cell: MapCell::new::<u32, u64>(abi::map_type::ARRAY, 1).with_role(abi::map_role::GAPS),
        }
    }

    /// The number.
    #[inline(always)]
    pub fn count(&self) -> u64 {
        self.cell.get_at(0, 1).unwrap_or(0)
    }

    /// Adds one, as the runtime does after a fault.
    #[cfg(not(target_os = "none"))]
    pub fn add(&self) {
        let _ = crate::sys::locked::fetch_add_u64(&self.cell, 0, 1, 1);
    }
}
