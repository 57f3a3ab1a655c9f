// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Two lookups of one key, and a value kept over a removal: values are copies, so there is
// nothing to alias and nothing to use after it is gone.
use iu::prelude::*;

#[map]
static M: HashMap<u32, u64, 4> = HashMap::new();
#[map]
static L: LockedArray<u64, 1> = LockedArray::new();

fn no_reference_to_a_value() {
    let a: &mut u64 = M.get(&1).unwrap(); //~ mismatched types
    let b: &u64 = M.get(&1).unwrap(); //~ mismatched types
    let _ = (a, b);
}

fn one_way_to_a_locked_value() {
    let mut g = L.lock(0).unwrap();
    let a = &mut *g;
    let b = &mut *g; //~ cannot borrow `g` as mutable more than once
    *a = 1;
    *b = 2;
}

fn gone_with_the_lock() {
    let mut g = L.lock(0).unwrap();
    let v = &mut *g;
    drop(g); //~ cannot move out of `g` because it is borrowed
    *v = 1;
}
