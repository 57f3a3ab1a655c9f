// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! Messages, and a reply made of its request.

use iu::net::{self, U16, U32, U64, Udp};
use iu::prelude::*;
use iu::zerocopy::{FromBytes, IntoBytes};

/// "iuPX".
pub const MAGIC: u32 = 0x6975_5058;
/// The leader asks a replica to accept a value, which follows the header.
pub const ACCEPT: u8 = 1;
/// A replica has accepted. No value follows.
pub const ACK: u8 = 2;

/// Longest value that is taken here; longer ones are user space's.
pub const VALUE: usize = 1024;

/// The header of each message, in network order.
#[plain]
pub struct Header {
    /// [`MAGIC`].
    pub magic: U32,
    /// [`ACCEPT`], [`ACK`]; others are user space's.
    pub kind: u8,
    /// Who sends it.
    pub node: u8,
    /// Zero.
    pub reserved: U16,
    /// The leader's term; higher ones win.
    pub ballot: U64,
    /// Which entry of the log.
    pub slot: U64,
}

/// Bytes of a header.
pub const HEADER: usize = size_of::<Header>();

/// The message that a packet to `port` holds.
pub fn message(packet: &[u8], port: u16) -> Option<(Header, &[u8])> {
    let v = net::layers(packet)?.udp()?;
    if v.udp.dst_port.get() != port {
        return None;
    }
    let (header, value) = Header::read_from_prefix(v.payload).ok()?;
    (header.magic.get() == MAGIC && header.reserved.get() == 0).then_some((header, value))
}

/// Makes of the packet a message without a value that goes back. `None`: it has IP options or extension headers,
/// and is as it was.
pub fn reply(ctx: &mut XdpContext, header: &Header) -> Option<()> {
    let packet = ctx.packet();
    let seen = net::layers(packet)?.udp()?;
    if !seen.layers.is_plain() {
        return None;
    }
    const LEN: usize = size_of::<Udp>() + HEADER;
    let mut udp = Udp {
        src_port: seen.udp.dst_port,
        dst_port: seen.udp.src_port,
        len: (LEN as u16).into(),
        checksum: 0.into(),
    };
    // The frame of a short message is padded, and only cut.
    let cut = i32::try_from(packet.len().checked_sub(seen.layers.at + LEN)?).ok()?;
    ctx.adjust_tail(-cut).ok()?;
    let (at, sum) = net::turn_around(ctx.packet_mut(), LEN as u16)?;
    udp.checksum.set(sum.bytes(udp.as_bytes()).bytes(header.as_bytes()).finish_udp());
    let (to, body) =
        ctx.packet_mut().get_mut(at..at + LEN)?.split_at_mut_checked(size_of::<Udp>())?;
    to.copy_from_slice(udp.as_bytes());
    body.copy_from_slice(header.as_bytes());
    Some(())
}
