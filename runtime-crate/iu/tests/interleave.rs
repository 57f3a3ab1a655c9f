// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! The rules of access to maps, over every order in which three CPUs can take their steps:
//! a reader gets a value that somebody has put there for that key, whole; a sum loses
//! nothing; a queue gives each value once; a region and a reservation belong to one CPU.

use iu::arena::{Arena, Scratch};
use iu::host;
use iu::map::Record;
use iu::prelude::*;

const CPUS: usize = 3;

#[map]
static HASH: HashMap<u32, [u64; 2], 2> = HashMap::new();
#[map]
static SUMS: Array<u64, 1> = Array::new();
#[map]
static QUEUE: Queue<u64, 4> = Queue::new();
#[map]
static RING: RingBuf<4096> = RingBuf::new();
static ARENA: Arena<64, 2> = Arena::new();

/// What a CPU holds between its steps.
#[derive(Default)]
struct Cpu<'a> {
    region: Option<Scratch<'a>>,
    record: Option<Record<'a, u64>>,
    popped: Vec<u64>,
    denied: bool,
}

/// A step of a CPU.
type Step = fn(u64, &mut Cpu<'_>);

/// Every order of the steps, of which each CPU takes its own one after the other.
fn every_order(steps: &[&[Step]; CPUS], check: fn(&[Cpu<'_>; CPUS])) -> usize {
    fn extend(at: [usize; CPUS], order: &mut Vec<usize>, all: &mut Vec<Vec<usize>>, n: &[usize]) {
        let mut last = true;
        for cpu in 0..CPUS {
            if at[cpu] < n[cpu] {
                last = false;
                let mut next = at;
                next[cpu] += 1;
                order.push(cpu);
                extend(next, order, all, n);
                order.pop();
            }
        }
        if last {
            all.push(order.clone());
        }
    }
    let (mut orders, n) = (Vec::new(), steps.map(<[Step]>::len));
    extend([0; CPUS], &mut Vec::new(), &mut orders, &n);
    for order in &orders {
        host::reset();
        let mut cpus: [Cpu<'_>; CPUS] = Default::default();
        let mut at = [0; CPUS];
        for &cpu in order {
            host::set_cpu(cpu as u32);
            steps[cpu][at[cpu]](cpu as u64, &mut cpus[cpu]);
            at[cpu] += 1;
        }
        check(&cpus);
    }
    orders.len()
}

/// A value says whose it is, twice.
fn whole(key: u32, v: [u64; 2]) -> bool {
    v[0] == v[1] && v[0] / 10 == u64::from(key)
}

#[test]
fn readers_get_whole_values_of_their_key() {
    fn put(key: u32, cpu: u64) {
        let v = u64::from(key) * 10 + cpu;
        let _ = HASH.insert(&key, &[v, v]);
    }
    let writer: &[Step] = &[
        |c, _| put(1, c),
        |c, _| put(2, c),
        |_, _| {
            let _ = HASH.remove(&1);
        },
    ];
    let other: &[Step] = &[
        |_, _| {
            let _ = HASH.remove(&2);
        },
        |c, _| put(3, c),
        |c, _| put(1, c),
    ];
    let reader: &[Step] = &[
        |_, _| assert!(HASH.get(&1).is_none_or(|v| whole(1, v))),
        |_, _| assert!(HASH.get(&2).is_none_or(|v| whole(2, v))),
        |_, _| assert!(HASH.get(&3).is_none_or(|v| whole(3, v))),
    ];
    assert_eq!(every_order(&[writer, other, reader], |_| ()), 1680);
}

#[test]
fn sums_lose_nothing_and_queues_give_once() {
    let both: &[Step] = &[
        |c, _| {
            SUMS.fetch_add(0, 1 << (8 * c));
            let _ = QUEUE.push(&c);
        },
        |c, _| {
            SUMS.fetch_add(0, 1 << (8 * c));
        },
        |_, cpu| cpu.popped.extend(QUEUE.pop()),
    ];
    every_order(&[both; CPUS], |cpus| {
        assert_eq!(SUMS.get(0), Some(0x020202));
        let mut got: Vec<u64> = cpus.iter().flat_map(|c| c.popped.clone()).collect();
        got.extend(std::iter::from_fn(|| QUEUE.pop()));
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2]);
    });
}

#[test]
fn a_region_is_one_cpus() {
    let user: &[Step] = &[
        |_, cpu| match ARENA.claim() {
            Ok(s) => cpu.region = Some(s),
            Err(e) => cpu.denied = e == Errno::NOMEM,
        },
        |c, cpu| {
            if let Some(s) = &cpu.region {
                assert_eq!(s.alloc(c), Ok(&mut { c }));
            }
        },
        |_, cpu| drop(cpu.region.take()),
    ];
    every_order(&[user; CPUS], |cpus| {
        assert!(cpus.iter().filter(|c| c.denied).count() <= 1);
        assert!(ARENA.claim().is_ok_and(|_| ARENA.claim().is_ok()));
    });
}

#[test]
fn a_record_is_one_cpus_until_submitted() {
    let user: &[Step] = &[
        |c, cpu| cpu.record = RING.reserve::<u64>().map(|r| r.write(c)),
        |_, cpu| *cpu.record.as_deref_mut().unwrap() += 10,
        |_, cpu| cpu.record.take().unwrap().submit(),
    ];
    every_order(&[user; CPUS], |_| {
        let mut got: Vec<u8> = host::records(&RING).iter().map(|r| r[0]).collect();
        got.sort_unstable();
        assert_eq!(got, [10, 11, 12]);
    });
}
