// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! The macros of the crate `iu`, which re-exports and so documents them.
//!
//! Rules that keep an extension's `#![forbid(unsafe_code)]` honest:
//! - tokens of the user never stand inside generated `unsafe`: the only unsafe
//!   things generated are `link_section` attributes on generated statics;
//! - those carry the macro's own span (so the lint sees the macro's code, not the
//!   user's), while the user's tokens keep theirs (so it sees the user's `unsafe`,
//!   and errors point at it);
//! - what goes into a section that the runtime trusts is of a sealed type.

#![deny(missing_docs)]

mod hook;
mod kernel;
mod log;
mod statics;

use proc_macro::TokenStream;

/// Makes a function a program at the XDP hook.
///
/// ```ignore
/// #[xdp(on_fault = pass)]
/// fn name(ctx: XdpContext) -> XdpAction { … }
/// ```
///
/// `on_fault`, the verdict when the program panics or is ended, is `aborted`, `drop`,
/// `pass` (the default) or `tx`. `name = "…"` replaces the function's name.
#[proc_macro_attribute]
pub fn xdp(args: TokenStream, item: TokenStream) -> TokenStream {
    expand(hook::expand(&hook::XDP, args.into(), item.into()))
}

/// Makes a function a program at the TC hook.
///
/// ```ignore
/// #[tc(on_fault = unspec)]
/// fn name(ctx: TcContext) -> TcAction { … }
/// ```
///
/// `on_fault` is `unspec` (the default; also `pass`), `ok`, `pipe` or `shot` (also `drop`).
/// `name = "…"` replaces the function's name.
#[proc_macro_attribute]
pub fn tc(args: TokenStream, item: TokenStream) -> TokenStream {
    expand(hook::expand(&hook::TC, args.into(), item.into()))
}

/// Makes a function a program at a kernel function's entry, or at any instruction of the kernel.
///
/// ```ignore
/// #[kprobe]
/// fn name(ctx: KprobeContext) { … }
/// ```
///
/// `name = "…"` replaces the function's name.
#[proc_macro_attribute]
pub fn kprobe(args: TokenStream, item: TokenStream) -> TokenStream {
    expand(hook::expand(&hook::KPROBE, args.into(), item.into()))
}

/// Makes a function a program at a kernel function's return.
///
/// ```ignore
/// #[kretprobe]
/// fn name(ctx: KretprobeContext) { … }
/// ```
///
/// `name = "…"` replaces the function's name.
#[proc_macro_attribute]
pub fn kretprobe(args: TokenStream, item: TokenStream) -> TokenStream {
    expand(hook::expand(&hook::KRETPROBE, args.into(), item.into()))
}

/// Makes a function a program at an instruction, or a function's return, of a program in user space.
///
/// ```ignore
/// #[uprobe]
/// fn name(ctx: UprobeContext) { … }
/// ```
///
/// `name = "…"` replaces the function's name.
#[proc_macro_attribute]
pub fn uprobe(args: TokenStream, item: TokenStream) -> TokenStream {
    expand(hook::expand(&hook::UPROBE, args.into(), item.into()))
}

/// Makes a function a program at a tracepoint, with its record.
///
/// ```ignore
/// #[tracepoint]
/// fn name(ctx: TracepointContext) { … }
/// ```
///
/// `name = "…"` replaces the function's name.
#[proc_macro_attribute]
pub fn tracepoint(args: TokenStream, item: TokenStream) -> TokenStream {
    expand(hook::expand(&hook::TRACEPOINT, args.into(), item.into()))
}

/// Makes a function a program at the samples of a perf event.
///
/// ```ignore
/// #[perf_event]
/// fn name(ctx: PerfEventContext) { … }
/// ```
///
/// `name = "…"` replaces the function's name.
#[proc_macro_attribute]
pub fn perf_event(args: TokenStream, item: TokenStream) -> TokenStream {
    expand(hook::expand(&hook::PERF_EVENT, args.into(), item.into()))
}

/// Makes a function a program at a kernel function's entry, with typed arguments.
///
/// ```ignore
/// #[fentry]
/// fn name(ctx: FentryContext<(i32, KernelPtr)>) { … }
/// ```
///
/// `name = "…"` replaces the function's name.
#[proc_macro_attribute]
pub fn fentry(args: TokenStream, item: TokenStream) -> TokenStream {
    expand(hook::expand(&hook::FENTRY, args.into(), item.into()))
}

/// Makes a function a program at a kernel function's return, with typed arguments and return value.
///
/// ```ignore
/// #[fexit]
/// fn name(ctx: FexitContext<(i32, KernelPtr), i32>) { … }
/// ```
///
/// `name = "…"` replaces the function's name.
#[proc_macro_attribute]
pub fn fexit(args: TokenStream, item: TokenStream) -> TokenStream {
    expand(hook::expand(&hook::FEXIT, args.into(), item.into()))
}

/// Makes a function a program at a tracepoint, with its typed arguments.
///
/// ```ignore
/// #[tp_btf]
/// fn name(ctx: TpBtfContext<(bool, KernelPtr)>) { … }
/// ```
///
/// `name = "…"` replaces the function's name.
#[proc_macro_attribute]
pub fn tp_btf(args: TokenStream, item: TokenStream) -> TokenStream {
    expand(hook::expand(&hook::TP_BTF, args.into(), item.into()))
}

/// Makes a function a program at a hook of the Linux security modules.
///
/// ```ignore
/// #[lsm]
/// fn name(ctx: LsmContext<(KernelPtr,)>) -> LsmAction { … }
/// ```
///
/// `on_fault` is `allow` (the default) or `deny`.
/// `name = "…"` replaces the function's name.
#[proc_macro_attribute]
pub fn lsm(args: TokenStream, item: TokenStream) -> TokenStream {
    expand(hook::expand(&hook::LSM, args.into(), item.into()))
}

