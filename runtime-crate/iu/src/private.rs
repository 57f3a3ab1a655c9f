// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! What the macros refer to. Not an API: it changes with the macros. It is all
//! safe to call, since only the runtime has an entry pointer.

pub use crate::abi::Marker;
use crate::abi::{hook, name};
pub use crate::kernel::KernelReloc;
pub use crate::map::IsMap;
pub use crate::param::{IsParam, ParamValue};
pub use crate::sys::packet::{TcEntry, XdpEntry};
use crate::{TcAction, TcContext, XdpAction, XdpContext};

/// C entry of an XDP program.
pub type XdpFn = extern "C" fn(XdpEntry) -> u32;
/// C entry of a TC program.
pub type TcFn = extern "C" fn(TcEntry) -> u32;

/// Calls the program with the context of this call. The closure takes any
/// lifetime, so the context cannot be kept.
#[inline(always)]
pub fn run_xdp(entry: XdpEntry, f: impl FnOnce(XdpContext<'_>) -> XdpAction) -> u32 {
    f(XdpContext::new(entry.into_packet())) as u32
}

/// As [`run_xdp`].
#[inline(always)]
pub fn run_tc(entry: TcEntry, f: impl FnOnce(TcContext<'_>) -> TcAction) -> u32 {
    f(TcContext::new(entry.into_packet())) as i32 as u32
}

/// Marker of an XDP program.
pub const fn xdp_marker(n: &str, on_fault: XdpAction, func: XdpFn) -> Marker<XdpFn> {
    Marker { name: name(n), hook: hook::XDP, on_fault: on_fault as i32, func }
}

/// Marker of a TC program.
pub const fn tc_marker(n: &str, on_fault: TcAction, func: TcFn) -> Marker<TcFn> {
    Marker { name: name(n), hook: hook::TC, on_fault: on_fault as i32, func }
}
