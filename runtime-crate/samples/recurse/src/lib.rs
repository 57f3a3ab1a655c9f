// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Recurses to a depth set by a parameter: without bound, by default.

#![no_std]
#![forbid(unsafe_code)]

use iu::prelude::*;

/// How deep to go.
#[param(default = u64::MAX)]
static DEPTH: Param<u64>;

/// Packets seen, so that a test can tell that the program ran; the last result.
#[map]
static SEEN: Array<u64, 2> = Array::new();

#[xdp(on_fault = pass)]
fn faulty(ctx: XdpContext) -> XdpAction {
    SEEN.fetch_add(0, 1);
    let _ = SEEN.set(1, mix(ctx.packet(), DEPTH.get()));
    XdpAction::Pass
}

/// Twice recursive and not a tail call, so that no optimisation makes a loop of it.
fn mix(packet: &[u8], depth: u64) -> u64 {
    if depth == 0 {
        return packet.len() as u64;
    }
    let left = mix(packet, depth - 1);
    if left & 1 == 0 {
        left.rotate_left(7) ^ mix(packet, depth / 2)
    } else {
        left.rotate_left(3) + depth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_if_bounded() {
        iu::host::set_param(&DEPTH, 10);
        assert_eq!(iu::host::Packet::new(&[0; 61]).xdp(faulty), XdpAction::Pass);
        assert_eq!(SEEN.get(0), Some(1));
        assert_ne!(SEEN.get(1), Some(0));
    }
}
