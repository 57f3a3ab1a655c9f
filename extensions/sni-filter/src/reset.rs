// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! Makes of a segment the one that resets its connection (RFC 9293, section 3.5.2).

use iu::net::{self, Tcp};
use iu::prelude::*;
use iu::zerocopy::IntoBytes;

/// Turns the packet around. `None`, and the packet is as it was: it has IP options or extension
/// headers, or acknowledges nothing, so that it is not known what would be believed.
pub fn turn_around(ctx: &mut XdpContext) -> Option<()> {
    let packet = ctx.packet();
    let seen = net::layers(packet)?.tcp()?;
    if seen.tcp.flags & net::TCP_ACK == 0 || !seen.layers.is_plain() {
        return None;
    }
    let mut tcp = Tcp {
        src_port: seen.tcp.dst_port,
        dst_port: seen.tcp.src_port,
        seq: seen.tcp.ack,
        ack: 0.into(),
        data_offset: 5 << 4,
        flags: net::TCP_RST,
        window: 0.into(),
        checksum: 0.into(),
        urgent: 0.into(),
    };
    const LEN: usize = size_of::<Tcp>();
    let cut = i32::try_from(packet.len().checked_sub(seen.layers.at + LEN)?).ok()?;
    ctx.adjust_tail(-cut).ok()?;
    let (at, sum) = net::turn_around(ctx.packet_mut(), LEN as u16)?;
    tcp.checksum.set(sum.bytes(tcp.as_bytes()).finish());
    ctx.packet_mut().get_mut(at..at + LEN)?.copy_from_slice(tcp.as_bytes());
    Some(())
}
