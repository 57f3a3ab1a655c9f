// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Uses every map, every resource and every helper once. The byte after a packet's
//! Ethernet header says what to use ([`Job`]); what came of it stands in the map `results`,
//! at that number: 1 if all was as it should be, else the line of the check that failed.

#![no_std]
#![cfg_attr(not(test), forbid(unsafe_code))]

mod jobs;
mod tc;

use iu::prelude::*;

/// By job: 1, or the line of the check that failed.
#[map]
static RESULTS: Array<u64, 64> = Array::new();

/// A check of a job.
#[macro_export]
macro_rules! ensure {
    ($e:expr) => {
        if !$e {
            return Err(line!());
        }
    };
}

/// What a job gives: nothing, or the line of a check.
pub type Outcome = Result<(), u32>;

/// Where user space puts the index of an interface, and the length of a packet.
pub const IFINDEX: u32 = 62;
pub const LENGTH: u32 = 61;
/// [`IFINDEX`] as a job needs it.
pub fn ifindex() -> u32 {
    RESULTS.get(IFINDEX).unwrap_or(0) as u32
}

/// EtherType of the packets that ask (IEEE 802 local experimental).
const ASKS: u16 = 0x88b5;

/// Which job a packet asks for; 0 is none.
fn asked(packet: &[u8]) -> u8 {
    match packet {
        [_, _, _, _, _, _, _, _, _, _, _, _, a, b, job, ..]
            if u16::from_be_bytes([*a, *b]) == ASKS =>
        {
            *job
        }
        _ => 0,
    }
}

fn note(job: u8, outcome: Outcome) {
    let _ = RESULTS.set(
        job.into(),
        match outcome {
            Ok(()) => 1,
            Err(line) => u64::from(line) + 1000,
        },
    );
}

#[xdp(on_fault = drop)]
fn probe(mut ctx: XdpContext) -> XdpAction {
    let job = asked(ctx.packet());
    if job == 0 || job >= 32 {
        return XdpAction::Pass;
    }
    let (verdict, outcome) = jobs::run(job, &mut ctx);
    note(job, outcome);
    verdict
}

#[tc(on_fault = shot)]
fn probe_tc(mut ctx: TcContext) -> TcAction {
    let job = asked(ctx.linear());
    if job == jobs::CPU {
        // Whoever set the map `cpus` knows which CPU this is to be.
        let _ = RESULTS.set(63, u64::from(cpu::id()) + 1);
    }
    if job < 32 {
        return TcAction::Unspec;
    }
    note(job, tc::run(job, &mut ctx));
    if job == tc::REDIRECT { ctx.redirect(ifindex(), iu::Way::Out) } else { TcAction::Unspec }
}

#[cfg(test)]
mod tests;
