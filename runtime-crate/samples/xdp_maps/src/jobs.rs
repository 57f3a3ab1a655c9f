// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Jobs at XDP.

use iu::arena::Arena;
use iu::guard::{IrqsOff, Rcu};
use iu::prelude::*;
use iu::{read, text};

use crate::{Outcome, ensure};

#[plain]
#[derive(PartialEq)]
struct Flow {
    packets: u64,
    port: u16,
    flags: [u8; 2],
    addr: [u8; 4],
}

const FLOW: Flow = Flow { packets: 7, port: 80, flags: [1, 2], addr: [10, 0, 0, 1] };

#[map]
static ARRAY: Array<Flow, 4> = Array::new();
#[map]
static COUNTS: Array<u32, 2> = Array::new();
#[map]
static PERCPU: PerCpuArray<u64, 2> = PerCpuArray::new();
#[map]
static LOCKED: LockedArray<Flow, 2> = LockedArray::new();
#[map]
static HASH: HashMap<[u8; 4], Flow, 2> = HashMap::new();
#[map]
static SUMS: HashMap<u32, u64, 8> = HashMap::new();
#[map]
static LRU: LruHash<u32, u64, 512> = LruHash::new();
#[map]
static PERCPU_HASH: PerCpuHash<u32, u64, 8> = PerCpuHash::new();
#[map]
static LRU_PERCPU: LruPerCpuHash<u32, u64, 512> = LruPerCpuHash::new();
#[map]
static ROUTES: LpmTrie<[u8; 4], u32, 8> = LpmTrie::new();
#[map]
static QUEUE: Queue<u32, 3> = Queue::new();
#[map]
static STACK: Stack<u32, 3> = Stack::new();
#[map]
static BLOOM: Bloom<u64, 64> = Bloom::new();
#[map]
static RING: RingBuf<4096> = RingBuf::new();
#[map]
static PERF: PerfEventArray<64> = PerfEventArray::new();
#[map]
static STACKS: StackTrace<16> = StackTrace::new();
#[map]
static DEVS: DevMap<4> = DevMap::new();
#[map]
static DEVS_HASH: DevMapHash<4> = DevMapHash::new();
#[map]
static CPUS: CpuMap<4> = CpuMap::new();

static ARENA: Arena<4096, 2> = Arena::new();

/// The packet goes to another CPU.
pub const CPU: u8 = 12;

pub fn run(job: u8, ctx: &mut XdpContext) -> (XdpAction, Outcome) {
    let outcome = match job {
        1 => arrays(),
        2 => hash(),
        3 => lru(),
        4 => per_cpu(),
        5 => lpm(),
        6 => queues(),
        7 => bloom(),
        8 => ring(),
        9 => perf(ctx.packet()),
        10 => stacks(),
        11 => return devices(ctx),
        CPU => return (CPUS.redirect(ctx, 1, XdpAction::Drop), Ok(())),
        13 => holds_all_and_panics(ctx.packet()),
        14 => all_is_free(),
        15 => arena(),
        16 => memory(),
        17 => numbers(),
        18 => packet(ctx),
        19 => surroundings(),
        20 => guards(),
        21 => too_many(),
        22 => buffers(ctx),
        _ => Err(0),
    };
    (XdpAction::Drop, outcome)
}

fn arrays() -> Outcome {
    ensure!(ARRAY.set(3, FLOW).is_ok());
    ensure!(ARRAY.get(3) == Some(FLOW));
    ensure!(ARRAY.get(4).is_none() && ARRAY.set(4, FLOW) == Err(Errno::TOO_BIG));
    ensure!(COUNTS.fetch_add(1, 5) == Some(0) && COUNTS.get(1) == Some(5));
    ensure!(PERCPU.update(1, |n| n + 3) && PERCPU.get(1) == Some(3));
    {
        let Some(mut flow) = LOCKED.lock(1) else { return Err(line!()) };
        flow.packets += 1;
        flow.addr = [1, 2, 3, 4];
    }
    ensure!(LOCKED.lock(1).map(|f| (f.packets, f.addr)) == Some((1, [1, 2, 3, 4])));
    ensure!(LOCKED.lock(2).is_none());
    Ok(())
}

