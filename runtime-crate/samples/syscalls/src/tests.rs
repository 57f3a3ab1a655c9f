// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

extern crate std;

use std::vec::Vec;

use super::*;
use iu::host;

/// A record of these words.
fn record(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_ne_bytes()).collect()
}

fn call(number: u64, args: [u64; 6], ret: i64) {
    host::tracepoint(&record(&[&[number][..], &args].concat()), 64, entering);
    host::tracepoint(&record(&[number, ret as u64]), 24, leaving);
}

#[test]
fn calls() {
    for (event, field, off, size) in
        [("sys_enter", "id", 8, 8), ("sys_enter", "args", 16, 48), ("sys_exit", "id", 8, 8)]
    {
        host::set_field(&std::format!("raw_syscalls/{event}"), field, off, size);
    }
    host::set_field("raw_syscalls/sys_exit", "ret", 16, 8);
    call(1, [1, 0, 512, 0, 0, 0], -9);
    assert_eq!(COUNTS.get(&1), None, "another process");
    host::set_param(&PROCESS, task::pid());
    call(1, [3, 0xbee, 512, 0, 0, 0], -9);
    call(1, [3, 0xbee, 511, 0, 0, 0], 511);
    call(0, [3, 0xbee, 129, 0, 0, 0], 0);
    call(102, [0; 6], 0);
    assert_eq!((COUNTS.get(&1), FAILURES.get(&1), FAILURES.get(&0)), (Some(2), Some(1), None));
    assert!(LATENCY.get(&0).is_some());
    let said: Vec<_> = host::log().into_iter().map(|(_, s)| s).collect();
    assert_eq!(
        said,
        [
            "write(fd=3, buf=bee, size=512)",
            "read(fd=3, buf=bee, size=129)",
            "syscall=102 (one of get/set uid/pid/gid)"
        ]
    );
    host::tracepoint(&record(&[0]), 16, duplicating);
    assert_eq!(host::log().last().map(|l| &*l.1), Some("dup by process 1 on CPU 0"));
}

#[test]
fn opens() {
    host::tracepoint(&record(&[0]), 16, opening);
    host::tracepoint(&record(&[0]), 16, opening);
    host::tracepoint(&record(&[0]), 16, opened);
    assert_eq!((OPENS.get(0), OPENS.get(1)), (Some(2), Some(1)));
}

#[test]
fn failures() {
    assert_eq!(host::lsm(&[], failing), LsmAction::Allow);
    ERRNOS.insert(&task::pid(), &5).unwrap();
    assert_eq!(host::lsm(&[], failing), LsmAction::Deny(Errno::from_number(5).unwrap()));
    ERRNOS.insert(&task::pid(), &5000).unwrap();
    assert_eq!(host::lsm(&[], failing), LsmAction::Allow);
}

#[test]
fn places() {
    host::perf_event(host::Sample::default(), profiling);
    host::perf_event(host::Sample::default(), profiling);
    // There are no stacks in user space.
    let place = Place { comm: task::comm(), kernel: u32::MAX, user: u32::MAX };
    assert_eq!(PLACES.get(&place), Some(2));
}
