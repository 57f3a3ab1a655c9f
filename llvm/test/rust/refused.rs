//! Findings name the author's line, also in what was inlined from elsewhere.
// RUN: not %rust %s %t 2>&1 | FileCheck %s
#![no_std]
#[path = "common/marker.rs"]
#[macro_use]
mod marker;

program!("refused", refused);

fn refused(p: &[u8]) -> u32 {
    // CHECK-DAG: error: iu: inline-asm: inline assembly is not allowed at rust/refused.rs:[[#@LINE+1]]:
    unsafe { core::arch::asm!("cli") };
    // CHECK-DAG: error: iu: float: {{.*}} at rust/refused.rs:[[#@LINE+1]]:
    let f = p.len() as f64 * 1.5;
    // CHECK-DAG: error: iu: division: {{.*}} at rust/refused.rs:[[#@LINE+1]]:
    let d = 1u128.wrapping_shl(p[0] as u32) / (p[1] as u128 * p[2] as u128 * p[3] as u128 + 1);
    f as u32 + (d >> 64) as u32
}
