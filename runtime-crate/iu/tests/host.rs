// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! The host backend behaves as the kernel does where a program can tell.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use iu::host::{self, Packet, World};
use iu::log::Level;
use iu::prelude::*;

#[plain]
#[derive(Debug, PartialEq)]
struct Value {
    a: u64,
    b: u32,
    c: [u8; 3],
    d: u8,
}

const V: Value = Value { a: 1, b: 2, c: [3, 4, 5], d: 6 };

#[map]
static ARRAY: Array<Value, 3> = Array::new();
#[map]
static COUNTERS: Array<u32, 2> = Array::new();
#[map]
static PERCPU: PerCpuArray<[u8; 5], 2> = PerCpuArray::new();
#[map]
static HASH: HashMap<u16, Value, 2> = HashMap::new();
#[map]
static LOCKED: LockedArray<Value, 2> = LockedArray::new();
#[param(default = -3, min = -5, max = 5)]
static SIGNED: Param<i64>;

#[test]
fn arrays() {
    assert_eq!(ARRAY.get(2), Some(Value { a: 0, b: 0, c: [0; 3], d: 0 }));
    assert_eq!(ARRAY.set(2, V), Ok(()));
    assert_eq!(ARRAY.get(2), Some(V));
    assert_eq!(ARRAY.get(3), None);
    assert_eq!(ARRAY.set(3, V), Err(Errno::TOO_BIG));
    assert_eq!(COUNTERS.fetch_add(1, u32::MAX), Some(0));
    assert_eq!(COUNTERS.fetch_add(1, 2), Some(u32::MAX));
    assert_eq!(COUNTERS.get(1), Some(1));
    assert_eq!(COUNTERS.fetch_add(2, 1), None);
}

#[test]
fn per_cpu_arrays() {
    assert!(PERCPU.update(1, |v| [v[0] + 1; 5]));
    host::set_cpu(3);
    assert_eq!(cpu::id(), 3);
    assert_eq!(PERCPU.get(1), Some([0; 5]));
    assert_eq!(PERCPU.set(1, [9; 5]), Ok(()));
    host::set_cpu(0);
    assert_eq!(PERCPU.get(1), Some([1; 5]));
    assert!(!PERCPU.update(2, |v| v));
    assert_eq!(PERCPU.set(2, [0; 5]), Err(Errno::TOO_BIG));
}

#[test]
fn hash_maps() {
    assert_eq!(HASH.get(&1), None);
    assert_eq!(HASH.replace(&1, &V), Err(Errno::NOENT));
    assert_eq!(HASH.insert_new(&1, &V), Ok(()));
    assert_eq!(HASH.insert_new(&1, &V), Err(Errno::EXIST));
    assert_eq!(HASH.replace(&1, &Value { a: 7, ..V }), Ok(()));
    assert_eq!(HASH.insert(&2, &V), Ok(()));
    assert_eq!(HASH.insert(&3, &V), Err(Errno::TOO_BIG));
    assert_eq!(HASH.get(&1), Some(Value { a: 7, ..V }));
    assert_eq!(HASH.remove(&1), Ok(()));
    assert_eq!(HASH.remove(&1), Err(Errno::NOENT));
    assert!(!HASH.contains_key(&1) && HASH.contains_key(&2));
}

#[test]
fn tests_do_not_share_maps() {
    assert_eq!(ARRAY.get(2), Some(Value { a: 0, b: 0, c: [0; 3], d: 0 }));
}

#[test]
fn a_world_can_be_shared() {
    let world = World::current();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let world = world.clone();
            thread::spawn(move || {
                world.enter();
                for _ in 0..1000 {
                    LOCKED.lock(1).unwrap().a += 1;
                    COUNTERS.fetch_add(0, 1);
                }
            })
        })
        .collect();
    for t in threads {
        t.join().unwrap();
    }
    assert_eq!(LOCKED.lock(1).unwrap().a, 4000);
    assert_eq!(COUNTERS.get(0), Some(4000));
}

#[test]
fn one_lock_at_a_time() {
    {
        let mut g = LOCKED.lock(0).unwrap();
        *g = V;
        let second = catch_unwind(AssertUnwindSafe(|| LOCKED.lock(1).is_some()));
        assert!(second.is_err());
        assert_eq!(*g, V);
    }
    assert_eq!(LOCKED.lock(1).unwrap().a, 0);
    assert!(LOCKED.lock(2).is_none());
}

#[xdp]
fn panics_with_a_lock(_: XdpContext) -> XdpAction {
    let _g = LOCKED.lock(0).unwrap();
    panic!()
}

#[xdp]
fn forgets_a_lock(_: XdpContext) -> XdpAction {
    std::mem::forget(LOCKED.lock(0));
    XdpAction::Pass
}

#[test]
fn locks_end_with_the_program() {
    assert!(catch_unwind(|| Packet::new(&[0; 60]).xdp(panics_with_a_lock)).is_err());
    assert_eq!(Packet::new(&[0; 60]).xdp(forgets_a_lock), XdpAction::Pass);
    assert!(LOCKED.lock(0).is_some());
}

