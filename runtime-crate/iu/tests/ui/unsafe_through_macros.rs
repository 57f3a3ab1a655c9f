// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Tokens of the user are never inside of generated unsafe code.
use iu::prelude::*;

const unsafe fn zero() -> u16 { //~ declaration of an `unsafe` function
    0
}

#[param(default = zero())] //~ call to unsafe function
static PORT: Param<u16>;

#[map]
static M: Array<u64, { zero() as u32 + 1 }> = Array::new(); //~ call to unsafe function

fn f() {
    iu::info!("{}", zero()); //~ call to unsafe function
}
