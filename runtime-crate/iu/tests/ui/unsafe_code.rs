// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
fn f(p: *const u8) -> u8 {
    unsafe { *p } //~ usage of an `unsafe` block
}

unsafe fn g() {} //~ declaration of an `unsafe` function

#[unsafe(no_mangle)] //~ declaration of a `no_mangle` function
pub fn h() {}

macro_rules! hidden {
    () => {
        unsafe { g() } //~ usage of an `unsafe` block
    };
}

pub fn i() -> u8 {
    hidden!();
    f(core::ptr::null())
}
