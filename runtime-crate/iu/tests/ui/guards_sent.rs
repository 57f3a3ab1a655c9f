// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What a run holds belongs to its CPU, and cannot be kept in a static or copied.
use iu::arena::Arena;
use iu::guard::{IrqsOff, Rcu};
use iu::prelude::*;

#[map]
static L: LockedArray<u64, 1> = LockedArray::new();
#[map]
static R: RingBuf<4096> = RingBuf::new();
static A: Arena<64, 1> = Arena::new();

fn send<T: Send>(_: T) {}
fn share<T: Sync>(_: T) {}
fn copy<T: Clone>(_: T) {}

fn f() {
    send(R.reserve::<u64>()); //~ cannot be sent between threads safely
    send(R.reserve::<u64>().map(|r| r.write(1))); //~ cannot be sent between threads safely
    send(A.claim()); //~ cannot be sent between threads safely
    send(IrqsOff::new()); //~ cannot be sent between threads safely
    send(Rcu::new()); //~ cannot be sent between threads safely
    share(A.claim()); //~ cannot be shared between threads safely
    share(L.lock(0)); //~ cannot be shared between threads safely
    copy(IrqsOff::new()); //~ Clone
    copy(R.reserve::<u64>()); //~ Clone
    copy(A.claim()); //~ Clone
}

static KEPT: Option<IrqsOff> = None; //~ cannot be shared between threads safely
