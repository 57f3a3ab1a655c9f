// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::U16;

/// EtherType of IPv4.
pub const ETH_IPV4: u16 = 0x0800;
/// EtherType of ARP.
pub const ETH_ARP: u16 = 0x0806;
/// EtherType of a VLAN tag (IEEE 802.1Q).
pub const ETH_VLAN: u16 = 0x8100;
/// EtherType of an outer VLAN tag (IEEE 802.1ad).
pub const ETH_QINQ: u16 = 0x88a8;
/// EtherType of IPv6.
pub const ETH_IPV6: u16 = 0x86dd;

/// An Ethernet header (IEEE 802.3), 14 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ethernet {
    /// Destination address.
    pub dst: [u8; 6],
    /// Source address.
    pub src: [u8; 6],
    /// What follows.
    pub ethertype: U16,
}

impl Ethernet {
    /// Sends it back to where it came from.
    #[inline]
    pub fn swap(&mut self) {
        core::mem::swap(&mut self.dst, &mut self.src);
    }
}

/// The rest of a VLAN tag (IEEE 802.1Q) after its EtherType, 4 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Vlan {
    /// Priority (3 bits), drop eligible (1 bit), VLAN (12 bits).
    pub tci: U16,
    /// What follows.
    pub ethertype: U16,
}

impl Vlan {
    /// Number of the VLAN.
    #[inline]
    pub fn id(&self) -> u16 {
        self.tci.get() & 0xfff
    }
}

/// An ARP packet for IPv4 over Ethernet (RFC 826), 28 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Arp {
    /// 1: Ethernet.
    pub hardware: U16,
    /// [`ETH_IPV4`].
    pub protocol: U16,
    /// 6.
    pub hardware_len: u8,
    /// 4.
    pub protocol_len: u8,
    /// 1: request, 2: reply.
    pub operation: U16,
    /// Who asks or answers.
    pub sender_mac: [u8; 6],
    /// Its IPv4 address.
    pub sender_ip: [u8; 4],
    /// Who is asked or answered; zero in a request.
    pub target_mac: [u8; 6],
    /// Its IPv4 address.
    pub target_ip: [u8; 4],
}

impl Arp {
    /// Whether it is about IPv4 over Ethernet, which is all that this header can hold.
    #[inline]
    pub fn is_ipv4(&self) -> bool {
        self.hardware.get() == 1
            && self.protocol.get() == ETH_IPV4
            && self.hardware_len == 6
            && self.protocol_len == 4
    }

    /// Makes a request the reply of `mac`, whose address was asked for.
    #[inline]
    pub fn answer(&mut self, mac: [u8; 6]) {
        self.operation.set(2);
        self.target_mac = self.sender_mac;
        self.sender_mac = mac;
        core::mem::swap(&mut self.sender_ip, &mut self.target_ip);
    }
}