/// Makes a function a program at the packets of a cgroup's sockets.
///
/// ```ignore
/// #[cgroup_skb]
/// fn name(ctx: CgroupSkbContext) -> CgroupAction { … }
/// ```
///
/// `on_fault` is `allow` (the default) or `deny`.
/// `name = "…"` replaces the function's name.
#[proc_macro_attribute]
pub fn cgroup_skb(args: TokenStream, item: TokenStream) -> TokenStream {
    expand(hook::expand(&hook::CGROUP_SKB, args.into(), item.into()))
}

/// Makes a function a program at the addresses that a cgroup's sockets bind, connect or send to.
///
/// ```ignore
/// #[cgroup_sock_addr]
/// fn name(ctx: SockAddrContext) -> CgroupAction { … }
/// ```
///
/// `on_fault` is `allow` (the default) or `deny`.
/// `name = "…"` replaces the function's name.
#[proc_macro_attribute]
pub fn cgroup_sock_addr(args: TokenStream, item: TokenStream) -> TokenStream {
    expand(hook::expand(&hook::CGROUP_SOCK_ADDR, args.into(), item.into()))
}

/// Makes a function a program that filters the packets of a socket.
///
/// ```ignore
/// #[socket_filter]
/// fn name(ctx: SocketFilterContext) -> SocketFilterAction { … }
/// ```
///
/// `on_fault` is `keep` (the default) or `drop`.
/// `name = "…"` replaces the function's name.
#[proc_macro_attribute]
pub fn socket_filter(args: TokenStream, item: TokenStream) -> TokenStream {
    expand(hook::expand(&hook::SOCKET_FILTER, args.into(), item.into()))
}

/// Declares a map.
///
/// ```ignore
/// #[map]
/// static CACHE: Array<u64, 256> = Array::new();
/// ```
///
/// Its name is the static's in lower case, or `name = "…"`: 1 to 31 of `a-z`, `0-9`, `_`.
#[proc_macro_attribute]
pub fn map(args: TokenStream, item: TokenStream) -> TokenStream {
    expand(statics::map(args.into(), item.into()))
}

/// Declares a parameter, set at install with `--set name=value`.
///
/// ```ignore
/// #[param(default = 11211, min = 1, max = 65535)]
/// static PORT: Param<u16>;
/// ```
///
/// `min` and `max`, inclusive, default to the type's. The name is as for `map`.
#[proc_macro_attribute]
pub fn param(args: TokenStream, item: TokenStream) -> TokenStream {
    expand(statics::param(args.into(), item.into()))
}

/// Makes a struct plain data, fit for the keys and values of maps: `repr(C)`,
/// `Clone`, `Copy`, and zerocopy's `FromBytes`, `IntoBytes`, `Immutable`,
/// `KnownLayout`. Its fields leave no padding.
#[proc_macro_attribute]
pub fn plain(args: TokenStream, item: TokenStream) -> TokenStream {
    expand(statics::plain(args.into(), item.into()))
}

/// Types of the kernel, whose members are found when the extension is loaded.
///
/// ```ignore
/// kernel_struct! {
///     /// A task.
///     pub struct task_struct {
///         pid: i32,                      // read as an integer of at most 4 bytes, or a bit field
///         comm: [u8; 16],                // plain data of exactly this size
///         real_parent as parent: *task_struct, // a pointer
///         se: &sched_entity,             // what is inside: its address
///         se.vruntime: u64,              // a member of a member
///         new_member?: u32,              // None where a kernel has none
///     }
///     pub tracepoint "sched/sched_switch" as SchedSwitch { next_pid: i32 }
/// }
/// ```
///
/// Each is a type that holds an address (see `iu::kernel`) with a method for each member:
/// `fn pid(self) -> Result<i32, Errno>`. Members that a program reads and that are not
/// marked `?` are requirements of the extension.
#[proc_macro]
pub fn kernel_struct(input: TokenStream) -> TokenStream {
    expand(kernel::structs(input.into()))
}

/// An option of the kernel's configuration: `kconfig!(NUMA)` is whether it is `y` or `m`,
/// `kconfig!(HZ: u64)` its number, `None` if it is not set.
#[proc_macro]
pub fn kconfig(input: TokenStream) -> TokenStream {
    expand(kernel::config(input.into()))
}

/// Bytes of a type of the kernel, a `usize`: `kernel_size!(struct sk_buff)`. With `?`, an
/// `Option`.
#[proc_macro]
pub fn kernel_size(input: TokenStream) -> TokenStream {
    expand(kernel::size(input.into()))
}

/// Value of an enumerator of the kernel, an `i64`: `kernel_enum!(enum tcp_ca_state,
/// TCP_CA_CWR)`. With `?`, an `Option`.
#[proc_macro]
pub fn kernel_enum(input: TokenStream) -> TokenStream {
    expand(kernel::enumerator(input.into()))
}

/// Logs a line as an error: `error!("no room for {} bytes", n)`.
#[proc_macro]
pub fn error(args: TokenStream) -> TokenStream {
    expand(log::expand("Error", args.into()))
}

/// Logs a line as a warning.
#[proc_macro]
pub fn warn(args: TokenStream) -> TokenStream {
    expand(log::expand("Warn", args.into()))
}

/// Logs a line as information.
#[proc_macro]
pub fn info(args: TokenStream) -> TokenStream {
    expand(log::expand("Info", args.into()))
}

/// Logs a line for debugging.
#[proc_macro]
pub fn debug(args: TokenStream) -> TokenStream {
    expand(log::expand("Debug", args.into()))
}

fn expand(result: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    result.unwrap_or_else(|e| e.to_compile_error()).into()
}
