// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
use iu::prelude::*;

fn f() {
    let _ = XdpContext { raw: 0 }; //~ error
    let _ = XdpContext::new(0); //~ private
    let _ = iu::__private::XdpEntry(core::ptr::NonNull::dangling()); //~ private
}

fn forges_probe() -> KprobeContext<'static> {
    KprobeContext { raw: 0 } //~ error
}

fn forges_arguments() -> FentryContext<'static, (u64,)> {
    FentryContext::new(todo!()) //~ private
}
