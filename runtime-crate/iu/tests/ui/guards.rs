// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
use iu::prelude::*;

#[map]
static M: LockedArray<u64, 1> = LockedArray::new();

fn send<T: Send>(_: T) {}
fn copy<T: Copy>(_: T) {}

fn f() {
    send(M.lock(0)); //~ cannot be sent between threads safely
    copy(M.lock(0)); //~ Copy
}
