//! The only panics are bounds checks: no formatting is left, no stack check, no
//! poll but on the loop over the packet; the object has only what iu_abi.h allows.
// RUN: %rust %s %t
// RUN: llvm-readelf -SW %t.o | FileCheck --check-prefix=SECTIONS %s
// RUN: llvm-nm -u %t.o | FileCheck --check-prefix=UNDEFINED %s
// RUN: llvm-objdump -dr --no-show-raw-insn %t.o | FileCheck --check-prefix=CODE %s
// RUN: FileCheck --check-prefix=REPORT %s <%t.json
#![no_std]
#[path = "common/marker.rs"]
#[macro_use]
mod marker;

program!("bounds", bounds);

fn bounds(p: &[u8]) -> u32 {
    let mut table = [0u32; 16];
    for i in 0..64 {
        table[i % 16] += p[i] as u32;
    }
    let mut sum = table[p[5] as usize & 15];
    for b in p {
        sum = sum.rotate_left(3) ^ *b as u32;
    }
    sum + p[p[0] as usize] as u32 + p[p[1] as usize..].len() as u32
}

// SECTIONS-NOT: .eh_frame
// SECTIONS-NOT: .note
// SECTIONS-NOT: .comment
// SECTIONS-DAG: .text PROGBITS
// SECTIONS-DAG: .iu.prog PROGBITS {{[0-9a-f]+ [0-9a-f]+}} 000040 00 A
// SECTIONS-DAG: .iu.info PROGBITS {{[0-9a-f]+ [0-9a-f]+}} 0000a0 00 A
// SECTIONS-NOT: .text.unlikely

// UNDEFINED: U __x86_return_thunk
// UNDEFINED-NEXT: U iu_rt_fuel
// UNDEFINED-NEXT: U iu_rt_panic
// UNDEFINED-NEXT: U iu_rt_poll
// UNDEFINED-NOT: U

// CODE-NOT: core3fmt
// CODE-NOT: xmm
// CODE-NOT: call{{.*}}*%
// CODE: <iu_entry_bounds>:
// CODE-NEXT: endbr64
// CODE: __x86_return_thunk
// CODE-NOT: retq

// REPORT-NOT: "indirect": true
// REPORT: "at": "rust/bounds.rs:21:{{[0-9]+}}",
// REPORT-NEXT: "polled": true,
// REPORT-NEXT: "why": "no constant bound is known"
// REPORT: "at": "rust/bounds.rs:21:{{[0-9]+}}",
// REPORT-NEXT: "polled": false,
// REPORT-NEXT: "why": "at most 7 iterations of 1 units"
// REPORT: "at": "rust/bounds.rs:17:{{[0-9]+}}",
// REPORT-NEXT: "polled": false,
// REPORT-NEXT: "why": "at most {{[0-9]+}} iterations
// REPORT: "polls": true,
// REPORT-NEXT: "stackChecks": false
