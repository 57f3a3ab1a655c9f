// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Contexts of the hooks that watch, of cgroups and of sockets, in user space.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::panic::catch_unwind;

use iu::host::{self, Packet, SockAddr, Task};
use iu::prelude::*;

#[map]
static SEEN: Array<u64, 8> = Array::new();

#[kprobe]
fn at_entry(ctx: KprobeContext) {
    let _ = SEEN.set(0, ctx.arg::<u64>(0));
    let _ = SEEN.set(1, i64::from(ctx.arg::<i32>(1)) as u64);
    let _ = SEEN.set(2, ctx.arg::<KernelPtr>(2).read::<u64>().unwrap_or(7));
    let _ = SEEN.set(3, ctx.regs().ip);
}

#[test]
fn kprobes_see_arguments_and_memory() {
    host::put_kernel(KernelPtr::new(0xffff_8000_0000_1000), &[1, 0, 0, 0, 0, 0, 0, 1, 9]);
    let args = [u64::MAX, 0xdead_beef_ffff_fffe, 0xffff_8000_0000_1000];
    host::kprobe(host::entry_regs(&args), at_entry);
    let seen: Vec<_> = (0..4).map(|i| SEEN.get(i).unwrap()).collect();
    assert_eq!(seen, [u64::MAX, -2i64 as u64, 0x0100_0000_0000_0001, 0]);
    // One byte less than a word is left there.
    host::kprobe(host::entry_regs(&[0, 0, 0xffff_8000_0000_1039]), at_entry);
    assert_eq!(SEEN.get(2), Some(7));
}

#[kprobe]
fn too_many(ctx: KprobeContext) {
    let _ = ctx.arg::<u64>(6);
}

#[test]
fn only_six_arguments_are_in_registers() {
    assert!(catch_unwind(|| host::kprobe(host::entry_regs(&[]), too_many)).is_err());
}

#[kretprobe]
fn at_return(ctx: KretprobeContext) {
    let _ = SEEN.set(0, u64::from(ctx.ret::<i32>() == -1));
}

#[uprobe]
fn in_user_space(ctx: UprobeContext) {
    let mut b = [0xff; 8];
    let s = ctx.arg::<UserPtr>(0).read_str(&mut b).map(|s| s.len() as u64);
    let _ = SEEN.set(1, s.unwrap_or(99));
}

#[test]
fn returns_and_strings() {
    host::kretprobe(host::return_regs(0xffff_ffff), at_return);
    assert_eq!(SEEN.get(0), Some(1));
    let at = UserPtr::new(0x1000);
    for (at, bytes, want) in [
        (0x1000, &b"four\0more"[..], 4),
        (0x1000, b"longer than eight", 8),
        (0x1000, b"\0", 0),
        (0x103a, b"no end", 99), // of a piece of 64 bytes
    ] {
        host::put_user(UserPtr::new(at), bytes);
        host::uprobe(host::entry_regs(&[at]), in_user_space);
        assert_eq!(SEEN.get(1), Some(want), "{bytes:?}");
    }
    // What is in user space is not in the kernel.
    assert_eq!(KernelPtr::new(0x1000).read::<u8>(), Err(Errno::FAULT));
    assert!(UserPtr::new(0).is_null() && at.offset(-1).addr() == 0xfff);
}

#[tracepoint]
fn at_record(ctx: TracepointContext) {
    assert_eq!(ctx.len(), 20);
    assert_eq!(ctx.field::<u32>(8), Some(5));
    assert_eq!(ctx.field::<u32>(17), None);
    assert_eq!(ctx.field::<u32>(4), None);
    assert_eq!(ctx.field::<u64>(usize::MAX), None);
    let (at, len) = ctx.dynamic(12).unwrap();
    let mut name = [0; 16];
    assert_eq!((at.read_str(&mut name[..5]), len), (Ok(&b"name"[..]), 5));
    let _ = SEEN.set(0, 1);
}

#[test]
fn tracepoints_have_fields_and_dynamic_data() {
    // offset 8: u32 5; 12: __data_loc to 20, 5 bytes; 16: u32; 20: "name".
    let mut record = Vec::new();
    for word in [5u32, 5 << 16 | 20, 0] {
        record.extend(word.to_ne_bytes());
    }
    record.extend(b"name\0");
    host::tracepoint(&record, 20, at_record);
    assert_eq!(SEEN.get(0), Some(1));
}

#[perf_event]
fn at_sample(ctx: PerfEventContext) {
    assert!(ctx.user());
    assert_eq!((ctx.period(), ctx.addr(), ctx.regs().ip), (1000, 0, 0x400000));
    let _ = SEEN.set(0, u64::from(task::pid()));
}

#[test]
fn samples_and_tasks() {
    host::set_task(Task { pid: 42, tid: 43, uid: 44, gid: 45, comm: "a name that is long".into() });
    let regs = Regs { ip: 0x400000, ..Regs::default() };
    host::perf_event(host::Sample { regs, user: true, period: 1000, addr: 0 }, at_sample);
    assert_eq!(SEEN.get(0), Some(42));
    assert_eq!((task::tid(), task::uid(), task::gid()), (43, 44, 45));
    assert_eq!(&task::comm(), b"a name that is \0");
}

