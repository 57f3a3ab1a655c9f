// SPDX-License-Identifier: Apache-2.0

//! Solves with pubgrub-rs what bench/peer.go writes: a line for each version, `PACKAGE
//! VERSION` and then `PACKAGE FROM TO` for each dependency, versions from FROM up to but
//! without TO; package 0 has what is asked for. Prints for each of as many runs as the
//! argument says the time in microseconds that solving took, and how many packages were
//! chosen.

use pubgrub::{resolve, OfflineDependencyProvider, Ranges};
use std::io::{stdin, BufRead};
use std::time::Instant;

fn main() {
    let runs: usize = std::env::args().nth(1).expect("RUNS").parse().expect("a number");
    let mut all = OfflineDependencyProvider::<u32, Ranges<u32>>::new();
    for line in stdin().lock().lines() {
        let line = line.expect("standard input");
        let n: Vec<u32> = line.split(' ').map(|w| w.parse().expect("a number")).collect();
        let deps = n[2..].chunks(3).map(|d| (d[0], Ranges::between(d[1], d[2])));
        all.add_dependencies(n[0], n[1], deps);
    }
    for _ in 0..runs {
        let began = Instant::now();
        let plan = resolve(&all, 0, 0u32).expect("a solution");
        println!("{} {}", began.elapsed().as_micros(), plan.into_iter().count() - 1);
    }
}
