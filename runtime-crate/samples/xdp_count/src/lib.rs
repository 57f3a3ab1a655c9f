// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Counts packets by protocol and by source, drops UDP packets to a port, and
//! remembers the last TCP segment sent: a tour of the crate `iu`.

#![no_std]
#![forbid(unsafe_code)]

use iu::prelude::*;
use iu::zerocopy::FromBytes;

/// Incoming UDP packets to this port are dropped; 0 drops none.
#[param(default = 0)]
static DROP_PORT: Param<u16>;

/// Log every packet that is dropped.
#[param(default = false)]
static VERBOSE: Param<bool>;

/// Packets received, by IP protocol.
#[map]
static PROTOCOLS: PerCpuArray<u64, 256> = PerCpuArray::new();

/// What a source has sent.
#[plain]
struct Source {
    packets: u64,
    bytes: u64,
    last_ns: u64,
}

/// By IPv4 address.
#[map]
static SOURCES: HashMap<[u8; 4], Source, 4096> = HashMap::new();

/// Packets dropped, packets sent.
#[map]
static TOTALS: Array<u64, 2> = Array::new();
const DROPPED: u32 = 0;
const SENT: u32 = 1;

/// The last TCP segment sent.
#[plain]
struct Segment {
    bytes: u32,
    src_port: u16,
    dst_port: u16,
    /// The first bytes of its payload.
    head: [u8; 16],
}

#[map]
static LAST: LockedArray<Segment, 1> = LockedArray::new();

#[xdp(on_fault = pass)]
fn count(ctx: XdpContext) -> XdpAction {
    let packet = ctx.packet();
    let Some((eth, rest)) = net::Ethernet::ref_from_prefix(packet).ok() else {
        return XdpAction::Pass;
    };
    if eth.ethertype.get() != net::ETH_IPV4 {
        return XdpAction::Pass;
    }
    let Some((ip, _)) = net::Ipv4::ref_from_prefix(rest).ok() else {
        return XdpAction::Pass;
    };
    PROTOCOLS.update(ip.protocol.into(), |n| n + 1);
    note_source(ip.src, packet.len() as u64);

    match net::udp4(packet) {
        Some(p) if p.udp.dst_port.get() == DROP_PORT.get() && DROP_PORT.get() != 0 => {
            TOTALS.fetch_add(DROPPED, 1);
            if VERBOSE.get() {
                iu::info!("drop {} bytes from {}", p.payload.len(), p.ip.src_addr());
            }
            XdpAction::Drop
        }
        _ => XdpAction::Pass,
    }
}

/// Two CPUs that see one source at a time may lose a count.
fn note_source(addr: [u8; 4], bytes: u64) {
    let old = SOURCES.get(&addr).unwrap_or(Source { packets: 0, bytes: 0, last_ns: 0 });
    let new =
        Source { packets: old.packets + 1, bytes: old.bytes + bytes, last_ns: time::ktime_ns() };
    if SOURCES.insert(&addr, &new) == Err(Errno::TOO_BIG) {
        iu::warn!("no room for source {addr:x}");
    }
}

#[tc(on_fault = unspec)]
fn sent(ctx: TcContext) -> TcAction {
    TOTALS.fetch_add(SENT, 1);
    // The payload of a large segment is not in the linear part.
    let Some(p) = net::tcp4(ctx.linear()) else {
        return TcAction::Unspec;
    };
    let mut head = [0; 16];
    let n = p.payload_len.min(head.len());
    let at = p.payload_at;
    if ctx.load(at, &mut head[..n]).is_ok()
        && let Some(mut last) = LAST.lock(0)
    {
        *last = Segment {
            bytes: p.payload_len as u32,
            src_port: p.tcp.src_port.get(),
            dst_port: p.tcp.dst_port.get(),
            head,
        };
    }
    TcAction::Unspec
}

#[cfg(test)]
mod tests;
