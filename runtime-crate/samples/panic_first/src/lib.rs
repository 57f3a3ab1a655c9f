// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Panics on every packet: an index out of bounds, which depends on the packet.

#![no_std]
#![forbid(unsafe_code)]

use iu::prelude::*;

/// Packets seen, so that a test can tell that the program ran.
#[map]
static SEEN: Array<u64, 1> = Array::new();

#[xdp(on_fault = pass)]
fn faulty(ctx: XdpContext) -> XdpAction {
    SEEN.fetch_add(0, 1);
    let packet = ctx.packet();
    let beyond = packet.len() + usize::from(packet[0] & 1);
    if packet[beyond] == 0 { XdpAction::Drop } else { XdpAction::Aborted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "out of bounds")]
    fn panics() {
        iu::host::Packet::new(&[0; 60]).xdp(faulty);
    }
}
