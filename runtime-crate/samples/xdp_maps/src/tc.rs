// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Jobs at TC.

use iu::prelude::*;
use iu::{Behind, Change, Way};

use crate::{Outcome, ensure, ifindex};

/// The packet goes to the interface whose index user space has set.
pub const REDIRECT: u8 = 38;

pub fn run(job: u8, ctx: &mut TcContext) -> Outcome {
    match job {
        32 => tail(ctx),
        33 => head(ctx),
        34 => vlan(ctx),
        35 => checksums(ctx),
        36 => room(ctx),
        37 => pages(ctx),
        REDIRECT => Ok(()),
        39 => copy(ctx),
        _ => Err(0),
    }
}

fn tail(ctx: &mut TcContext) -> Outcome {
    let n = ctx.len() as u32;
    ensure!(ctx.change_tail(n + 20).is_ok() && ctx.len() as u32 == n + 20);
    ensure!(ctx.change_tail(n - 10).is_ok() && ctx.len() as u32 == n - 10);
    ensure!(ctx.change_tail(4).is_err());
    Ok(())
}

fn head(ctx: &mut TcContext) -> Outcome {
    let n = ctx.len();
    ensure!(ctx.change_head(14).is_ok() && ctx.len() == n + 14);
    ensure!(ctx.store(0, &[2; 6]).is_ok() && ctx.linear().starts_with(&[2; 6]));
    Ok(())
}

fn vlan(ctx: &mut TcContext) -> Outcome {
    let n = ctx.len();
    ensure!(ctx.vlan_push(net::ETH_VLAN, 42).is_ok());
    // The outer tag is beside the packet; pushing another puts the first into it.
    ensure!(ctx.vlan_push(net::ETH_VLAN, 43).is_ok() && ctx.len() >= n + 4);
    ensure!(
        ctx.linear().get(14..16) == Some(&[0, 42]) || ctx.linear().get(14..16) == Some(&[0, 43])
    );
    ensure!(ctx.vlan_pop().is_ok() && ctx.vlan_pop().is_ok() && ctx.len() == n);
    Ok(())
}

fn checksums(ctx: &mut TcContext) -> Outcome {
    // A field of two bytes at 20, its sum at 24, as a header would have them.
    let sum = net::checksum::Sum::new().bytes(&[0x12, 0x34, 0, 0]).finish();
    ensure!(ctx.store(20, &[0x12, 0x34, 0, 0]).is_ok());
    ensure!(ctx.store(24, &sum.to_be_bytes()).is_ok());
    let change = Change::Two([0x12, 0x34], [0xab, 0xcd]);
    ensure!(ctx.replace_l3_checksum(24, change).is_ok());
    let want = net::checksum::update16(sum, 0x1234, 0xabcd);
    let mut got = [0; 2];
    ensure!(ctx.load(24, &mut got).is_ok() && u16::from_be_bytes(got) == want);
    let change = Change::Four([0xab, 0xcd, 0, 0], [0x12, 0x34, 0, 0]);
    ensure!(ctx.replace_l4_checksum(24, change, false).is_ok());
    ensure!(ctx.load(24, &mut got).is_ok() && u16::from_be_bytes(got) == sum);
    Ok(())
}

/// The kernel makes room behind headers that it knows, and this is no IP packet.
fn room(ctx: &mut TcContext) -> Outcome {
    let n = ctx.len();
    match ctx.adjust_room(8, Behind::Link) {
        Ok(()) => ensure!(ctx.len() == n + 8),
        Err(e) => ensure!(e == Errno::NOTSUPP && ctx.len() == n),
    }
    Ok(())
}

/// The copy has what the packet does not have any more.
fn copy(ctx: &mut TcContext) -> Outcome {
    ensure!(ctx.send_copy(0, Way::Out).is_err());
    ensure!(ctx.store(20, b"copy").is_ok());
    ensure!(ctx.send_copy(ifindex(), Way::Out).is_ok());
    ensure!(ctx.store(20, b"mine").is_ok());
    let mut here = [0; 4];
    ensure!(ctx.load(20, &mut here).is_ok() && &here == b"mine");
    Ok(())
}

fn pages(ctx: &mut TcContext) -> Outcome {
    let n = ctx.len();
    ensure!(ctx.pull(n).map(|b| b.len()) == Ok(n) && ctx.linear().len() >= n);
    let Ok(bytes) = ctx.pull(16) else { return Err(line!()) };
    bytes.copy_within(0..1, 15);
    ensure!(ctx.pull(n + 1).is_err());
    Ok(())
}
