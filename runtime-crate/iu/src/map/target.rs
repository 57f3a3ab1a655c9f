// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use crate::abi;
use crate::sys::value::MapCell;
use crate::xdp::{XdpAction, XdpContext};

macro_rules! target {
    ($(#[$doc:meta])* $name:ident, $kind:ident, $to:literal) => {
        $(#[$doc])*
        #[repr(transparent)]
        pub struct $name<const N: u32> {
            cell: MapCell,
        }

        impl<const N: u32> $name<N> {
            #[doc(hidden)]
            pub const fn __named(self, name: &str) -> Self {
                $name { cell: self.cell.named(name) }
            }

            /// The initial value of a static with `#[map]`.
            #[allow(clippy::new_without_default)]
            pub const fn new() -> Self {
                $name { cell: MapCell::sized::<u32>(abi::map_type::$kind, 4, N, 0) }
            }

            #[doc = concat!("The verdict that sends the packet to the ", $to, " at `key`, or `otherwise`")]
            /// (a verdict of its own, not a redirection) if there is none.
            /// (`bpf_redirect_map`)
            #[inline]
            pub fn redirect(
                &self,
                _packet: &XdpContext<'_>,
                key: u32,
                otherwise: XdpAction,
            ) -> XdpAction {
                let flags = if otherwise == XdpAction::Redirect { 0 } else { otherwise as u64 };
                match self.cell.redirect(key, flags) {
                    1 => XdpAction::Drop,
                    2 => XdpAction::Pass,
                    3 => XdpAction::Tx,
                    4 => XdpAction::Redirect,
                    _ => XdpAction::Aborted,
                }
            }

            #[cfg(not(target_os = "none"))]
            pub(crate) fn cell(&self) -> &MapCell {
                &self.cell
            }
        }
    };
}

target! {
    /// Up to `N` interfaces by number below `N`, set by user space (`BPF_MAP_TYPE_DEVMAP`).
    DevMap, DEVMAP, "interface"
}

target! {
    /// Up to `N` interfaces by any number, set by user space (`BPF_MAP_TYPE_DEVMAP_HASH`).
    DevMapHash, DEVMAP_HASH, "interface"
}

target! {
    /// Queues of the CPUs below `N`, set by user space (`BPF_MAP_TYPE_CPUMAP`): another
    /// CPU's network stack takes the packet.
    CpuMap, CPUMAP, "CPU"
}
