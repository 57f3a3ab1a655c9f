// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Hooks that watch have no verdict, contexts fit their hooks, and arguments are of
//! the types that the loader can compare.
use iu::prelude::*;

#[kprobe]
fn fits(_: KprobeContext) {}

#[fexit]
fn fits_too(_: FexitContext<(i32, KernelPtr), bool>) {}

#[kprobe(on_fault = pass)] //~ programs of this hook have no verdict
fn verdict(_: KprobeContext) {}

#[kprobe]
fn other_context(_: KretprobeContext) {} //~ mismatched types

#[uprobe]
fn kernel_context(_: KprobeContext) {} //~ mismatched types

#[tp_btf]
fn record(_: TracepointContext) {} //~ mismatched types

#[kprobe]
fn answers(_: KprobeContext) -> u32 { //~ mismatched types
    0
}

#[lsm]
fn no_answer(_: LsmContext) {} //~ a program is `fn no_answer(ctx: LsmContext) -> LsmAction`

#[fentry] //~ cannot be an argument of a kernel function
fn floats(_: FentryContext<(f64,)>) {} //~ cannot be an argument of a kernel function

#[fentry] //~ cannot be an argument of a kernel function
fn references(_: FentryContext<(&'static u8,)>) {} //~ cannot be an argument of a kernel function
