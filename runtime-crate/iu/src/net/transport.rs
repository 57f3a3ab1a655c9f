// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{U16, U32, checksum};

/// A UDP header (RFC 768), 8 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Udp {
    /// Source port.
    pub src_port: U16,
    /// Destination port.
    pub dst_port: U16,
    /// Bytes of header and payload.
    pub len: U16,
    /// Checksum; over IPv4, 0 is "none".
    pub checksum: U16,
}

impl Udp {
    /// Exchanges the ports, which leaves the checksum right.
    #[inline]
    pub fn swap(&mut self) {
        core::mem::swap(&mut self.src_port, &mut self.dst_port);
    }
}

/// The sender has no more data.
pub const TCP_FIN: u8 = 1;
/// Synchronise sequence numbers.
pub const TCP_SYN: u8 = 2;
/// Reset the connection.
pub const TCP_RST: u8 = 4;
/// Push.
pub const TCP_PSH: u8 = 8;
/// The acknowledgment is valid.
pub const TCP_ACK: u8 = 16;
/// The urgent pointer is valid.
pub const TCP_URG: u8 = 32;

/// A TCP header (RFC 9293) without options, 20 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Tcp {
    /// Source port.
    pub src_port: U16,
    /// Destination port.
    pub dst_port: U16,
    /// Sequence number of the first byte.
    pub seq: U32,
    /// Next sequence number expected.
    pub ack: U32,
    /// Header length in 4-byte words (4 bits), reserved (4 bits).
    pub data_offset: u8,
    /// `TCP_FIN` and the like.
    pub flags: u8,
    /// Window.
    pub window: U16,
    /// Checksum.
    pub checksum: U16,
    /// Urgent pointer.
    pub urgent: U16,
}

impl Tcp {
    /// Bytes of the header with its options: 20 to 60, less if it is malformed.
    #[inline]
    pub fn header_len(&self) -> usize {
        (self.data_offset as usize >> 4) * 4
    }
}

/// The first 8 bytes of ICMP (RFC 792) and of ICMPv6 (RFC 4443).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Icmp {
    /// ICMP: 0 echo reply, 3 unreachable, 8 echo, 11 time exceeded, …; ICMPv6: 1
    /// unreachable, 128 echo, 129 echo reply, 135 neighbour solicitation, …
    pub kind: u8,
    /// By `kind`.
    pub code: u8,
    /// Of the whole message; of ICMPv6, with the pseudo-header.
    pub checksum: U16,
    /// By `kind`: of echoes, identifier and sequence number.
    pub rest: [u8; 4],
}

impl Icmp {
    /// Changes the kind and updates the checksum.
    #[inline]
    pub fn set_kind(&mut self, kind: u8) {
        let word = |k| u16::from_be_bytes([k, self.code]);
        let sum = checksum::update16(self.checksum.get(), word(self.kind), word(kind));
        self.checksum.set(sum);
        self.kind = kind;
    }
}
