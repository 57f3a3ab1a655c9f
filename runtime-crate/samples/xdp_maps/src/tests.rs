// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! The same jobs in user space, on the host backend. In one test, since an arena is the
//! process's own memory and not the world's.

use std::panic::catch_unwind;
use std::vec::Vec;

use iu::host::{self, Packet};
use iu::prelude::*;

extern crate std;

use crate::{RESULTS, jobs, probe, probe_tc};

fn packet(job: u8) -> Packet {
    let mut bytes = [0; 100];
    bytes[..6].fill(0xff);
    bytes[12..15].copy_from_slice(&[0x88, 0xb5, job]);
    Packet::new(&bytes)
}

#[test]
fn jobs_at_xdp() {
    host::set_target(jobs::devs(), 0, 1);
    host::set_target(jobs::cpus(), 1, 1);
    for job in (1..=21).filter(|j| ![10, 13, 14, 16].contains(j)) {
        let verdict = packet(job).xdp(probe);
        assert_eq!(RESULTS.get(job.into()), Some(1), "job {job}");
        let want = if [11, 12].contains(&job) { XdpAction::Redirect } else { XdpAction::Drop };
        assert_eq!(verdict, want, "job {job}");
    }
    let records = host::records(jobs::ring_buffer());
    assert_eq!(records.len(), 2);
    assert_eq!(records[1], b"a record of any length");
    let perf: Vec<_> = host::perf_records(jobs::perf_events());
    assert_eq!((perf.len(), perf[1].1.len()), (2, 15));

    // A panic gives everything back.
    assert!(catch_unwind(|| packet(13).xdp(probe)).is_err());
    assert!(!host::irqs_off());
    packet(14).xdp(probe);
    assert_eq!(RESULTS.get(14), Some(1));
    assert_eq!(host::records(jobs::ring_buffer()), [b"after the panic"]);
}

#[test]
fn jobs_at_tc() {
    RESULTS.set(crate::IFINDEX, 7).unwrap();
    for job in 32..=39 {
        packet(job).tc(probe_tc);
        assert_eq!(RESULTS.get(job.into()), Some(1), "job {job}");
    }
    assert_eq!(host::redirected(), Some(7));
    let copies = host::copies();
    assert_eq!((copies.len(), copies[0].0, &copies[0].1[20..24]), (1, 7, &b"copy"[..]));
}

#[test]
fn several_buffers() {
    let mut bytes = std::vec![0; 5000];
    bytes[12..15].copy_from_slice(&[0x88, 0xb5, 22]);
    bytes[4996..].copy_from_slice(b"last");
    RESULTS.set(crate::LENGTH, 5000).unwrap();
    let mut p = Packet::new(&bytes).linear(3000);
    p.xdp(probe);
    assert_eq!(RESULTS.get(22), Some(1));
    assert_eq!(p.bytes().len(), 4900);
}