fn hash() -> Outcome {
    let (a, b, c) = ([1, 0, 0, 1], [1, 0, 0, 2], [1, 0, 0, 3]);
    ensure!(HASH.replace(&a, &FLOW) == Err(Errno::NOENT));
    ensure!(HASH.insert_new(&a, &FLOW).is_ok());
    ensure!(HASH.insert_new(&a, &FLOW) == Err(Errno::EXIST));
    ensure!(HASH.insert(&b, &Flow { packets: 9, ..FLOW }).is_ok());
    ensure!(HASH.insert(&c, &FLOW) == Err(Errno::TOO_BIG));
    ensure!(HASH.get(&b).map(|f| f.packets) == Some(9));
    ensure!(HASH.remove(&b).is_ok() && HASH.remove(&b) == Err(Errno::NOENT));
    ensure!(!HASH.contains_key(&b) && HASH.contains_key(&a));
    ensure!(SUMS.fetch_add(&1, 2).is_none() && SUMS.insert(&1, &40).is_ok());
    ensure!(SUMS.fetch_add(&1, 2) == Some(40) && SUMS.get(&1) == Some(42));
    Ok(())
}

fn lru() -> Outcome {
    for i in 0..700u32 {
        ensure!(LRU.insert(&i, &u64::from(i)).is_ok());
    }
    ensure!(LRU.get(&699) == Some(699));
    let kept = (0..700u32).filter(|i| LRU.contains_key(i)).count();
    ensure!(kept > 0 && kept <= 512);
    ensure!(LRU.remove(&699).is_ok() && LRU.get(&699).is_none());
    Ok(())
}

fn per_cpu() -> Outcome {
    ensure!(!PERCPU_HASH.update(&5, |n| n));
    ensure!(PERCPU_HASH.insert(&5, &10).is_ok());
    ensure!(PERCPU_HASH.update(&5, |n| n + 1) && PERCPU_HASH.get(&5) == Some(11));
    for i in 0..700u32 {
        ensure!(LRU_PERCPU.insert(&i, &u64::from(i)).is_ok());
    }
    ensure!(LRU_PERCPU.update(&699, |n| n * 2) && LRU_PERCPU.get(&699) == Some(1398));
    Ok(())
}

fn lpm() -> Outcome {
    ensure!(ROUTES.insert(0, &[0; 4], &1).is_ok());
    ensure!(ROUTES.insert(8, &[10, 0, 0, 0], &2).is_ok());
    ensure!(ROUTES.insert(24, &[10, 1, 2, 0], &3).is_ok());
    ensure!(ROUTES.insert(33, &[10, 1, 2, 0], &3) == Err(Errno::INVAL));
    ensure!(ROUTES.get(&[10, 1, 2, 3]) == Some(3));
    ensure!(ROUTES.get(&[10, 1, 3, 3]) == Some(2));
    ensure!(ROUTES.get(&[11, 1, 3, 3]) == Some(1));
    ensure!(ROUTES.remove(24, &[10, 1, 2, 0]).is_ok());
    ensure!(ROUTES.get(&[10, 1, 2, 3]) == Some(2));
    Ok(())
}

fn queues() -> Outcome {
    for i in 1..=3 {
        ensure!(QUEUE.push(&i).is_ok() && STACK.push(&i).is_ok());
    }
    ensure!(QUEUE.push(&4) == Err(Errno::TOO_BIG) && STACK.push(&4) == Err(Errno::TOO_BIG));
    ensure!(QUEUE.push_over(&4).is_ok());
    ensure!(QUEUE.peek() == Some(2) && QUEUE.pop() == Some(2) && QUEUE.pop() == Some(3));
    ensure!(STACK.peek() == Some(3) && STACK.pop() == Some(3) && STACK.pop() == Some(2));
    ensure!(QUEUE.pop() == Some(4) && QUEUE.pop().is_none() && STACK.pop() == Some(1));
    ensure!(STACK.pop().is_none());
    Ok(())
}

fn bloom() -> Outcome {
    ensure!(!BLOOM.may_contain(&77));
    ensure!(BLOOM.insert(&77).is_ok() && BLOOM.may_contain(&77));
    Ok(())
}

