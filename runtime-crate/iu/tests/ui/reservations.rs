// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// A reservation is written before it is submitted, submitted once, and holds plain data.
use iu::prelude::*;

#[map]
static R: RingBuf<4096> = RingBuf::new();

struct Padded(u8, u32);

fn unwritten() {
    let room = R.reserve::<u64>().unwrap();
    room.submit(); //~ no method named `submit`
}

fn twice() {
    let record = R.reserve::<u64>().unwrap().write(1);
    record.submit();
    record.submit(); //~ use of moved value
}

fn read_after() -> u64 {
    let record = R.reserve::<u64>().unwrap().write(1);
    let v: &u64 = &record;
    record.submit(); //~ cannot move out of `record` because it is borrowed
    *v
}

fn padding() {
    let _ = R.reserve::<Padded>(); //~ `Padded` is not plain data
}

fn outlives<'a>() -> &'a u64 {
    let record = R.reserve::<u64>().unwrap().write(1);
    let v: &u64 = &record;
    v //~ cannot return value referencing local variable `record`
}

#[map]
static ODD: RingBuf<5000> = RingBuf::new(); //~ a power of two and pages
