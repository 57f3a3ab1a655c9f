// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Events of the hooks other than XDP and TC, and what they look around at.

use std::net::IpAddr;
use std::string::{String, ToString};
use std::vec::Vec;

use super::{Packet, TcFrame, state};
use crate::args::{Args, Ret};
use crate::mem::{KernelPtr, UserPtr};
use crate::{
    CgroupAction, CgroupSkbContext, FentryContext, FexitContext, KprobeContext, KretprobeContext,
    LsmAction, LsmContext, PerfEventContext, Regs, SockAddrContext, SocketFilterAction,
    SocketFilterContext, TpBtfContext, TracepointContext, UprobeContext, abi,
};

/// The task that programs see as the current one.
#[derive(Clone, Debug)]
pub struct Task {
    /// Number of the process.
    pub pid: u32,
    /// Number of the thread.
    pub tid: u32,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Name; the first 15 bytes count.
    pub comm: String,
}

impl Default for Task {
    fn default() -> Task {
        Task { pid: 1, tid: 1, uid: 0, gid: 0, comm: "test".to_string() }
    }
}

/// Sets the current task of this world.
pub fn set_task(task: Task) {
    *state::lock(&state::world().task) = task;
}

/// Puts bytes at an address of the kernel, for programs to read. Up to the next multiple
/// of 64 zeros follow.
pub fn put_kernel(at: KernelPtr, bytes: &[u8]) {
    state::world().put_memory(false, at.addr(), bytes);
}

/// Puts bytes at an address of user space, as [`put_kernel`] does.
pub fn put_user(at: UserPtr, bytes: &[u8]) {
    state::world().put_memory(true, at.addr(), bytes);
}

/// Registers of the entry of a function with these arguments; at most six.
pub fn entry_regs(args: &[u64]) -> Regs {
    let a = |n: usize| args.get(n).copied().unwrap_or(0);
    assert!(args.len() <= 6, "six arguments are in registers");
    Regs { di: a(0), si: a(1), dx: a(2), cx: a(3), r8: a(4), r9: a(5), ..Regs::default() }
}

/// Registers of the return of a function that returns this.
pub fn return_regs(ret: u64) -> Regs {
    Regs { ax: ret, ..Regs::default() }
}

