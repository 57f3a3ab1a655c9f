// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Work whose cost in instructions is measured by `make bench`. The first byte of
//! the packet says how often to do it, so that the cost of once is the difference
//! of two runs; the baseline in eBPF does the same in the same order.

#![no_std]
#![forbid(unsafe_code)]

use iu::prelude::*;

#[map]
static ARRAY: Array<u64, 64> = Array::new();

#[map]
static HASH: HashMap<u32, u64, 64> = HashMap::new();

#[map]
static LOCKED: LockedArray<u64, 1> = LockedArray::new();

/// Emptied by the harness between two measurements.
#[map]
static RING: RingBuf<1048576> = RingBuf::new();

/// Results, so that no compiler drops the work.
#[map]
static SINK: Array<u64, 1> = Array::new();

// In the maps that are read all values are zero, which no compiler knows: so each
// index depends on the value before, and must be checked.

fn times(packet: &[u8]) -> u32 {
    u32::from(packet.first().copied().unwrap_or(0)) & 63
}

#[xdp(on_fault = pass)]
fn array_lookup(ctx: XdpContext) -> XdpAction {
    let mut sum = 0u64;
    for i in 0..times(ctx.packet()) {
        sum = sum.wrapping_add(ARRAY.get(i.wrapping_add(sum as u32)).unwrap_or(1));
    }
    let _ = SINK.set(0, sum);
    XdpAction::Pass
}

#[xdp(on_fault = pass)]
fn hash_lookup(ctx: XdpContext) -> XdpAction {
    let mut sum = 0u64;
    for _ in 0..times(ctx.packet()) {
        sum = sum.wrapping_add(HASH.get(&(sum as u32)).unwrap_or(1));
    }
    let _ = SINK.set(0, sum);
    XdpAction::Pass
}

#[xdp(on_fault = pass)]
fn lock_pair(ctx: XdpContext) -> XdpAction {
    for _ in 0..times(ctx.packet()) {
        if let Some(mut value) = LOCKED.lock(0) {
            *value = value.wrapping_add(1);
        }
    }
    XdpAction::Pass
}

#[xdp(on_fault = pass)]
fn ring_reserve(ctx: XdpContext) -> XdpAction {
    for i in 0..times(ctx.packet()) {
        let Some(room) = RING.reserve::<u64>() else {
            return XdpAction::Aborted;
        };
        room.write(i.into()).submit();
    }
    XdpAction::Pass
}

#[xdp(on_fault = pass)]
fn recursion(ctx: XdpContext) -> XdpAction {
    let _ = SINK.set(0, descend(ctx.packet(), 33));
    XdpAction::Pass
}

/// Works on the way back, so it is no tail call.
fn descend(packet: &[u8], depth: u32) -> u64 {
    if depth == 0 {
        return packet.len() as u64;
    }
    descend(packet, depth - 1).rotate_left(1) ^ u64::from(depth)
}

#[xdp(on_fault = pass)]
fn panics(ctx: XdpContext) -> XdpAction {
    let packet = ctx.packet();
    if packet[packet.len()] == 0 { XdpAction::Drop } else { XdpAction::Pass }
}

fn step(x: u64) -> u64 {
    (x ^ (x >> 7)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// A number that nobody can call small.
fn many(packet: &[u8]) -> u32 {
    match packet {
        [a, b, c, d, ..] => u32::from_le_bytes([*a, *b, *c, *d]),
        _ => 0,
    }
}

/// The call keeps the loop from being unrolled, which would save polls.
fn steps(n: u32) -> u64 {
    let mut x = 1;
    for _ in 0..n {
        x = leaf(x);
    }
    x
}

/// A loop without a known bound, thus with a poll.
#[xdp(on_fault = pass)]
fn polled(ctx: XdpContext) -> XdpAction {
    let _ = SINK.set(0, steps(many(ctx.packet())));
    XdpAction::Pass
}

/// The same loop, proven to be short.
#[xdp(on_fault = pass)]
fn unpolled(ctx: XdpContext) -> XdpAction {
    let _ = SINK.set(0, steps(times(ctx.packet())));
    XdpAction::Pass
}

#[inline(never)]
fn leaf(x: u64) -> u64 {
    step(x)
}

/// Two functions that differ in a constant; only one is reached by a recursion.
#[inline(never)]
fn middle<const SEED: u64>(x: u64) -> u64 {
    leaf(x ^ SEED).rotate_left(9)
}

fn around<const SEED: u64>(n: u32) -> u64 {
    let mut x = 1;
    for _ in 0..n {
        x = middle::<SEED>(x);
    }
    x
}

fn recursive(n: u32, depth: u64) -> u64 {
    let x = around::<0x11>(n);
    if depth == 0 { x } else { recursive(n, depth - 1).rotate_left(3) ^ x }
}

/// Calls a function that checks the stack.
#[xdp(on_fault = pass)]
fn checked(ctx: XdpContext) -> XdpAction {
    let packet = ctx.packet();
    let depth = packet.get(1).copied().unwrap_or(0);
    let _ = SINK.set(0, recursive(times(packet), depth.into()));
    XdpAction::Pass
}

/// Calls its twin that need not.
#[xdp(on_fault = pass)]
fn unchecked(ctx: XdpContext) -> XdpAction {
    let _ = SINK.set(0, around::<0x12>(times(ctx.packet())));
    XdpAction::Pass
}
