// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Loops for ever on every packet, if the parameter says so.

#![no_std]
#![forbid(unsafe_code)]

use iu::prelude::*;

/// Whether to loop at all.
#[param(default = true)]
static SPIN: Param<bool>;

/// Packets seen, so that a test can tell that the program ran; turns of the loop.
#[map]
static SEEN: Array<u64, 2> = Array::new();

#[xdp(on_fault = pass)]
fn faulty(_ctx: XdpContext) -> XdpAction {
    SEEN.fetch_add(0, 1);
    while SPIN.get() {
        SEEN.fetch_add(1, 1);
    }
    XdpAction::Pass
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_if_told_to() {
        iu::host::set_param(&SPIN, false);
        assert_eq!(iu::host::Packet::new(&[0; 60]).xdp(faulty), XdpAction::Pass);
        assert_eq!(SEEN.get(0), Some(1));
    }
}
