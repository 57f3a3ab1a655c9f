// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Packet headers and checksums.
//!
//! Headers are views of the packet's bytes: `Udp::ref_from_prefix(bytes)` and the
//! like come from [`zerocopy`](crate::zerocopy) (`use iu::zerocopy::FromBytes`).
//! Numbers in network order are [`U16`] and [`U32`]: `get()` and `set()` them.
//!
//! [`layers`] walks over stacked VLAN tags and either IP, options and extension headers
//! included, to the transport header, and [`Layers::udp`], [`Layers::tcp`],
//! [`Layers::icmp`] go on from there. The quick ways for IPv4,
//! [`udp4`], [`tcp4`] and their `_mut` kin, walk from the Ethernet header to the
//! payload. They accept IPv4 with options and one VLAN tag; anything cut short,
//! fragmented or of inconsistent length gives `None`.

pub mod checksum;
mod ether;
mod flow;
mod ip;
mod layers;
mod options;
mod reply;
mod transport;
mod view;

pub use ether::{Arp, ETH_ARP, ETH_IPV4, ETH_IPV6, ETH_QINQ, ETH_VLAN, Ethernet, Vlan};
pub use flow::{Cursor, Flow, Piece};
pub use ip::{IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP, Ipv4, Ipv6};
pub use layers::{IcmpView, Ip, Layers, Link, TcpView, UdpView, layers, link};
pub use options::{
    Opt, Options, TCP_OPT_MSS, TCP_OPT_SACK, TCP_OPT_SACK_OK, TCP_OPT_TIMESTAMP, TCP_OPT_WINDOW,
};
pub use reply::turn_around;
pub use transport::{Icmp, TCP_ACK, TCP_FIN, TCP_PSH, TCP_RST, TCP_SYN, TCP_URG, Tcp, Udp};
pub use view::{Tcp4, Tcp4Mut, Udp4, Udp4Mut, tcp4, tcp4_mut, udp4, udp4_mut};
pub use zerocopy::network_endian::{U16, U32, U64, U128};