/// Runs a kprobe.
pub fn kprobe(regs: Regs, program: impl FnOnce(KprobeContext<'_>)) {
    state::run_kprobe(&mut { regs }, program)
}

/// Runs a kretprobe.
pub fn kretprobe(regs: Regs, program: impl FnOnce(KretprobeContext<'_>)) {
    state::run_kretprobe(&mut { regs }, program)
}

/// Runs a uprobe.
pub fn uprobe(regs: Regs, program: impl FnOnce(UprobeContext<'_>)) {
    state::run_uprobe(&mut { regs }, program)
}

/// A sample of a perf event.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Registers that it interrupted.
    pub regs: Regs,
    /// Whether in user space.
    pub user: bool,
    /// Its period.
    pub period: u64,
    /// Its address, or 0.
    pub addr: u64,
}

/// Runs a program on a sample.
pub fn perf_event(sample: Sample, program: impl FnOnce(PerfEventContext<'_>)) {
    let Sample { regs, user, period, addr } = sample;
    let mut ctx = abi::CtxPerfEvent { regs: &regs, period, addr, user: user.into(), reserved: 0 };
    state::run_perf_event(&mut ctx, program)
}

/// Runs a tracepoint's program on a record: bytes from offset 8 of its format on, of
/// which the first `fixed` bytes of the whole are its fixed part and what follows is
/// where the offsets of dynamic fields lead.
pub fn tracepoint(record: &[u8], fixed: usize, program: impl FnOnce(TracepointContext<'_>)) {
    let whole: Vec<u8> = [&[0; 8], record].concat();
    assert!((8..=whole.len()).contains(&fixed), "the fixed part is not in the record");
    let at = whole.as_ptr() as u64;
    put_kernel(KernelPtr::new(at), &whole);
    let mut copy = whole[..fixed].to_vec();
    copy[..8].copy_from_slice(&at.to_ne_bytes());
    let mut ctx = abi::CtxRecord { data: copy.as_ptr(), len: fixed as u32, reserved: 0 };
    state::run_tracepoint(&mut ctx, program)
}

fn words(args: &[u64], ret: u64) -> abi::CtxArgs {
    abi::CtxArgs { args: args.as_ptr(), count: args.len() as u32, reserved: 0, ret }
}

/// Runs an fentry program.
pub fn fentry<A: Args>(args: &[u64], program: impl FnOnce(FentryContext<'_, A>)) {
    state::run_fentry(&mut words(args, 0), program)
}

/// Runs an fexit program.
pub fn fexit<A: Args, R: Ret>(
    args: &[u64],
    ret: u64,
    program: impl FnOnce(FexitContext<'_, A, R>),
) {
    state::run_fexit(&mut words(args, ret), program)
}

/// Runs a tp_btf program.
pub fn tp_btf<A: Args>(args: &[u64], program: impl FnOnce(TpBtfContext<'_, A>)) {
    state::run_tp_btf(&mut words(args, 0), program)
}

/// Runs an lsm program.
pub fn lsm<A: Args>(
    args: &[u64],
    program: impl FnOnce(LsmContext<'_, A>) -> LsmAction,
) -> LsmAction {
    state::run_lsm(&mut words(args, 0), program)
}

/// An address that a socket hands to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SockAddr {
    /// The address.
    pub ip: IpAddr,
    /// The port.
    pub port: u16,
    /// `SOCK_*`.
    pub socket_type: u16,
    /// `IPPROTO_*`.
    pub protocol: u16,
}

impl SockAddr {
    /// The address of a TCP socket.
    pub fn tcp(ip: impl Into<IpAddr>, port: u16) -> SockAddr {
        SockAddr { ip: ip.into(), port, socket_type: 1, protocol: 6 }
    }

    /// Runs a program on it; what it changed is changed afterwards.
    pub fn run(
        &mut self,
        program: impl FnOnce(SockAddrContext<'_>) -> CgroupAction,
    ) -> CgroupAction {
        let mut addr = [0; 16];
        let family = match self.ip {
            IpAddr::V4(ip) => {
                addr[..4].copy_from_slice(&ip.octets());
                2
            }
            IpAddr::V6(ip) => {
                addr = ip.octets();
                10
            }
        };
        let mut ctx = abi::CtxSockAddr {
            family,
            socket_type: self.socket_type,
            protocol: self.protocol,
            port: self.port.to_be(),
            addr,
            changed: 0,
        };
        let verdict = state::run_sock_addr(&mut ctx, program);
        if ctx.changed != 0 {
            self.port = u16::from_be(ctx.port);
            self.ip = match ctx.addr {
                [a, b, c, d, ..] if family == 2 => IpAddr::from([a, b, c, d]),
                all => IpAddr::from(all),
            };
        }
        verdict
    }
}

impl Packet {
    /// Runs a cgroup_skb program on it. Its bytes start with the IP header.
    ///
    /// # Panics
    /// If the program panics.
    pub fn cgroup_skb(
        &self,
        program: impl FnOnce(CgroupSkbContext<'_>) -> CgroupAction,
    ) -> CgroupAction {
        state::run_cgroup_skb(&mut TcFrame::new(self), program)
    }

    /// Runs a socket filter on it. Its bytes start with what the socket sees first.
    ///
    /// # Panics
    /// If the program panics.
    pub fn socket_filter(
        &self,
        program: impl FnOnce(SocketFilterContext<'_>) -> SocketFilterAction,
    ) -> SocketFilterAction {
        state::run_socket_filter(&mut TcFrame::new(self), program)
    }
}