#[test]
fn parameters() {
    assert_eq!(SIGNED.get(), -3);
    host::set_param(&SIGNED, 5);
    assert_eq!(SIGNED.get(), 5);
    assert!(catch_unwind(|| host::set_param(&SIGNED, 6)).is_err());
    host::reset();
    assert_eq!(SIGNED.get(), -3);
}

#[xdp]
fn moves_the_head(mut ctx: XdpContext) -> XdpAction {
    let before = ctx.packet().len();
    assert_eq!(ctx.adjust_head(-300), Err(Errno::INVAL));
    assert_eq!(ctx.adjust_head(before as i32 - 13), Err(Errno::INVAL));
    assert_eq!(ctx.packet().len(), before);
    ctx.adjust_head(-4).unwrap();
    ctx.packet_mut()[..4].copy_from_slice(b"head");
    assert_eq!(ctx.adjust_tail(5000), Err(Errno::INVAL));
    ctx.adjust_tail(3).unwrap();
    assert_eq!(&ctx.packet()[before + 4..], [0; 3]);
    XdpAction::Tx
}

#[test]
fn xdp_packets() {
    let mut p = Packet::new(&[7; 60]);
    assert_eq!(p.xdp(moves_the_head), XdpAction::Tx);
    assert_eq!(p.bytes().len(), 67);
    assert_eq!(&p.bytes()[..5], b"head\x07");
    // As often as it is sent: memory behind an earlier tail is cleared again.
    assert_eq!(p.xdp(moves_the_head), XdpAction::Tx);
}

#[tc]
fn looks_at_pages(mut ctx: TcContext) -> TcAction {
    assert_eq!((ctx.len(), ctx.ifindex(), ctx.mark(), ctx.protocol()), (100, 4, 5, 0x0806));
    assert_eq!(ctx.linear().len(), 20);
    let mut b = [0; 4];
    assert_eq!(ctx.load(96, &mut b), Ok(()));
    assert_eq!(b, [96, 97, 98, 99]);
    assert_eq!(ctx.load(97, &mut b), Err(Errno::FAULT));
    assert_eq!(ctx.load(usize::MAX, &mut b), Err(Errno::FAULT));
    assert_eq!(ctx.store(18, b"xyz!"), Ok(()));
    assert_eq!(ctx.store(98, b"xyz!"), Err(Errno::FAULT));
    assert_eq!(ctx.pull(101).map(|p| p.len()), Err(Errno::NOMEM));
    ctx.pull(40).unwrap()[39] = 1;
    assert_eq!(&ctx.linear()[17..23], b"\x11xyz!\x16");
    TcAction::Shot
}

#[test]
fn tc_packets() {
    let mut bytes: Vec<u8> = (0..100).collect();
    bytes[12..14].copy_from_slice(&[8, 6]);
    let mut p = Packet::new(&bytes).linear(20).ifindex(4).mark(5);
    assert_eq!(p.tc(looks_at_pages), TcAction::Shot);
    assert_eq!((p.bytes().len(), p.bytes()[39]), (100, 1));
}

#[test]
fn lines_in_the_log() {
    let (n, name) = (255u8, "x");
    iu::error!("");
    iu::warn!("{{{}}} {:x} {n} {n:x} {name}", -5i32, -1i16);
    iu::info!("{a} {b} {}", true, a = 'é', b = &[1u8, b'a', b'\\'][..]);
    iu::debug!("{:x} {} {}", [0xabu8, 1], core::net::Ipv4Addr::LOCALHOST, Errno::NOENT);
    iu::info!("{} {}", u64::MAX, i64::MIN);
    iu::info!("{:x} {:x} {}", 0u8, u64::MAX, core::net::Ipv6Addr::LOCALHOST);
    iu::info!("{}", "long ".repeat(100).as_str());
    let log = host::log();
    let want = [
        (Level::Error, ""),
        (Level::Warn, "{-5} ffff 255 ff x"),
        (Level::Info, r"é \01a\5c true"),
        (Level::Debug, "ab01 127.0.0.1 2"),
        (Level::Info, "18446744073709551615 -9223372036854775808"),
        (Level::Info, "0 ffffffffffffffff 0:0:0:0:0:0:0:1"),
    ];
    for (got, want) in log.iter().zip(want) {
        assert_eq!((got.0, got.1.as_str()), want);
    }
    assert_eq!(log[6].1.len(), iu::log::LINE_MAX);
}

#[test]
fn clocks_and_numbers() {
    assert!(time::ktime_ns() > 0);
    host::set_ktime_ns(42);
    assert_eq!(time::ktime_ns(), 42);
    let first = [random::u32(), random::u32()];
    assert_ne!(first[0], first[1]);
    host::reset();
    assert_eq!(first, [random::u32(), random::u32()]);
}
