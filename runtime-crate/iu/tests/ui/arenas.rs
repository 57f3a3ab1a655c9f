// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What is in an arena ends with the claim.
use iu::arena::Arena;
use iu::prelude::*;

static A: Arena<64, 1> = Arena::new();

fn outlives<'a>() -> iu::arena::Vec<'a, u8> {
    let scratch = A.claim().unwrap();
    scratch.vec(4).unwrap() //~ cannot return value referencing local variable `scratch`
}

fn kept() -> usize {
    let v = {
        let scratch = A.claim().unwrap();
        scratch.vec::<u8>(4).unwrap() //~ `scratch` does not live long enough
    };
    v.len()
}

fn two_ways() {
    let scratch = A.claim().unwrap();
    let mut v = scratch.vec::<u8>(4).unwrap();
    let first = v.first_mut();
    v.clear(); //~ cannot borrow `v` as mutable more than once
    let _ = first;
}

fn packet(mut ctx: XdpContext) {
    let scratch = A.claim().unwrap();
    let mut v = scratch.vec::<&[u8]>(1).unwrap();
    let _ = v.push(ctx.packet());
    let _ = ctx.adjust_head(1); //~ cannot borrow `ctx` as mutable
    let _ = v.pop();
}
