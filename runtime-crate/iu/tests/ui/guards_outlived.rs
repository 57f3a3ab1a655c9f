// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
use iu::prelude::*;

#[map]
static M: LockedArray<u64, 1> = LockedArray::new();

fn f() {
    let kept = {
        let g = M.lock(0).unwrap();
        &*g //~ `g` does not live long enough
    };
    let _ = *kept;
}

fn out(g: iu::map::Guard<'_, u64>) -> &u64 {
    &g //~ cannot return reference to function parameter
}
