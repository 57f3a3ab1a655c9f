// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
use iu::prelude::*;

struct Mine;
impl Mine {
    const fn __named(self, _: &str) -> Mine {
        Mine
    }
}

#[map]
static A: Mine = Mine; //~ `Mine` is not a map

#[map]
static mut B: Array<u8, 1> = Array::new(); //~ the static is not `mut`

#[map]
static C: Array<u8, 1>; //~ a map has an initial value

#[map]
static A_NAME_THAT_IS_LONGER_THAN_31_BYTES: Array<u8, 1> = Array::new(); //~ is not a name

#[map(name = "Upper")] //~ is not a name
static D: Array<u8, 1> = Array::new();
