// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Types of the kernel are made of names and plain types, and nothing else gets in.

use iu::{kconfig, kernel_enum, kernel_size, kernel_struct};

kernel_struct! {
    struct fine {
        a: u32,
        b.c as d: [u8; 4],
        next: *fine,
        inside?: &fine,
    }
}

fn not_data(f: fine) -> Result<u32, iu::Errno> {
    f.a()?;
    f.next()?.inside().map(|i| i.d());
    f.e() //~ no method named `e`
}

kernel_struct! {
    struct reference {
        text: Option<u8>, //~ is not plain data
    }
}

kernel_struct! {
    struct pointer {
        to: *u32, //~ the trait bound `u32: iu::kernel::Type` is not satisfied
    }
}

kernel_struct! {
    struct hidden {
        len: [u8; unsafe { 4 }], //~ usage of an `unsafe` block
    }
}

kernel_struct! {
    struct long {
        this_name_is_longer_than_any_that_the_kernel_has_and_than_the_abi_allows: u32, //~ more than 63 bytes
    }
}

kernel_struct! {
    tracepoint "sched_switch" as Switch { pid: i32 } //~ a tracepoint is "system/event"
}

fn numbers() {
    let _: bool = kconfig!(SMP);
    let _: Option<u64> = kconfig!(HZ: u64);
    let _: usize = kernel_size!(struct sk_buff);
    let _: Option<i64> = kernel_enum!(enum tcp_ca_state, TCP_CA_CWR?);
    kconfig!(CONFIG_SMP); //~ without CONFIG_
    kconfig!(HZ: u32); //~ a u64
    kernel_size!(enum x); //~ expected `struct` or `union`
    let _ = iu::kernel::KernelReloc(0); //~ private
}
