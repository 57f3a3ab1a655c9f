//! Panics with messages, traits, str, sorting, checked conversions: the message
//! is never made, so core::fmt is not in the object and nothing is recursive.
// RUN: %rust %s %t
// RUN: llvm-nm %t.o | FileCheck %s
// RUN: FileCheck --check-prefix=REPORT %s <%t.json
#![no_std]
#[path = "common/marker.rs"]
#[macro_use]
mod marker;

program!("panics", panics);

#[derive(Debug)]
#[allow(dead_code)]
struct Bad(u32, u8);

#[inline(never)]
fn may(p: &[u8]) -> Result<u32, Bad> {
    if p[0] == 1 { Ok(3) } else { Err(Bad(p[1] as u32, 3)) }
}

fn panics(p: &[u8]) -> u32 {
    let mut h = may(p).unwrap() + may(&p[3..]).expect("second");
    let k = p[2] as u32;
    if k == 9 {
        panic!("formatted {} {:?}", h, p[4]);
    }
    let s = core::str::from_utf8(&p[..20]).unwrap();
    h += s[2..k as usize].len() as u32 + s.parse::<u32>().unwrap();
    assert_eq!(h, k + 8, "must be the same as {k}");
    h += u32::from_be_bytes(p[5..9].try_into().unwrap());
    let mut sorted = [0u64; 20];
    sorted.iter_mut().zip(p).for_each(|(s, b)| *s = *b as u64);
    sorted.sort_unstable();
    let c = core::cell::RefCell::new(h);
    let held = c.borrow_mut();
    if k == 5 {
        h += *c.borrow();
    }
    h + *held / (k - 3) + sorted[k as usize % 20] as u32
}

// Nor are the steps that only hand the location on.
// CHECK-NOT: core3fmt
// CHECK-NOT: panic_fmt
// CHECK-NOT: rust_begin_unwind
// CHECK: iu_entry_panics
// CHECK-NOT: core3fmt
// REPORT-NOT: "indirect": true
// REPORT-NOT: "recursive": true
// REPORT: "stackChecks": false