use iu::Regs;

#[fentry]
fn typed_entry(ctx: FentryContext<(i8, bool, KernelPtr)>) {
    assert_eq!(ctx.args(), (-1, true, KernelPtr::new(8)));
    assert_eq!((ctx.count(), ctx.word(3), ctx.word(4)), (4, Some(9), None));
    let _ = SEEN.fetch_add(0, 1);
}

#[fexit]
fn typed_exit(ctx: FexitContext<(u32,), i64>) {
    assert_eq!((ctx.args(), ctx.ret()), ((1,), -5));
    let _ = SEEN.fetch_add(0, 1);
}

#[tp_btf]
fn typed_tracepoint(ctx: TpBtfContext) {
    let () = ctx.args();
    let _ = SEEN.fetch_add(0, 1);
}

#[lsm(on_fault = deny)]
fn typed_lsm(ctx: LsmContext<(KernelPtr,)>) -> LsmAction {
    match ctx.args().0.is_null() {
        true => LsmAction::Deny(Errno::ACCES),
        false => LsmAction::Allow,
    }
}

#[test]
fn typed_arguments() {
    host::fentry(&[0x1ff, 0x101, 8, 9], typed_entry);
    host::fexit(&[1 << 32 | 1], -5i64 as u64, typed_exit);
    host::tp_btf(&[], typed_tracepoint);
    assert_eq!(SEEN.get(0), Some(3));
    assert_eq!(host::lsm(&[1], typed_lsm), LsmAction::Allow);
    assert_eq!(host::lsm(&[0], typed_lsm), LsmAction::Deny(Errno::ACCES));
}

/// A stub of somebody else's that hands over too little.
#[test]
fn missing_arguments_are_a_fault() {
    assert!(catch_unwind(|| host::fentry(&[0x1ff, 0x101], typed_entry)).is_err());
}

#[cgroup_skb(on_fault = deny)]
fn only_tcp(ctx: CgroupSkbContext) -> CgroupAction {
    let mut protocol = [0];
    match ctx.load(9, &mut protocol) {
        Ok(()) if protocol[0] == 6 && ctx.linear().len() <= ctx.len() => CgroupAction::Allow,
        _ => CgroupAction::Deny,
    }
}

#[socket_filter(on_fault = drop)]
fn cuts(ctx: SocketFilterContext) -> SocketFilterAction {
    match ctx.len() {
        0..8 => SocketFilterAction::Drop,
        8..16 => SocketFilterAction::Keep,
        _ => SocketFilterAction::Truncate(16),
    }
}

#[test]
fn packets_of_sockets() {
    let mut ip = [0; 40];
    assert_eq!(Packet::new(&ip).linear(4).cgroup_skb(only_tcp), CgroupAction::Deny);
    ip[9] = 6;
    assert_eq!(Packet::new(&ip).linear(4).cgroup_skb(only_tcp), CgroupAction::Allow);
    assert_eq!(Packet::new(&ip[..9]).cgroup_skb(only_tcp), CgroupAction::Deny);
    for (n, want) in [
        (7, SocketFilterAction::Drop),
        (8, SocketFilterAction::Keep),
        (40, SocketFilterAction::Truncate(16)),
    ] {
        assert_eq!(Packet::new(&ip[..n]).socket_filter(cuts), want);
    }
}

#[cgroup_sock_addr]
fn to_loopback(mut ctx: SockAddrContext) -> CgroupAction {
    if ctx.port() == 22 || ctx.protocol() != 6 || ctx.socket_type() != 1 {
        return CgroupAction::Deny;
    }
    match ctx.ip() {
        Some(IpAddr::V4(_)) => {
            assert_eq!(ctx.set_ip(Ipv6Addr::LOCALHOST.into()), Err(Errno::INVAL));
            ctx.set_ip(Ipv4Addr::LOCALHOST.into()).unwrap();
            ctx.set_port(8080).unwrap();
        }
        _ => ctx.set_ip(Ipv6Addr::LOCALHOST.into()).unwrap(),
    }
    CgroupAction::Allow
}

#[test]
fn addresses_of_sockets() {
    let mut a = SockAddr::tcp(Ipv4Addr::new(10, 0, 0, 1), 80);
    assert_eq!(a.run(to_loopback), CgroupAction::Allow);
    assert_eq!(a, SockAddr::tcp(Ipv4Addr::LOCALHOST, 8080));
    let mut a = SockAddr::tcp(Ipv6Addr::UNSPECIFIED, 80);
    assert_eq!(a.run(to_loopback), CgroupAction::Allow);
    assert_eq!(a, SockAddr::tcp(Ipv6Addr::LOCALHOST, 80));
    let mut a = SockAddr::tcp(Ipv4Addr::LOCALHOST, 22);
    assert_eq!(a.run(to_loopback), CgroupAction::Deny);
}