/// User space finds the first record and the last.
fn ring() -> Outcome {
    let Some(room) = RING.reserve::<Flow>() else { return Err(line!()) };
    let mut record = room.write(FLOW);
    record.port = 443;
    ensure!(record.port == 443 && record.packets == 7);
    record.submit();
    drop(RING.reserve::<Flow>());
    let Some(room) = RING.reserve::<u64>() else { return Err(line!()) };
    drop(room.write(1));
    ensure!(RING.output(b"a record of any length").is_ok());
    ensure!(RING.reserve::<[u8; 8192]>().is_none());
    Ok(())
}

fn perf(packet: &[u8]) -> Outcome {
    ensure!(PERF.output(&FLOW).is_ok());
    ensure!(PERF.output_bytes(packet.get(..15).unwrap_or(b"")).is_ok());
    Ok(())
}

/// User space finds functions of the kernel in it.
fn stacks() -> Outcome {
    let Ok(id) = STACKS.kernel() else { return Err(line!()) };
    ensure!(COUNTS.set(0, id).is_ok());
    ensure!(STACKS.kernel() == Ok(id) && STACKS.kernel_over() == Ok(id));
    Ok(())
}

fn devices(ctx: &mut XdpContext) -> (XdpAction, Outcome) {
    let missing = DEVS.redirect(ctx, 3, XdpAction::Tx) == XdpAction::Tx
        && DEVS_HASH.redirect(ctx, 1, XdpAction::Pass) == XdpAction::Pass;
    // By the byte behind the job: which of the two maps to go by, or the index itself.
    let verdict = match ctx.packet().get(15) {
        Some(0) => DEVS.redirect(ctx, 0, XdpAction::Drop),
        Some(2) => ctx.redirect(crate::ifindex()),
        _ => DEVS_HASH.redirect(ctx, 1000, XdpAction::Drop),
    };
    let found = verdict == XdpAction::Redirect;
    (verdict, if missing && found { Ok(()) } else { Err(line!()) })
}

/// Nobody drops what is held here.
fn holds_all_and_panics(packet: &[u8]) -> Outcome {
    let _irqs = IrqsOff::new();
    let _rcu = Rcu::new();
    let _record = RING.reserve::<Flow>().map(|r| r.write(FLOW));
    let _scratch = (ARENA.claim(), ARENA.claim());
    let mut flow = LOCKED.lock(0);
    let _more = IrqsOff::new();
    if let Some(flow) = flow.as_mut() {
        flow.packets = u64::from(packet[packet.len()]);
    }
    Ok(())
}

/// What the job before held.
fn all_is_free() -> Outcome {
    let (Ok(a), Ok(b)) = (ARENA.claim(), ARENA.claim()) else { return Err(line!()) };
    ensure!(ARENA.claim().err() == Some(Errno::NOMEM));
    drop((a, b));
    ensure!(LOCKED.lock(0).is_some());
    // What the run before had not given back would stand before this for ever.
    ensure!(RING.output(b"after the panic").is_ok());
    Ok(())
}

fn arena() -> Outcome {
    let Ok(scratch) = ARENA.claim() else { return Err(line!()) };
    let Ok(mut v) = scratch.vec::<u32>(100) else { return Err(line!()) };
    for i in 0..100 {
        ensure!(v.push(i * 7919 % 101).is_ok());
    }
    ensure!(v.push(0) == Err(Errno::NOMEM));
    v.sort_unstable();
    ensure!(v.is_sorted() && v.len() == 100 && v.pop() == Some(100));
    let Ok(mut s) = scratch.string(32) else { return Err(line!()) };
    ensure!(s.push_str("port ").is_ok() && s.push(&8080u16).is_ok() && s.push_hex(&255u8).is_ok());
    ensure!(&*s == "port 8080ff");
    let Ok(mut m) = scratch.map::<[u8; 2], u32>(20) else { return Err(line!()) };
    for i in 0..60u8 {
        let key = [i % 20, 1];
        match m.get_mut(&key) {
            Some(n) => *n += 1,
            None => ensure!(m.insert(key, 1) == Ok(None)),
        }
    }
    ensure!(m.len() == 20 && m.iter().all(|(_, n)| *n == 3));
    ensure!(m.insert([99, 9], 1) == Err(Errno::NOMEM) && m.get(&[99, 9]).is_none());
    let Ok(n) = scratch.alloc(5u64) else { return Err(line!()) };
    *n += 1;
    ensure!(*n == 6 && scratch.vec::<u64>(4096).err() == Some(Errno::NOMEM));
    Ok(())
}

