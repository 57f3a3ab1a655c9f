// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use iu::host::{self, Task};

use super::*;
use crate::histogram::{QUANTILES, bucket, greatest};

fn task(pid: u32, tid: u32) {
    host::set_task(Task { pid, tid, ..Task::default() });
}

fn call(tid: u32, nr: i64, at: u64, ns: u64) {
    task(1, tid);
    host::set_ktime_ns(at);
    host::tp_btf(&[0, nr as u64], entered);
    host::set_ktime_ns(at + ns);
    host::tp_btf(&[0, 0], left);
}

fn row(row: u32) -> Vec<u64> {
    (0..WORDS).map(|w| LATENCY.get(row * WORDS + w).unwrap()).collect()
}

#[test]
fn buckets_cover_everything_once() {
    let mut last = None;
    for b in 0..BUCKETS {
        let (first, end) = (last.map_or(0, |v: u64| v + 1), greatest(b));
        assert_eq!((bucket(first), bucket(end)), (b, b), "{first} to {end}");
        assert!(end - first <= first / 16, "{first} to {end}");
        last = Some(end);
    }
    assert_eq!(last, Some((1 << 40) - 1));
    assert_eq!(bucket(u64::MAX), BUCKETS - 1);
}

/// A stream of numbers that is the same in every run (xorshift), of all magnitudes.
fn numbers(n: usize) -> Vec<u64> {
    let mut x = 0x2545_f491_4f6c_dd1d_u64;
    (0..n)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            (x >> 32) >> (x % 30)
        })
        .collect()
}

#[test]
fn quantiles_are_those_of_a_sorted_list() {
    host::set_param(&EVERY, 1);
    let mut all = Vec::new();
    for v in numbers(600) {
        call(1, 3, 1000, v);
        all.push(v);
    }
    all.sort_unstable();
    let got = row(4);
    assert_eq!(got[..2], [600, all.iter().sum::<u64>()]);
    for (q, got) in QUANTILES.iter().zip(&got[2..7]) {
        let exact = all[(*q as usize * all.len()).div_ceil(1000) - 1];
        assert_eq!(*got, greatest(bucket(exact)), "{q}");
    }
    // All calls were of one kind, so the row of all is the same.
    assert_eq!(row(0)[..7], got[..7]);
}

#[test]
fn quantiles_wait_for_every() {
    host::set_param(&EVERY, 50);
    (0..8).for_each(|_| call(1, 7, 1, 10));
    assert_eq!(row(8)[2..7], [10; 5]);
    (8..49).for_each(|_| call(1, 7, 1, 1_000_000));
    assert_eq!(row(8)[2..7], [10; 5]);
    call(1, 7, 1, 1_000_000);
    assert_eq!(row(8)[2..7], [greatest(bucket(1_000_000)); 5]);
}

#[test]
fn threads_do_not_meet() {
    task(1, 1);
    host::set_ktime_ns(100);
    host::tp_btf(&[0, 35], entered);
    call(2, 0, 200, 5);
    task(1, 1);
    host::set_ktime_ns(1100);
    host::tp_btf(&[0, 0], left);
    assert_eq!((row(36)[0], row(36)[1]), (1, 1000));
    assert_eq!((row(1)[0], row(1)[1]), (1, 5));
}

#[test]
fn odd_calls_and_returns() {
    // A number that does not exist, a return without an entry, one process only.
    for nr in [-1, i64::MIN, i64::from(SYSCALLS), i64::MAX] {
        call(1, nr, 1, 7);
    }
    host::tp_btf(&[0, 0], left);
    assert_eq!((row(0)[0], row(0)[7]), (4, 1));
    assert!((1..ROWS).all(|r| row(r)[0] == 0));
    host::set_param(&PID, 9);
    call(1, 1, 1, 7);
    assert_eq!((row(0)[0], row(0)[7]), (4, 1));
    // A clock that goes back is no time.
    host::set_param(&PID, 1);
    host::set_ktime_ns(100);
    host::tp_btf(&[0, 1], entered);
    host::set_ktime_ns(50);
    host::tp_btf(&[0, 1], left);
    assert_eq!(row(2)[..2], [1, 0]);
}

#[test]
fn more_threads_than_entries() {
    // Threads that never return take no room for ever.
    for tid in 0..20_000 {
        task(1, tid);
        host::set_ktime_ns(1);
        host::tp_btf(&[0, 60], entered);
    }
    call(50_000, 1, 1, 7);
    assert_eq!(row(2)[0], 1);
}

#[test]
#[should_panic(expected = "out of range")]
fn every_has_a_range() {
    host::set_param(&EVERY, 0);
}
