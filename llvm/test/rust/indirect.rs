//! Calls of function pointers go through the retpoline's thunks, to functions that
//! begin with ENDBR64; whoever makes them checks its stack. Recursion polls.
// RUN: %rust %s %t
// RUN: llvm-nm -u %t.o | FileCheck --check-prefix=UNDEFINED %s
// RUN: llvm-objdump -dr --no-show-raw-insn %t.o | FileCheck --check-prefix=CODE %s
// RUN: FileCheck --check-prefix=REPORT %s <%t.json
#![no_std]
#[path = "common/marker.rs"]
#[macro_use]
mod marker;

program!("indirect", indirect);

trait Op {
    fn go(&self, x: u32) -> u32;
}
struct Mul(u32);
struct Rot(u32);
struct Sum(u8);
impl Op for Mul {
    fn go(&self, x: u32) -> u32 {
        x.wrapping_mul(self.0)
    }
}
impl Op for Rot {
    fn go(&self, x: u32) -> u32 {
        x.rotate_left(self.0)
    }
}
impl Op for Sum {
    fn go(&self, x: u32) -> u32 {
        tree(self.0, x)
    }
}

#[inline(never)]
fn tree(depth: u8, x: u32) -> u32 {
    if depth == 0 { x } else { tree(depth - 1, x ^ 5).wrapping_add(tree(depth - 1, x | 1)) }
}

static OPS: [&(dyn Op + Sync); 3] = [&Mul(7), &Rot(3), &Sum(9)];

fn indirect(p: &[u8]) -> u32 {
    // A switch over many cases: no jump table.
    let k = match p[1] {
        0 => p[2],
        1 => p[3].wrapping_mul(3),
        2 => p[4] ^ 7,
        3 => p[5].rotate_left(2),
        4 => p[6].wrapping_add(p[7]),
        5 => p[7] | 3,
        6 => p[8] & 15,
        _ => 0,
    };
    OPS[p[0] as usize % 3].go(k as u32)
}

// UNDEFINED: U __x86_indirect_thunk_{{r[a-z0-9]+}}
// UNDEFINED: U __x86_return_thunk
// UNDEFINED: U iu_rt_stack_overflow

// CODE-NOT: {{(call|jmp)q? +\*}}
// CODE-NOT: notrack
// CODE: {{.*Mul.*go.*}}>:
// CODE-NEXT: endbr64

// REPORT: "entryPoll": true,
// REPORT: "recursive": true,
// REPORT-NEXT: "stackCheck": true,
// REPORT: "stackChecks": true