fn memory() -> Outcome {
    ensure!(read::kernel::<u64>(8) == Err(Errno::FAULT));
    ensure!(read::user::<u64>(0).is_err());
    let known: &'static [u8; 12] = b"in .rodata\0x";
    let at = known.as_ptr() as u64;
    ensure!(read::kernel::<[u8; 4]>(at) == Ok(*b"in ."));
    let mut to = [0; 32];
    ensure!(read::kernel_str(&mut to, at) == Ok(b"in .rodata"));
    Ok(())
}

fn numbers() -> Outcome {
    ensure!(text::unsigned(b"11211", 10) == Some(11211) && text::signed(b"-5", 10) == Some(-5));
    ensure!(text::leading(b"1f 2", 16) == Some((0x1f, 2)) && text::unsigned(b"12x", 10).is_none());
    ensure!("abc" < "abd" && b"get ".starts_with(b"get"));
    Ok(())
}

fn packet(ctx: &mut XdpContext) -> Outcome {
    let n = ctx.packet().len();
    ensure!(ctx.len() == n);
    ensure!(ctx.store(n - 2, b"zz").is_ok());
    let mut end = [0; 3];
    ensure!(ctx.load(n - 3, &mut end).is_ok() && end.ends_with(b"zz"));
    ensure!(ctx.load(n - 2, &mut end) == Err(Errno::INVAL));
    ensure!(ctx.adjust_head(-8).is_ok() && ctx.packet().len() == n + 8);
    ensure!(ctx.adjust_tail(-4).is_ok() && ctx.packet().len() == n + 4);
    ensure!(ctx.adjust_head(-4096) == Err(Errno::INVAL));
    Ok(())
}

fn surroundings() -> Outcome {
    let (a, b) = (time::ktime_ns(), time::ktime_ns());
    ensure!(a > 0 && b >= a);
    ensure!(random::u32() != random::u32() || random::u32() != random::u32());
    ensure!(cpu::id() < 1024);
    iu::info!("job {} on cpu {}", 19u8, cpu::id());
    Ok(())
}

fn guards() -> Outcome {
    let a = IrqsOff::new();
    let b = LOCKED.lock(0);
    drop(a);
    let rcu = Rcu::new();
    drop(b);
    let again = Rcu::new();
    drop(rcu);
    drop(again);
    Ok(())
}

/// A packet that is longer than one buffer.
fn buffers(ctx: &mut XdpContext) -> Outcome {
    let n = ctx.len();
    ensure!(crate::RESULTS.get(crate::LENGTH) == Some(n as u64));
    ensure!(ctx.packet().len() < n);
    let mut end = [0; 4];
    ensure!(ctx.load(n - 4, &mut end).is_ok() && &end == b"last");
    // Over the end of the first buffer.
    let at = ctx.packet().len() - 2;
    ensure!(ctx.store(at, b"over").is_ok() && ctx.load(at, &mut end).is_ok() && &end == b"over");
    ensure!(ctx.packet().ends_with(b"ov"));
    ensure!(ctx.load(n - 3, &mut end) == Err(Errno::INVAL));
    ensure!(ctx.adjust_tail(-100).is_ok() && ctx.len() == n - 100);
    ensure!(ctx.load(n - 103, &mut end) == Err(Errno::INVAL));
    Ok(())
}

/// Eight things at most, and no fault for the ninth.
fn too_many() -> Outcome {
    let held = [(); 8].map(|()| RING.reserve::<u64>());
    ensure!(held.iter().all(Option::is_some));
    ensure!(RING.reserve::<u64>().is_none() && ARENA.claim().err() == Some(Errno::BUSY));
    Ok(())
}

/// What tests look at.
#[cfg(test)]
mod shown {
    use super::*;

    pub fn devs() -> &'static DevMap<4> {
        &DEVS
    }

    pub fn cpus() -> &'static CpuMap<4> {
        &CPUS
    }

    pub fn ring_buffer() -> &'static RingBuf<4096> {
        &RING
    }

    pub fn perf_events() -> &'static PerfEventArray<64> {
        &PERF
    }
}
#[cfg(test)]
pub use shown::*;
